package events_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

// seen counts how often its arguments are visited, to be read, written or shown.
type seen struct{}

var visits atomic.Int64

func (*seen) Visit(f codec.Fields) {
	visits.Add(1)
	f.Field("n").Int(1, 64)
}

// Without somebody who wants events of tasks, the stages of a task cost nothing. It is not parallel, since all of the
// process is measured.
func TestStagesCostNothingUnasked(t *testing.T) {
	w := newWorld(t, "memory:"+uuid.NewString())
	shown := 0
	count := task.Define[seen](task.Spec{Name: "test.count", Queue: w.queue}, func(v codec.Value, _ *task.None) {
		shown++
		v.Present(false)
	})
	ended := make(chan struct{})
	r := task.NewRegistry()
	count.Handle(r, func(context.Context, *seen) (none task.None, err error) { return none, nil },
		task.Hooks{AfterReturn: func(context.Context, *task.Attempt) { ended <- struct{}{} }})
	w.run(r, events.Config{Interval: time.Hour})
	w.awaitKind("worker-online")
	ctx := task.WithClient(w.ctx, task.NewClient(w.transport, task.ClientConfig{}))
	send := count.With(task.IgnoreResult(true))
	run := func() {
		if _, err := send.Send(ctx, &seen{}); err != nil {
			t.Error(err)
		}
		<-ended
	}
	const runs = 200
	measure := func() (allocations float64, visited, shows int64) {
		run()
		visits.Store(0)
		shown = 0
		allocations = testing.AllocsPerRun(runs, run)
		return allocations, visits.Load() / (runs + 1), int64(shown / (runs + 1))
	}

	never, visitedNever, shownNever := measure()
	if visitedNever != 2 || shownNever != 0 { // to write the message, and to read it
		t.Errorf("arguments visited %d times, result %d times, though nobody listens", visitedNever, shownNever)
	}
	w.dispatcher.Enable()
	asked, _, shownAsked := measure()
	w.dispatcher.Disable()
	w.await("the last event", func(told) bool { return w.counts("task-succeeded") == runs+2 })
	again, _, _ := measure()
	t.Logf("allocations of a task: %.0f before, %.0f with events, %.0f after", never, asked, again)
	if shownAsked != 1 || asked < never+10 {
		t.Errorf("with events: result shown %d times, %.0f allocations after %.0f: this test does not see what events cost", shownAsked, asked, never)
	}
	if again > never+3 { // the rest of the process allocates too
		t.Errorf("%.0f allocations after events were wanted, %.0f before", again, never)
	}
}

// A broker that takes nothing holds up no task: what finds no room is dropped, and counted.
func TestEventsNeverHoldUpTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "memory:"+uuid.NewString())
	join := task.Define[pair](task.Spec{Name: "test.join", Queue: w.queue}, codec.String[string])
	r := task.NewRegistry()
	join.Handle(r, func(_ context.Context, p *pair) (string, error) { return p.A, nil })
	stuck := &stuckBroadcaster{Broadcaster: w.transport, free: make(chan struct{})}
	w.runWith(r, stuck, events.Config{Tasks: true})
	ctx := task.WithClient(w.ctx, task.NewClient(w.transport, task.ClientConfig{}))
	const tasks = 1500 // three events each, more than there is room for
	calls, err := join.DelayMany(ctx, make([]pair, tasks))
	w.check(err)
	for _, call := range calls {
		_, err := call.Get(ctx)
		w.check(err)
	}
	if n := w.dispatcher.Dropped(); n == 0 || n > 3*tasks {
		t.Errorf("%d events of %d tasks were dropped", n, tasks)
	}
	close(stuck.free)
	w.stop() // which ends, too
}

// stuckBroadcaster takes no broadcast until it is free, though a transport never waits.
type stuckBroadcaster struct {
	task.Broadcaster
	free chan struct{}
}

func (s *stuckBroadcaster) Broadcast(ctx context.Context, b *task.Broadcast) error {
	<-s.free
	return s.Broadcaster.Broadcast(ctx, b)
}
