package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/bench/system"
)

// process is a sender or worker, as the coordinator sees it. It prints the line "ready", and begins when a line comes in.
// A worker prints how many tasks it has started, until another line comes in. The last thing that it prints are its figures, as JSON.
type process struct {
	job     system.Job
	cmd     *exec.Cmd
	in      io.Writer
	ready   chan struct{}
	started atomic.Int64
	figures system.Figures
	ended   chan struct{} // closed when it has said all
	stderr  bytes.Buffer
	err     error // valid once ended is closed
}

// start starts a process, and waits until it is ready.
func start(ctx context.Context, s *system.System, job system.Job) (*process, error) {
	job.System = s.Name
	text, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{job: job, ready: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, self, "process", string(text))
	if s.Script != "" {
		p.cmd = exec.CommandContext(ctx, python(), s.Script, string(text))
	}
	p.cmd.Stderr = &p.stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(out)
	select {
	case <-p.ready:
		return p, nil
	case <-p.ended:
		return nil, p.err
	}
}

func (p *process) listen(out io.Reader) {
	defer close(p.ended)
	told := false
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		switch n, err := strconv.ParseInt(line, 10, 64); {
		case err == nil:
			p.started.Store(n)
		case line == "ready":
			close(p.ready)
		case strings.HasPrefix(line, "{"):
			told = json.Unmarshal([]byte(line), &p.figures) == nil
		}
	}
	if err := p.cmd.Wait(); err != nil || !told {
		p.err = fmt.Errorf("%s, %s: ended without figures, or not well: %w\n%s", p.job.System, p.job.Role, errors.Join(err, lines.Err()), &p.stderr)
	}
}

// tell lets a process go on: it begins, or stops.
func (p *process) tell() { _, _ = io.WriteString(p.in, "\n") }

// end waits until the process has.
func (p *process) end() (system.Figures, error) {
	<-p.ended
	return p.figures, p.err
}

// awaitStarted waits until the workers have started n tasks together.
func awaitStarted(ctx context.Context, workers []*process, n int) error {
	for {
		sum := 0
		for _, w := range workers {
			sum += int(w.started.Load())
			select {
			case <-w.ended:
				return w.err
			default:
			}
		}
		if sum >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: only %d of %d tasks were started: %w", workers[0].job.System, sum, n, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// runProcess is the process itself.
func runProcess(ctx context.Context, text string) error {
	var job system.Job
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	s := system.Find(job.System)
	if s == nil {
		return fmt.Errorf("there is no system %q", job.System)
	}
	told := make(chan struct{})
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			told <- struct{}{}
		}
		close(told) // the coordinator has gone
	}()
	if job.Role == system.Send {
		return send(ctx, s, job, told)
	}
	return work(ctx, s, job, told)
}

func send(ctx context.Context, s *system.System, job system.Job, told <-chan struct{}) error {
	sender, err := s.Open(ctx, job)
	if err != nil {
		return err
	}
	// The first one pays for the connection.
	if err := sender.Send(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	<-told
	endProfile, err := beginProfile(job.Profile)
	if err != nil {
		return err
	}
	f := system.Figures{Tasks: job.Tasks, First: time.Now().UnixNano()}
	used := cpu()
	switch {
	case job.Many:
		err = sender.SendMany(ctx, job.Tasks)
	case job.Rate > 0:
		err = sendAtRate(ctx, sender, job)
	default:
		err = sendAtOnce(ctx, sender, job)
	}
	if err != nil {
		return err
	}
	f.Last = time.Now().UnixNano()
	if awaiter, ok := sender.(system.Awaiter); ok && job.Results {
		if err := awaiter.Await(ctx); err != nil {
			return err
		}
	}
	f.CPU, f.RSS = cpu()-used, peak()
	endProfile()
	if err := json.NewEncoder(os.Stdout).Encode(f); err != nil {
		return err
	}
	return sender.Close()
}

func sendAtRate(ctx context.Context, sender system.Sender, job system.Job) error {
	begin := time.Now()
	for i := range job.Tasks {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(job.Rate))))
		if err := sender.Send(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sendAtOnce sends from several goroutines, each waiting for its own confirm.
func sendAtOnce(ctx context.Context, sender system.Sender, job system.Job) error {
	var left atomic.Int64
	left.Store(int64(job.Tasks))
	errs := make([]error, max(job.Senders, 1))
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			for errs[i] == nil && left.Add(-1) >= 0 {
				errs[i] = sender.Send(ctx)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// beginProfile begins a CPU profile, if one is wanted.
func beginProfile(path string) (end func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = file.Close()
	}, pprof.StartCPUProfile(file)
}

// meter counts the tasks of a worker.
type meter struct {
	latency     bool
	count       atomic.Int64
	first, last atomic.Int64
	used        float64 // when the first task was started

	mu        sync.Mutex
	latencies []int64
}

func (m *meter) started(stamp string) {
	now := time.Now().UnixNano()
	if m.count.Add(1) == 1 {
		m.first.Store(now)
		m.used = cpu()
	}
	m.last.Store(now) // which of two comes last is a matter of a microsecond
	if m.latency {
		sent, _ := strconv.ParseInt(stamp, 10, 64)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.latencies = append(m.latencies, now-sent)
	}
}

// tellInterval is how often a worker tells how many tasks it has started.
const tellInterval = 10 * time.Millisecond

func work(ctx context.Context, s *system.System, job system.Job, told <-chan struct{}) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	fmt.Println("ready")
	<-told
	endProfile, err := beginProfile(job.Profile)
	if err != nil {
		return err
	}
	m := &meter{latency: job.Latency}
	go func() {
		defer stop()
		tick := time.NewTicker(tellInterval)
		defer tick.Stop()
		for before := int64(0); ; {
			select {
			case <-told:
				endProfile()
				m.mu.Lock()
				defer m.mu.Unlock()
				if err := json.NewEncoder(os.Stdout).Encode(system.Figures{
					Tasks: int(m.count.Load()), First: m.first.Load(), Last: m.last.Load(), CPU: cpu() - m.used, RSS: peak(), Latencies: m.latencies,
				}); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
				return
			case <-tick.C:
			}
			if n := m.count.Load(); n > before {
				before = n
				fmt.Println(n)
			}
		}
	}()
	return s.Work(ctx, job, m.started)
}
