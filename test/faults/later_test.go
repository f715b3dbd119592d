package faults

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// schedule is when tasks are due.
type schedule struct {
	sync.Mutex
	due map[int]time.Time
}

// later gives each task a time of its own.
func (s *schedule) later(least, most time.Duration) func(*job) []task.Option {
	s.due = make(map[int]time.Time)
	return func(j *job) []task.Option {
		at := time.Now().Add(least + rand.N(most-least))
		s.Lock()
		defer s.Unlock()
		s.due[j.Number] = at
		return []task.Option{task.At(at)}
	}
}

// lateness is how long after its time each task was started first, shortest first.
func (s *schedule) lateness(l *ledger) []time.Duration {
	var late []time.Duration
	l.each(func(number int, events []event) {
		for _, e := range events {
			if due, planned := s.due[number]; planned && e.kind == started {
				late = append(late, e.at.Sub(due))
				return
			}
		}
	})
	slices.Sort(late)
	return late
}

// state puts lateness into the row; a task before its time is an error.
func (w *world) state(late []time.Duration) {
	w.Helper()
	if len(late) == 0 {
		w.Fatal("nothing has run")
	}
	p50, p99 := late[len(late)/2], late[len(late)*99/100]
	w.remarkf("late by %s (p50), %s (p99)", seconds(p50), seconds(p99))
	if late[0] < 0 {
		w.Errorf("a task was started %s before its time", -late[0])
	}
}

// laterUnderRestarts: tasks for later wait through a kill -9 of the worker and two restarts of the broker.
func laterUnderRestarts(t *testing.T, p *party) {
	p.join(t)
	w := newWorld(t, "ETA tasks, kill -9 of the worker, broker stopped 3 s, then kill -9", p.node.place)
	var plan schedule
	s := w.send(sending{
		tasks: pick(150, 1000), perSecond: pick(10, 40), senders: 16, deadline: time.Minute, until: make(chan struct{}),
		with: plan.later(time.Second, 20*time.Second),
	})
	worker := w.worker()
	w.ready(worker)
	w.await("some have run", func() bool { return w.ledger.tally().ended > 5 })
	worker.kill()
	w.worker()
	w.hurtTwice(p, s)
	s.wait()
	s.allAccepted()
	// What a node that starts sends on before the next level is there, it tries again after 3 minutes (RabbitMQ 3.10,
	// dead_letter_worker_publisher_confirm_timeout).
	w.eventually(max(patience, 4*time.Minute), func() bool { return w.ledger.tally().lost == 0 })
	w.finish()
	w.state(plan.lateness(w.ledger))
}

// retriesUnderRestarts: tasks ask to run again while the broker is away.
func retriesUnderRestarts(t *testing.T, p *party) {
	p.join(t)
	w := newWorld(t, "retries while the broker is stopped 3 s, then kill -9", p.node.place)
	w.ready(w.worker())
	s := w.send(sending{
		tasks: pick(150, 1000), perSecond: pick(10, 40), senders: 16, deadline: time.Minute, until: make(chan struct{}),
		do: func(j *job) { j.Do, j.Take = retry, 20*time.Millisecond },
	})
	w.hurtTwice(p, s)
	s.wait()
	s.allAccepted()
	w.finish()
	starts := 0
	w.ledger.each(func(_ int, events []event) { starts += count(events)[started] })
	w.remarkf("%s runs for %s", number(starts), number(3*w.row.accepted))
	w.row.startedTwice = 0 // each is started three times
}

// A million waiting tasks cost a worker nothing: here are fewer.
func waitingTasks(t *testing.T, n *node) {
	waiting := pick(200, 100_000)
	w := newWorld(t, fmt.Sprintf("%s tasks wait for their time", number(waiting)), n.place)
	worker := w.worker()
	w.ready(worker)
	w.sendMany(100, nil)
	w.await("the worker has worked", func() bool { return w.ledger.tally().ended == 100 })
	before := worker.memory()
	// So far ahead that all are still there when the memory is looked at.
	begin := time.Now()
	wait := pick(12*time.Second, 2*time.Minute)
	w.sendMany(waiting, nil, task.In(wait))
	time.Sleep(time.Second)
	after := worker.memory()
	if time.Since(begin) > wait {
		t.Fatal("the tasks are due already")
	}
	w.remarkf("memory of the worker %d MB before, %d MB with them", before>>20, after>>20)
	w.atMost("megabytes more", (after-before)>>20, 8)
	// RabbitMQ 3.10 takes some 4 ms of processor time for each on its way through the levels.
	w.eventually(pick(patience, 15*time.Minute), func() bool { return w.ledger.tally().lost == 0 })
	w.finish()
}
