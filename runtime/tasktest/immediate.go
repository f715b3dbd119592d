package tasktest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

func now(s *task.Spec) { s.Immediate = true }

func testImmediateAlone(t *testing.T, w *world) {
	urgent := w.define("urgent", now)
	ctx := w.client()
	if _, err := urgent.Send(ctx, &Args{}); !errors.Is(err, task.ErrNoWorker) {
		t.Errorf("without a worker: %v, want ErrNoWorker", err)
	}
	// It was not sent: a worker that comes later has nothing to do.
	var ran atomic.Int64
	count := func(context.Context, *Args) (string, error) {
		ran.Add(1)
		return "", nil
	}
	w.work(task.WorkerConfig{}, handle{urgent, count})
	call := w.send(ctx, urgent.With(task.Immediate(false)), Args{})
	_, err := call.Get(ctx)
	w.check(err)
	if n := ran.Load(); n != 1 {
		t.Errorf("%d tasks ran, want only the one that was sent", n)
	}
	if _, err := urgent.With(task.In(1)).Send(ctx, &Args{}); err == nil || errors.Is(err, task.ErrNoWorker) {
		t.Errorf("immediately, and later: %v", err)
	}
}

// Two workers with two slots each take exactly four of many calls, and never run one that failed.
func testImmediateSlots(t *testing.T, w *world) {
	urgent := w.define("urgent", now)
	finish := make(chan struct{})
	var running sync.WaitGroup
	running.Add(4)
	var ran sync.Map
	hold := func(ctx context.Context, a *Args) (string, error) {
		if _, again := ran.LoadOrStore(task.InfoFrom(ctx).ID, true); !again {
			running.Done()
		}
		<-finish
		return a.Text, nil
	}
	for range 2 {
		worker := w.work(task.WorkerConfig{Concurrency: 2}, handle{urgent, hold})
		w.eventually("the worker is ready", worker.Ready)
	}
	ctx := w.client()
	const senders = 12
	var mu sync.Mutex
	var taken []*task.Call[string]
	refused := 0
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			call, err := urgent.Send(ctx, &Args{Text: "x"})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken = append(taken, call)
			case errors.Is(err, task.ErrNoWorker):
				refused++
			default:
				t.Errorf("want nil or ErrNoWorker: %v", err)
			}
		})
	}
	sending.Wait()
	if len(taken) != 4 || refused != senders-4 {
		t.Errorf("%d calls were taken and %d refused, want 4 and %d", len(taken), refused, senders-4)
	}
	close(finish)
	for _, call := range taken {
		if got, err := call.Get(ctx); got != "x" {
			t.Errorf("got %q, %v", got, err)
		}
		ran.Delete(call.ID)
	}
	ran.Range(func(id, _ any) bool {
		t.Errorf("task %v ran, but its caller was told that nobody takes it", id)
		return true
	})
}

// What a worker has taken is not lost when it stops, and what it has not taken does not run.
func testImmediateStop(t *testing.T, w *world) {
	urgent := w.define("urgent", now)
	var ran sync.Map
	note := func(ctx context.Context, a *Args) (string, error) {
		ran.Store(task.InfoFrom(ctx).ID, true)
		return a.Text, nil
	}
	ctx := w.client()
	stopping := w.work(task.WorkerConfig{Concurrency: 2}, handle{urgent, note})
	w.eventually("the worker is ready", stopping.Ready)
	var taken []*task.Call[string]
	for err := error(nil); err == nil; {
		var call *task.Call[string]
		if call, err = urgent.Send(ctx, &Args{Text: "x"}); err == nil {
			taken = append(taken, call)
		} else if !errors.Is(err, task.ErrNoWorker) {
			t.Errorf("want nil or ErrNoWorker: %v", err)
		}
		if len(taken) == 10 {
			go stopping.stop()
		}
	}
	w.check(stopping.stop())
	w.work(task.WorkerConfig{}, handle{urgent, note})
	for _, call := range taken {
		if got, err := call.Get(ctx); got != "x" {
			t.Errorf("got %q, %v", got, err)
		}
		ran.Delete(call.ID)
	}
	ran.Range(func(id, _ any) bool {
		t.Errorf("task %v ran, but its caller was told that nobody takes it", id)
		return true
	})
}

func testImmediateRateLimit(t *testing.T, w *world) {
	urgent := w.define("urgent", now, func(s *task.Spec) { s.RateLimit = task.PerHour })
	worker := w.work(task.WorkerConfig{}, handle{urgent, answer})
	w.eventually("the worker is ready", worker.Ready)
	ctx := w.client()
	var first *task.Call[string]
	w.eventually("the worker takes it, though it may be slow to answer", func() bool {
		var err error
		if first, err = urgent.Send(ctx, &Args{Text: "x"}); err != nil && !errors.Is(err, task.ErrNoWorker) {
			w.check(err)
		}
		return err == nil
	})
	if got, err := first.Get(ctx); got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := urgent.Send(ctx, &Args{}); !errors.Is(err, task.ErrNoWorker) {
		t.Errorf("the second one within the hour: %v, want ErrNoWorker", err)
	}
}
