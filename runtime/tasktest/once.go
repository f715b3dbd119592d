package tasktest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

func once(s *task.Spec) { s.Once = true }

// counting counts the runs of a task that fails as often as it is told, and then answers with its text.
func counting(runs *atomic.Int64, failures int64) function {
	return func(_ context.Context, a *Args) (string, error) {
		if runs.Add(1) <= failures {
			return "", errors.New("not yet")
		}
		return a.Text, nil
	}
}

// canClaim ends a test on a broker that stores no results: there a worker with tasks that are to run once must not start.
func (w *world) canClaim(t suiteTask) bool {
	w.Helper()
	if w.StoresResults {
		return true
	}
	r := task.NewRegistry()
	t.Handle(r, counting(new(atomic.Int64), 0))
	_, err := task.NewWorker(w.open(), r, task.WorkerConfig{})
	if err == nil || !strings.Contains(err.Error(), "stores no results") || !strings.Contains(err.Error(), "-results") {
		w.Errorf("without stored results the worker starts with %v", err)
	}
	return false
}

func testOnce(t *testing.T, w *world) {
	echo := w.define("echo", once)
	if !w.canClaim(echo) {
		return
	}
	var runs atomic.Int64
	var log syncBuffer
	// Two workers, so that none can know of the other's runs but by the results.
	var workers []*worker
	for _, name := range []string{"one@test", "other@test"} {
		config := task.WorkerConfig{Name: name, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		workers = append(workers, w.work(config, handle{echo, counting(&runs, 1)}))
	}
	// Until then a copy may be taken for the same message, sent again.
	settled := func() bool {
		return !slices.ContainsFunc(workers, func(one *worker) bool { return one.Stats().Running > 0 })
	}
	ctx := w.client()
	id := task.ID(uuid.NewString())
	call, err := echo.With(id).Send(ctx, &Args{Text: "first"})
	w.check(err)
	w.failed(ctx, call)
	for copies, text := range []string{"second", "third", "fourth"} {
		call, err := echo.With(id).Send(ctx, &Args{Text: text})
		w.check(err)
		w.eventually("the copy has its end", func() bool {
			status, err := call.Status(ctx)
			w.check(err)
			return status.State == task.Success && strings.Count(log.String(), "is to run once: not run") == copies && settled()
		})
		// What failed runs again, what succeeded doesn't.
		if got, err := call.Get(ctx); got != "second" || err != nil {
			t.Errorf("the result is %q, %v", got, err)
		}
	}
	if n := runs.Load(); n != 2 {
		t.Errorf("it ran %d times, once of which failed", n)
	}
}

func testOnceElsewhere(t *testing.T, w *world) {
	echo := w.define("echo", once)
	if !w.canClaim(echo) {
		return
	}
	elsewhere, ok := w.open().(task.ClaimStore)
	if !ok {
		t.Fatal("a broker that stores results is no task.ClaimStore")
	}
	id := uuid.NewString()
	if mine, err := elsewhere.Claim(w.ctx, id, "elsewhere", time.Minute); !mine || err != nil {
		t.Fatalf("claimed: %v, %v", mine, err)
	}
	var runs atomic.Int64
	var log syncBuffer
	w.work(task.WorkerConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))}, handle{echo, counting(&runs, 0)})
	ctx := w.client()
	call, err := echo.With(task.ID(id)).Send(ctx, &Args{Text: "x"})
	w.check(err)
	w.eventually("the worker finds that it runs elsewhere", func() bool { return strings.Contains(log.String(), "another run of it goes on") })
	if n := runs.Load(); n != 0 {
		t.Errorf("it ran %d times beside another one", n)
	}
	w.check(elsewhere.Unclaim(w.ctx, id, "elsewhere"))
	if got, err := call.Get(ctx); got != "x" || err != nil {
		t.Errorf("the result is %q, %v", got, err)
	}
	w.eventually("the claim is given back", func() bool {
		mine, err := elsewhere.Claim(w.ctx, id, "elsewhere", time.Minute)
		w.check(err)
		return mine
	})
}

// A worker may die when it has stored a result, and before it has sent what follows: the next one sends that, and runs nothing.
func testOnceFollowed(t *testing.T, w *world) {
	if !w.StoresResults {
		return // see canClaim
	}
	ctx := w.client()
	s := w.sums(task.WorkerConfig{Queues: []task.QueueConfig{{Name: w.queue}}})
	queue := w.queue + "-once"
	w.queues = append(w.queues, queue, queue+".dead", task.ProbationQueue(queue))
	var runs atomic.Int64
	say := task.New("conformance.once", func(context.Context, pair) (string, error) {
		runs.Add(1)
		return "run", nil
	}, task.Spec{Queue: queue, Once: true})
	stored := w.message("")
	w.check(w.open().StoreResult(w.ctx, result(stored, task.Success, `"stored"`)))
	r := task.NewRegistry()
	say.Register(r)
	w.run(r, task.WorkerConfig{Name: "once@test", Queues: []task.QueueConfig{{Name: queue}}})
	_, err := say.With(task.ID(stored.ID), task.Link(s.tell("copy"))).Delay(ctx, pair{})
	w.check(err)
	w.eventually("what follows has run", func() bool { return s.noted("stored copy") })
	if n := runs.Load(); n != 0 {
		t.Errorf("it ran %d times, though its result was stored", n)
	}
}
