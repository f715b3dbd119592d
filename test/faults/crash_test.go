package faults

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// A task that ends its process, again and again, among good ones; a supervisor starts the worker anew at once.
func TestFatalTask(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			short := fatal{workers: workers, good: 500, bad: 20, take: 10 * time.Millisecond}
			t.Run("quorum", func(t *testing.T) { alongside(t); short.run(t, sharedBroker(t)) })
			t.Run("classic", func(t *testing.T) { alongside(t); short.run(t, classic(sharedBroker(t))) })
			t.Run("sqlite", func(t *testing.T) { alongside(t); short.run(t, embedded(t)) })
		})
	}
	// They run when it is started, again and again, and have no part in what happens.
	t.Run("long", func(t *testing.T) {
		long := fatal{workers: 1, good: 4, bad: 2, take: pick(1500*time.Millisecond, 3*time.Second)}
		t.Run("quorum", func(t *testing.T) { alongside(t); long.run(t, sharedBroker(t)) })
		t.Run("sqlite", func(t *testing.T) { alongside(t); long.run(t, embedded(t)) })
	})
}

// fatal is one task that ends its process among good ones.
type fatal struct {
	workers, good, bad int
	take               time.Duration
}

func (f fatal) run(t *testing.T, p place) {
	w := newWorld(t, fmt.Sprintf("a task that ends its process; workers: %d, others take %s", f.workers, f.take), p)
	good, bad := f.good, f.bad
	w.sendMany(good+1, func(j *job) {
		if j.Take = f.take; j.Number == bad {
			j.Do = exit
		}
	})
	begin := time.Now()
	for range f.workers {
		w.supervise()
	}
	w.await("all good ones have run, the bad one is set aside", func() bool {
		return w.ledger.tally().ended == good && len(w.dead()) > 0
	})
	took := time.Since(begin)
	w.finishBut(1)
	dead := w.dead()
	if len(dead) != 1 || w.ledger.has(bad, ended) {
		t.Errorf("%d messages are set aside: %+v", len(dead), dead)
	}
	if w.row.lost == 1 && len(dead) == 1 {
		w.row.lost = 0 // it is in the dead letters
	}
	w.remarkf("set aside after %d starts; %d of %d others in %s", w.ledger.starts(bad), good, good, seconds(took))
	w.atMost("starts of the bad one", w.ledger.starts(bad), 6)
	w.within(30*time.Second+6*time.Duration(good)*f.take, "all of it", took)
}

// dead are the reasons of the dead letters.
func (w *world) dead() []task.DeadLetter {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	if w.inspector == nil {
		w.inspector = w.clientAt(w.direct)
	}
	var all []task.DeadLetter
	w.check(w.inspector.Transport().DeadLetters(ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		all = append(all, d.DeadLetter)
		return task.KeepDead, nil
	}))
	return all
}
