package task_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

type noArgs struct{}

func (*noArgs) Visit(codec.Fields) {}

var (
	// deaf ends when it is told to, and heeds no context.
	deaf  = task.Define[noArgs](task.Spec{Name: "test.deaf", Timeout: time.Minute}, codec.String[string])
	brief = task.Define[noArgs](task.Spec{Name: "test.brief", Queue: "other"}, codec.String[string])
)

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// ward is a worker in a synctest bubble, whose deaf tasks wait for release.
type ward struct {
	*testing.T
	worker  *task.Worker
	ctx     context.Context // has a client
	log     journal
	release chan struct{}
	stop    context.CancelFunc
	ended   chan error
}

func newWard(t *testing.T, config task.WorkerConfig) *ward {
	w := &ward{T: t, release: make(chan struct{}), ended: make(chan error, 1)}
	r := task.NewRegistry()
	deaf.Handle(r, w.ignoreContext)
	brief.Handle(r, func(context.Context, *noArgs) (string, error) { return "", nil })
	config.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	transport := memory.New()
	var err error
	if w.worker, err = task.NewWorker(transport, r, config); err != nil {
		t.Fatal(err)
	}
	w.ctx = task.WithClient(t.Context(), task.NewClient(transport, task.ClientConfig{}))
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.ended <- w.worker.Run(ctx) }()
	return w
}

// ignoreContext is what the stack of a deaf task shows.
func (w *ward) ignoreContext(context.Context, *noArgs) (string, error) {
	<-w.release
	return "", nil
}

func (w *ward) send(n int) {
	w.Helper()
	for range n {
		if _, err := deaf.Send(w.ctx, new(noArgs)); err != nil {
			w.Fatal(err)
		}
	}
}

// after lets time pass, then looks.
func (w *ward) after(d time.Duration, stuck int, live string) {
	w.Helper()
	time.Sleep(d)
	synctest.Wait()
	if n := w.worker.Stats().Stuck; n != stuck {
		w.Errorf("%d tasks are stuck, want %d", n, stuck)
	}
	switch err := w.worker.Live(); {
	case err == nil && live != "", err != nil && live == "":
		w.Errorf("the worker's health: %v, want %q", err, live)
	case err != nil && !strings.Contains(err.Error(), live):
		w.Errorf("the worker's health: %v, want %q in it", err, live)
	}
}

// logged counts records.
func (w *ward) logged(what string, want int) {
	w.Helper()
	synctest.Wait()
	if n := strings.Count(w.log.String(), what); n != want {
		w.Errorf("%q is logged %d times, want %d, in:\n%s", what, n, want, &w.log)
	}
}

func TestStuckTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, task.WorkerConfig{Concurrency: 2})
		w.send(2)
		w.after(time.Minute+9*time.Second, 0, "")
		w.logged("stuck", 0)
		w.after(3*time.Second, 2, "stuck tasks hold every slot for these queues: other, tasks")
		w.after(time.Hour, 2, "every slot")
		w.logged("a task is stuck", 2)
		w.logged("(*ward).ignoreContext", 2)
		w.logged("the task's timeout has passed (1m0s)", 2)
		w.logged("(*executor).run", 0) // what is not the task's own
		w.release <- struct{}{}
		w.after(0, 1, "")
		w.logged("a stuck task has returned", 1)
		w.release <- struct{}{}
		w.after(0, 0, "")
		w.logged("a stuck task has returned", 2)
		w.stop()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
	})
}

// One queue without a slot is enough: what the worker has prefetched from it nobody else gets.
func TestStuckQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, task.WorkerConfig{Queues: []task.QueueConfig{{Name: "tasks", Concurrency: 1}, {Name: "other"}}})
		w.send(1)
		w.after(2*time.Minute, 1, "these queues: tasks")
		w.release <- struct{}{}
		w.after(0, 0, "")
		w.stop()
		<-w.ended
	})
}

func TestMaxStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, task.WorkerConfig{Concurrency: 4, MaxStuck: 2})
		w.send(2)
		w.after(2*time.Minute, 2, "")
		w.send(1)
		w.after(2*time.Minute, 3, "3 tasks are stuck, more than 2")
		close(w.release)
		w.after(0, 0, "")
		w.stop()
		<-w.ended
	})
}

// What still runs when the worker ends is named, with its stack. Meanwhile the worker is live, but not ready.
func TestDrainTellsWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, task.WorkerConfig{Concurrency: 1, Drain: time.Second})
		w.send(1)
		w.after(2*time.Minute, 1, "every slot")
		if !w.worker.Ready() {
			t.Error("the worker is not ready")
		}
		w.stop()
		w.after(0, 1, "")
		if w.worker.Ready() {
			t.Error("the worker is ready while it drains")
		}
		if err := <-w.ended; err == nil || !strings.Contains(err.Error(), "1 tasks still ran") {
			t.Errorf("got %v", err)
		}
		w.logged("the worker stops while the task runs", 1)
		w.logged("(*ward).ignoreContext", 2)
		close(w.release)
		synctest.Wait()
	})
}

// doorman is a broker that refuses workers.
type doorman struct {
	*memory.Transport
	refused error
}

func (d *doorman) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	c, err := d.Transport.Consume(config)
	config.Refused(d.refused)
	config.Refused(d.refused)
	return c, err
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, wait := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cause := errors.New("who are you?")
			w, err := task.NewWorker(&doorman{memory.New(), cause}, task.NewRegistry(), task.WorkerConfig{WaitForLogin: wait, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			err = w.Run(ctx)
			if wait && (err != nil || ctx.Err() == nil) {
				t.Errorf("the worker does not wait: %v", err)
			}
			if !wait && (!errors.Is(err, cause) || ctx.Err() != nil) {
				t.Errorf("got %v", err)
			}
		})
	}
}
