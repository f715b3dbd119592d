package tasktest

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

// abandon takes messages as a worker does that ends without a word.
func (w *world) abandon(queue string, messages int) {
	w.Helper()
	crashing := w.Open(w)
	in := w.consume(crashing, task.Subscription{Queue: queue, Prefetch: messages})
	for range messages {
		in.next()
	}
	w.check(in.Close())
	w.check(crashing.Close())
}

// What another worker had when it ended runs here, each once.
func testSuspects(t *testing.T, w *world) {
	echo := w.define("echo")
	ctx := w.client()
	calls := make([]*task.Call[string], 20)
	for i := range calls {
		calls[i] = w.send(ctx, echo, Args{Number: int64(i)})
	}
	w.abandon(w.queue, len(calls))
	var runs, told atomic.Int64
	w.work(task.WorkerConfig{}, handle{echo, func(ctx context.Context, _ *Args) (string, error) {
		runs.Add(1)
		if info := task.InfoFrom(ctx); info.Delivery.Redelivered && info.Delivery.Queue == w.queue {
			told.Add(1)
		}
		return "ran", nil
	}})
	for _, call := range calls {
		if _, err := call.Get(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if runs.Load() != int64(len(calls)) || told.Load() != runs.Load() {
		t.Errorf("%d tasks ran %d times; %d were told that they were delivered before", len(calls), runs.Load(), told.Load())
	}
}

// A message whose workers have all ended is parked after its sixth start, and not before.
func testCrashes(t *testing.T, w *world) {
	for name, c := range map[string]struct {
		starts int32
		parked bool
	}{"one start left": {4, false}, "no start left": {5, true}} {
		queue := w.named(strings.ReplaceAll(name, " ", "-"))
		echo := w.define("echo", func(s *task.Spec) { s.Queue = queue })
		ctx := w.client()
		probation := queue + ".probation"
		w.queues = append(w.queues, probation)
		call, err := echo.With(task.Queue(probation), task.Header("taskgen-starts", c.starts)).Send(ctx, &Args{Text: "kept"})
		w.check(err)
		w.abandon(probation, 1)
		w.work(task.WorkerConfig{Queues: []task.QueueConfig{{Name: queue}}},
			handle{echo, func(context.Context, *Args) (string, error) { return "ran", nil }})
		if !c.parked {
			if _, err := call.Get(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if failure := w.failed(ctx, call); failure.Type != "WorkerLostError" || !strings.Contains(failure.Message, "6 times") {
			t.Errorf("%s: the failure is %v", name, failure)
		}
		if dead := w.deadLettersOf(queue, 1)[0]; dead.Reason != task.ReasonCrash || !strings.Contains(string(dead.Message.Body), "kept") {
			t.Errorf("%s: parked as %+v", name, dead)
		}
	}
}

// Suspects that take long keep neither each other nor anybody else from running.
func testLongSuspects(t *testing.T, w *world) {
	slow, quick := w.define("slow"), w.define("quick")
	ctx := w.client()
	const suspects = 3
	calls := make([]*task.Call[string], suspects)
	for i := range calls {
		calls[i] = w.send(ctx, slow, Args{})
	}
	w.abandon(w.queue, suspects)
	var running atomic.Int64
	together := make(chan struct{})
	w.work(task.WorkerConfig{Concurrency: suspects + 1},
		handle{slow, func(ctx context.Context, _ *Args) (string, error) {
			if running.Add(1) == suspects {
				close(together)
			}
			select {
			case <-together:
				return "together", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}},
		handle{quick, func(context.Context, *Args) (string, error) { return "quick", nil }})
	w.eventually("a suspect runs", func() bool { return running.Load() > 0 })
	if _, err := w.send(ctx, quick, Args{}).Get(ctx); err != nil {
		t.Error(err)
	}
	for _, call := range calls {
		if _, err := call.Get(ctx); err != nil {
			t.Error(err)
		}
	}
}

// A call that was sent twice under one id runs once while the first is waiting or running.
func testSentTwice(t *testing.T, w *world) {
	held, next := w.define("held"), w.define("next")
	var runs atomic.Int64
	release := make(chan struct{})
	w.work(task.WorkerConfig{},
		handle{held, func(context.Context, *Args) (string, error) {
			runs.Add(1)
			<-release
			return "held", nil
		}},
		handle{next, func(context.Context, *Args) (string, error) { return "next", nil }})
	ctx := w.client()
	same := held.With(task.ID("the-id-" + w.queue))
	call := w.send(ctx, same, Args{})
	w.eventually("the task runs", func() bool { return runs.Load() == 1 })
	w.send(ctx, same, Args{})
	// What is sent after the second copy has run, so that has been delivered.
	if _, err := w.send(ctx, next, Args{}).Get(ctx); err != nil {
		t.Error(err)
	}
	close(release)
	if _, err := call.Get(ctx); err != nil {
		t.Error(err)
	}
	if runs.Load() != 1 {
		t.Errorf("it ran %d times", runs.Load())
	}
}
