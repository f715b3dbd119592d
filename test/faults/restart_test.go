package faults

import (
	"fmt"
	"testing"
	"time"
)

// youngQueue is how long a quorum queue must exist to find its leader again after a kill -9 of its node. RabbitMQ
// 3.10.8 needs it, whatever the client.
const youngQueue = 4 * time.Second

// The broker is stopped for 3 s, and later killed.
func TestBrokerRestart(t *testing.T) {
	alongside(t)
	n := ownNode(t, "restart")
	scenarios := []func(*testing.T, *party){
		func(t *testing.T, p *party) { underRestarts(t, p, n.place, fleet{1, 10, 0}) },
		func(t *testing.T, p *party) { underRestarts(t, p, n.place, fleet{3, 10, 0}) },
		func(t *testing.T, p *party) { underRestarts(t, p, classic(n.place), fleet{1, 10, 0}) },
		func(t *testing.T, p *party) { underRestarts(t, p, classic(n.place), fleet{3, 10, 0}) },
		func(t *testing.T, p *party) { underRestarts(t, p, n.place, fleet{3, 3, 3}) },
		laterUnderRestarts,
		retriesUnderRestarts,
	}
	defer func() {
		t.Run("rest", func(t *testing.T) {
			t.Run("waiting tasks", func(t *testing.T) { alongside(t); waitingTasks(t, n) })
			if long { // the short form is a test of runtime/rabbitmq
				t.Run("consumer timeout", func(t *testing.T) { alongside(t); consumerTimeout(t, n) })
			}
		})
		t.Run("memory alarm", func(t *testing.T) { memoryAlarm(t, n) })
	}()
	if long {
		for i, scenario := range scenarios {
			t.Run(fmt.Sprint(i), func(t *testing.T) { scenario(t, newParty(n, 1)) })
		}
		return
	}
	p := newParty(n, len(scenarios))
	t.Run("all", func(t *testing.T) {
		for i, scenario := range scenarios {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				scenario(t, p)
			})
		}
	})
}

// fleet is how many workers there are, and the -c and -prefetch of each; 0: the default.
type fleet struct{ workers, slots, prefetch int }

func (f fleet) String() string {
	name := fmt.Sprintf("workers: %d", f.workers)
	if f.prefetch > 0 {
		name += fmt.Sprintf(" with -c %d -prefetch %d", f.slots, f.prefetch)
	}
	return name
}

// underRestarts sends and runs tasks all the time, with a backlog that waits.
func underRestarts(t *testing.T, p *party, b place, f fleet) {
	p.join(t)
	w := newWorld(t, fmt.Sprintf("broker stopped 3 s, then kill -9; %s", f), b)
	slots := f.workers * f.slots
	backlog, stream, perSecond := pick(100, 2000), pick(600, 18_000), pick(40, 350)
	// Together they are a little faster than the stream, so that there is a backlog for most of the time.
	slow := func(j *job) { j.Take = time.Second * time.Duration(slots) * 4 / time.Duration(5*perSecond) }
	w.sendMany(backlog, slow)
	var all []*process
	for range f.workers {
		all = append(all, w.worker("-c", fmt.Sprint(f.slots), "-prefetch", fmt.Sprint(f.prefetch)))
	}
	w.ready(all...)
	s := w.send(sending{tasks: stream, do: slow, perSecond: perSecond, senders: 16, deadline: time.Minute, until: make(chan struct{})})
	w.hurtTwice(p, s)
	s.wait()
	s.allAccepted()
	for _, worker := range all {
		if !worker.alive() {
			t.Error("a worker has ended")
		}
	}
	w.finish()
	// A worker knows what it has had; of what another one has had it knows nothing.
	const faults = 2
	if f.workers == 1 {
		w.atMost("started twice", w.row.startedTwice, 0)
	} else {
		w.atMost("started twice", w.row.startedTwice, slots*faults)
	}
}

// hurtTwice has the broker stopped and killed while tasks are sent, and lets the sending end.
func (w *world) hurtTwice(p *party, s *sent) {
	w.Helper()
	defer close(s.config.until)
	time.Sleep(youngQueue)
	for _, hurt := range []func(*node){stopAndStart, killAndStart} {
		before := len(s.all())
		w.await("the stream goes on", func() bool { return len(s.all()) >= before+max(20, s.config.tasks/5) })
		open := p.outage(hurt)
		w.awaitAgain(s, open)
	}
}
