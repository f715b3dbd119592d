package faults

import (
	"errors"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Things of the broker go away under both sides.
func TestDeleted(t *testing.T) {
	queueDeleted := func(w *world) {
		_, err := w.admin().QueueDelete(w.queue, false, false, false)
		w.check(err)
	}
	for _, fault := range []struct {
		name    string
		classic bool
		routed  bool // through an exchange
		hurt    func(w *world)
	}{
		{name: "queue deleted, consumer cancelled", hurt: queueDeleted},
		{name: "queue deleted, consumer cancelled", classic: true, hurt: queueDeleted},
		{name: "exchange deleted", routed: true, hurt: func(w *world) { w.check(w.admin().ExchangeDelete(w.exchange(), false, false)) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			alongside(t)
			p := sharedBroker(t)
			if fault.classic {
				p = classic(p)
			}
			w := newWorld(t, fault.name, p)
			w.ready(w.worker())
			s := w.send(sending{
				perSecond: pick(50, 100), senders: 16, deadline: 10 * time.Second, until: make(chan struct{}),
				with: func(*job) []task.Option {
					if fault.routed {
						return []task.Option{task.Exchange(w.exchange())}
					}
					return nil
				},
			})
			w.await("tasks run", func() bool { return w.ledger.tally().ended > 50 })
			begin := time.Now()
			fault.hurt(w)
			over := time.Now()
			w.awaitAgain(s, over)
			time.Sleep(2 * time.Second)
			close(s.config.until)
			s.wait()
			s.allAccepted()
			w.awaitQuiet()
			gone := 0
			for _, c := range s.all() {
				if c.err != nil || w.ledger.has(c.task, ended) {
					continue
				}
				// What lay in the queue is gone with it.
				if gone++; !fault.routed && c.begin.Before(over) && c.end.After(begin.Add(-time.Second)) {
					continue
				}
				t.Errorf("task %d, accepted between %s and %s after the deletion, is lost", c.task, c.begin.Sub(over), c.end.Sub(over))
			}
			if gone > 0 {
				w.remarkf("%d lay in the queue", gone)
			}
			w.finishBut(gone)
			if fault.routed {
				w.check(w.admin().ExchangeDelete(w.exchange(), false, false))
			}
		})
	}
}

// Nothing that no queue takes looks accepted, however many others are.
func TestUnroutable(t *testing.T) {
	alongside(t)
	w := newWorld(t, "unroutable calls among others, 16 at once", sharedBroker(t))
	admin := w.admin()
	w.check(admin.ExchangeDeclare(w.exchange(), task.Direct, true, false, false, false, nil))
	defer func() { _ = admin.ExchangeDelete(w.exchange(), false, false) }()
	w.worker("-c", "20")
	total := pick(3000, 64_000)
	s := w.send(sending{
		tasks: total, senders: 16,
		with: func(j *job) []task.Option {
			if j.Number%2 == 0 {
				return nil
			}
			return []task.Option{task.Exchange(w.exchange()), task.RoutingKey("nobody")}
		},
	})
	s.wait()
	looked := 0
	for _, c := range s.all() {
		switch unroutable := c.task%2 == 1; {
		case unroutable && c.err == nil:
			looked++
		case unroutable && !errors.Is(c.err, task.ErrUnroutable), !unroutable && c.err != nil:
			t.Errorf("task %d: %v", c.task, c.err)
		}
	}
	w.remarkf("%d of %s unroutable looked accepted", looked, number(total/2))
	w.atMost("unroutable calls that looked accepted", looked, 0)
	w.finish()
	w.atMost("unroutable tasks that ran", w.ledger.tally().rejectedAndRun, 0)
}
