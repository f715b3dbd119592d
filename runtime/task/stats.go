package task

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Stats is what a worker has done since it started.
type Stats struct {
	Worker  string    `json:"worker"`
	Started time.Time `json:"started"`
	// Running is how many tasks run now, besides the one that asks by StatsFrom.
	Running int `json:"running"`
	// Stuck is how many of them have not returned 10 s after their contexts ended.
	Stuck int `json:"stuck"`
	// LostResults is how many results could not be stored or sent.
	LostResults int64 `json:"lost_results"`
	// Tasks that have run, sorted by name.
	Tasks []TaskStats `json:"tasks"`
}

// TaskStats is what a worker has done of one task.
type TaskStats struct {
	Name string `json:"name"`
	// Succeeded, Failed and Retried count the runs by how they ended. Those that were revoked have failed.
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Retried   int64 `json:"retried"`
	// MeanRun is how long the task itself ran. MeanOverhead is what the worker took besides: decoding,
	// hooks, encoding, and the task's share of the time in which the worker settled messages, of which it settles
	// many at once. The sender's and the broker's parts are not in it.
	MeanRun      time.Duration `json:"mean_run_ns"`
	MeanOverhead time.Duration `json:"mean_overhead_ns"`
}

// InLine says that the task is cheaper to run in line than to send: over at least 100 runs, its own
// work took less than the worker's work around it.
func (s TaskStats) InLine() bool {
	return s.Succeeded+s.Failed+s.Retried >= granularityRuns && s.MeanRun < s.MeanOverhead
}

// granularityRuns is how many runs it takes to judge a task by its mean run time.
const granularityRuns = 100

// statistics measures the tasks of a worker.
type statistics struct {
	logger *slog.Logger
	since  time.Time

	lostResults atomic.Int64

	tasks    map[string]*tally // of all that are registered
	messages atomic.Int64      // that had their end

	mu sync.Mutex
	// settling is how many messages are being settled now, settlingSince since when, after the start, it is more than none, and
	// settleTime how long it was so before. Acks for which nobody waits are not among them.
	settling      int
	settlingSince time.Duration
	settleTime    time.Duration
}

type tally struct {
	succeeded, failed, retried atomic.Int64
	runs, run, overhead        atomic.Int64 // how many, and in ns
	told                       atomic.Bool
}

func newStatistics(logger *slog.Logger, r *Registry) *statistics {
	s := &statistics{logger: logger, since: time.Now(), tasks: map[string]*tally{}}
	for _, e := range r.Entries() {
		s.tasks[e.Name()] = &tally{}
	}
	return s
}

// settles takes note that a message is about to be settled.
func (s *statistics) settles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settling == 0 {
		s.settlingSince = time.Since(s.since)
	}
	s.settling++
}

// settled takes note that it is.
func (s *statistics) settled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settling--
	if s.settling == 0 {
		s.settleTime += time.Since(s.since) - s.settlingSince
	}
}

// count takes note of a request that is about to have been settled.
func (s *statistics) count(r *request) {
	s.messages.Add(1)
	t := s.tasks[r.name]
	if r.ended == "" || t == nil { // it did not run
		return
	}
	switch r.ended {
	case Success:
		t.succeeded.Add(1)
	case Failure, Revoked:
		t.failed.Add(1)
	default:
		t.retried.Add(1)
	}
	t.run.Add(int64(r.took))
	t.overhead.Add(int64(r.overhead))
	if t.runs.Add(1)%granularityRuns != 0 || t.told.Load() {
		return
	}
	if stats := s.of(r.name, t); stats.InLine() && t.told.CompareAndSwap(false, true) {
		s.logger.Warn("this task is cheaper to run in line than to send: do more in each, or call the function",
			"task", r.name, "mean run", stats.MeanRun, "mean overhead", stats.MeanOverhead)
	}
}

// of is what is known of one task that has run.
func (s *statistics) of(name string, t *tally) TaskStats {
	out := TaskStats{Name: name, Succeeded: t.succeeded.Load(), Failed: t.failed.Load(), Retried: t.retried.Load()}
	if n := time.Duration(out.Succeeded + out.Failed + out.Retried); n > 0 {
		out.MeanRun = time.Duration(t.run.Load()) / n
		out.MeanOverhead = time.Duration(t.overhead.Load())/n + s.settlingTime()/time.Duration(max(s.messages.Load(), 1))
	}
	return out
}

// settlingTime is for how long messages have been settled so far.
func (s *statistics) settlingTime() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settling == 0 {
		return s.settleTime
	}
	return s.settleTime + time.Since(s.since) - s.settlingSince
}

// Stats is what the worker has done so far.
func (w *Worker) Stats() Stats {
	out := Stats{Worker: w.config.Name, Started: w.statistics.since, Running: w.held.running(), Tasks: []TaskStats{}}
	out.Stuck, _ = w.watchdog.stuck()
	out.LostResults = w.statistics.lostResults.Load()
	for name, t := range w.statistics.tasks {
		if t.runs.Load() > 0 {
			out.Tasks = append(out.Tasks, w.statistics.of(name, t))
		}
	}
	slices.SortFunc(out.Tasks, func(a, b TaskStats) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// StatsFrom returns the statistics of the worker that runs the task; the zero Stats outside of one.
func StatsFrom(ctx context.Context) Stats {
	run := runningFrom(ctx)
	if run == nil || run.stats == nil {
		return Stats{}
	}
	stats := run.stats()
	stats.Running--
	return stats
}
