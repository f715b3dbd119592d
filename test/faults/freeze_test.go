package faults

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// A worker is frozen for longer than the broker believes in it, and thawed.
func TestFreeze(t *testing.T) {
	alongside(t)
	heartbeat, freeze := pick(2*time.Second, 10*time.Second), pick(9*time.Second, 45*time.Second)
	p := sharedBroker(t)
	p.url += pick("?heartbeat=2", "")
	w := newWorld(t, "SIGSTOP of a worker for "+freeze.String(), p)
	const concurrency = 4
	first := w.worker("-c", "4", "-prefetch", "4")
	w.ready(first)
	s := w.send(sending{
		perSecond: 20, until: make(chan struct{}), deadline: 5 * time.Second,
		do: func(j *job) { j.Take = 100 * time.Millisecond },
	})
	w.await("tasks run", func() bool { return len(w.ledger.running(first.pid())) > 0 && w.ledger.tally().ended > 20 })
	first.signal(syscall.SIGSTOP)
	frozen := time.Now()
	held := w.ledger.running(first.pid())
	w.worker("-c", "4")
	for _, number := range held {
		w.await("the other worker has the task", func() bool {
			at, taken := w.ledger.nextStart(number, frozen)
			w.row.workerBack = max(w.row.workerBack, at.Sub(frozen))
			return taken
		})
	}
	w.within(3*heartbeat, "taking over", w.row.workerBack)
	w.remarkf("taken over after %s", seconds(w.row.workerBack))
	time.Sleep(time.Until(frozen.Add(freeze)))
	first.signal(syscall.SIGCONT)
	thawed := time.Now()
	w.await("the thawed worker works", func() bool {
		at, ran := w.ledger.firstStartBy(first.pid(), thawed.Add(500*time.Millisecond))
		w.row.workerBack = at.Sub(thawed)
		return ran
	})
	w.within(goingAgain, "the thawed worker", w.row.workerBack)
	close(s.config.until)
	s.wait()
	s.allAccepted()
	w.finish()
	if strings.Contains(first.log(), "unknown delivery tag") {
		t.Error("the thawed worker has settled something on a channel that did not deliver it")
	}
	w.atMost("started twice", w.row.startedTwice, concurrency)
}
