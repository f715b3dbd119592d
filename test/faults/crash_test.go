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
			t.Run("quorum", func(t *testing.T) { alongside(t); fatalTask(t, sharedBroker(t), workers) })
			t.Run("classic", func(t *testing.T) { alongside(t); fatalTask(t, classic(sharedBroker(t)), workers) })
			t.Run("sqlite", func(t *testing.T) { alongside(t); fatalTask(t, embedded(t), workers) })
		})
	}
}

func fatalTask(t *testing.T, p place, workers int) {
	w := newWorld(t, fmt.Sprintf("a task that ends its process; workers: %d", workers), p)
	const good, bad = 500, 20
	w.sendMany(good+1, func(j *job) {
		if j.Take = 10 * time.Millisecond; j.Number == bad {
			j.Do = exit
		}
	})
	begin := time.Now()
	for range workers {
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
	w.within(30*time.Second, "all of it", took)
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
