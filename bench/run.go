package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/taskgen/taskgen/bench/system"
)

// bench is a run of the whole.
type bench struct {
	tasks, rounds int
	profiles      string // folder; "": none
	rows          []row
	brokers       map[string]string // URLs by the name of the server
	results       map[cell][]result // one for each round
}

// cell is a system in a row.
type cell struct{ row, system string }

// result is what one run has measured. What it has not is 0.
type result struct {
	rate                 float64 // tasks a second
	p50, p99             float64 // in ms
	senderCPU, workerCPU float64 // ms for 1,000 tasks
	senderRSS, workerRSS float64 // MB, of the largest process
	others               float64 // share of the machine
}

const (
	// noise is the share of others from which a run is marked.
	noise = 0.06
	// patience is how long a run may take.
	patience = 20 * time.Minute
	// longRounds is how many rounds what takes long is measured in.
	longRounds = 1
	// longest is about how many seconds a slow system takes for what it is given.
	longest = 4
)

// choose finds the rows and systems to be measured.
func (b *bench) choose(names, systems string, long bool) error {
	wantedRow, err := regexp.Compile(names)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	wantedSystem, err := regexp.Compile(systems)
	if err != nil {
		return fmt.Errorf("-system: %w", err)
	}
	if b.rounds < 1 || b.tasks < 1 {
		return errors.New("-rounds and -tasks: want at least 1")
	}
	for _, r := range rows() {
		if r.systems = slices.DeleteFunc(slices.Clone(r.systems), func(s *system.System) bool { return !wantedSystem.MatchString(s.Name) }); len(r.systems) > 0 &&
			wantedRow.MatchString(r.name) && (long || !r.long) {
			b.rows = append(b.rows, r)
		}
	}
	if len(b.rows) == 0 {
		return errors.New("no row matches: their names are those in docs/performance.md")
	}
	return nil
}

// measure runs all rounds.
func (b *bench) measure(ctx context.Context) error {
	if err := b.open(ctx); err != nil {
		return err
	}
	b.results = make(map[cell][]result)
	for round := range b.rounds {
		for _, r := range b.rows {
			if r.long && round >= longRounds {
				continue
			}
			for i := range r.systems {
				s := r.systems[(i+round)%len(r.systems)]
				result, err := b.run(ctx, r, s)
				if err != nil && ctx.Err() == nil { // the figures of an hour are not given up for one failure
					fmt.Fprintf(os.Stderr, "%s: %s: trying again after: %v\n", r.name, s.Name, err)
					result, err = b.run(ctx, r, s)
				}
				if ctx.Err() != nil {
					return errors.New("interrupted: there are no tables of a part")
				}
				if err != nil {
					return fmt.Errorf("%s: %s: %w", r.name, s.Name, err)
				}
				b.results[cell{r.name, s.Name}] = append(b.results[cell{r.name, s.Name}], result)
				fmt.Fprintf(os.Stderr, "round %d of %d: %-35s %-24s %s\n", round+1, b.rounds, r.name, s.Name, result)
			}
		}
	}
	return nil
}

func (r result) String() string {
	text := fmt.Sprintf("%9s/s", thousands(int(r.rate)))
	if r.p50 > 0 {
		text += fmt.Sprintf("  %.2f/%.2f ms", r.p50, r.p99)
	}
	return text + fmt.Sprintf("  CPU %.1f + %.1f ms/1,000  RSS %.0f, %.0f MB  others %.0f %%%s",
		r.senderCPU, r.workerCPU, r.senderRSS, r.workerRSS, r.others*100, r.mark())
}

// mark marks a run that others have disturbed.
func (r result) mark() string {
	if r.others > noise {
		return " †"
	}
	return ""
}

// open starts the servers that the systems need.
func (b *bench) open(ctx context.Context) (err error) {
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	b.brokers = make(map[string]string)
	for _, s := range b.systems() {
		if s.Script != "" {
			if err := installCelery(ctx); err != nil {
				return err
			}
		}
		if _, open := b.brokers[s.Server]; open {
			continue
		}
		if s.Server == "" {
			b.brokers[s.Server], err = embedded()
		} else {
			b.brokers[s.Server], err = servers[s.Server].open(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// systems are those of the chosen rows.
func (b *bench) systems() []*system.System {
	return slices.DeleteFunc(slices.Clone(system.All), func(s *system.System) bool {
		return !slices.ContainsFunc(b.rows, func(r row) bool { return slices.Contains(r.systems, s) })
	})
}

// run runs one system in a row.
func (b *bench) run(ctx context.Context, r row, s *system.System) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel() // ends what still runs after an error
	broker := b.brokers[s.Server]
	if err := s.Prepare(ctx, broker); err != nil {
		return result{}, fmt.Errorf("emptying the queue: %w", err)
	}
	job := r.job
	job.Broker = broker
	job.Tasks = b.tasksFor(r, s)
	run := run{system: s, send: job, work: job, workers: max(r.workers, 1), server: servers[s.Server].pid()}
	run.send.Role, run.work.Role = system.Send, system.Work
	if b.profiles != "" {
		base := filepath.Join(b.profiles, r.name+", "+s.Name)
		run.send.Profile, run.work.Profile = base+", sender.pprof", base+", worker.pprof"
	}
	switch r.kind {
	case enqueue:
		return run.enqueue(ctx)
	case drain:
		return run.drain(ctx)
	default:
		return run.both(ctx)
	}
}

// drainTasks is how many times as many tasks there are in a drain, unless it is of so many: it is over soon, and how long workers take to start is
// not what is measured.
const drainTasks = 4

// tasksFor is how many tasks a system is given in a row.
func (b *bench) tasksFor(r row, s *system.System) int {
	n := r.job.Tasks
	switch {
	case n == 0 && r.kind == drain:
		n = drainTasks * b.tasks
	case n == 0:
		n = b.tasks
	}
	if s.Pace == nil {
		return n
	}
	job := r.job
	job.Concurrency *= max(r.workers, 1)
	job.Role = system.Send
	if r.kind == drain || r.kind == both {
		job.Role = system.Work
	}
	return min(n, longest*s.Pace(job))
}

// run is one run of a system.
type run struct {
	system     *system.System
	send, work system.Job
	workers    int
	server     int // process id
	before     load
}

func (r *run) begin()       { r.before = readLoad(r.server) }
func (r *run) end() float64 { return readLoad(r.server).others(r.before) }

func (r *run) enqueue(ctx context.Context) (result, error) {
	sender, err := start(ctx, r.system, r.send)
	if err != nil {
		return result{}, err
	}
	r.begin()
	sender.tell()
	f, err := sender.end()
	if err != nil {
		return result{}, err
	}
	out := result{others: r.end(), rate: rate(f.Tasks, f.First, f.Last)}
	out.setSender(f)
	return out, nil
}

func (r *run) drain(ctx context.Context) (result, error) {
	fill := r.send
	fill.Senders, fill.Many, fill.Profile = 16, r.system.Many, ""
	sender, err := start(ctx, r.system, fill)
	if err != nil {
		return result{}, err
	}
	sender.tell()
	if _, err := sender.end(); err != nil {
		return result{}, err
	}
	workers := make([]*process, r.workers)
	for i := range workers {
		if workers[i], err = start(ctx, r.system, r.work); err != nil {
			return result{}, err
		}
	}
	r.begin()
	for _, w := range workers {
		w.tell()
	}
	figures, err := stop(ctx, workers, r.send.Tasks+1)
	if err != nil {
		return result{}, err
	}
	out := result{others: r.end()}
	out.setWorkers(figures)
	first, last, tasks := int64(math.MaxInt64), int64(0), 0
	for _, f := range figures {
		if tasks += f.Tasks; f.Tasks > 0 { // the others have taken all
			first, last = min(first, f.First), max(last, f.Last)
		}
	}
	out.rate = rate(tasks-1, first, last)
	return out, nil
}

func (r *run) both(ctx context.Context) (result, error) {
	worker, err := start(ctx, r.system, r.work)
	if err != nil {
		return result{}, err
	}
	worker.tell()
	sender, err := start(ctx, r.system, r.send)
	if err != nil {
		return result{}, err
	}
	workers := []*process{worker}
	if err := awaitStarted(ctx, workers, 1); err != nil {
		return result{}, err
	}
	r.begin()
	sender.tell()
	sent, err := sender.end()
	if err != nil {
		return result{}, err
	}
	figures, err := stop(ctx, workers, r.send.Tasks+1)
	if err != nil {
		return result{}, err
	}
	out := result{others: r.end(), rate: rate(sent.Tasks, sent.First, figures[0].Last)}
	out.setSender(sent)
	out.setWorkers(figures)
	if latencies := figures[0].Latencies; len(latencies) > 1 {
		latencies = latencies[1:] // without the one that the sender begins with
		slices.Sort(latencies)
		out.p50, out.p99 = float64(latencies[len(latencies)/2])/1e6, float64(latencies[len(latencies)*99/100])/1e6
	}
	return out, nil
}

// stop stops workers when they have started n tasks.
func stop(ctx context.Context, workers []*process, n int) ([]system.Figures, error) {
	if err := awaitStarted(ctx, workers, n); err != nil {
		return nil, err
	}
	for _, w := range workers {
		w.tell()
	}
	figures := make([]system.Figures, len(workers))
	for i, w := range workers {
		var err error
		if figures[i], err = w.end(); err != nil {
			return nil, err
		}
	}
	return figures, nil
}

func rate(tasks int, first, last int64) float64 {
	return float64(tasks) / max(time.Duration(last-first).Seconds(), 1e-9)
}

func (r *result) setSender(f system.Figures) {
	r.senderCPU, r.senderRSS = f.CPU*1000/float64(f.Tasks), f.RSS
}

func (r *result) setWorkers(figures []system.Figures) {
	cpu, tasks := 0.0, 0
	for _, f := range figures {
		if tasks += f.Tasks; f.Tasks > 0 {
			cpu += f.CPU
		}
		r.workerRSS = max(r.workerRSS, f.RSS)
	}
	r.workerCPU = cpu * 1000 / float64(tasks)
}
