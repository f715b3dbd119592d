package faults

import (
	"syscall"
	"testing"
	"time"
)

// The worker is told to stop again and again under load, and started anew.
func TestStop(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		const stops = 8
		w := newWorld(t, "8 × SIGTERM of the worker", p)
		tasks := pick(1000, 20_000)
		w.sendMany(tasks, brief)
		for k := range stops {
			worker := w.worker()
			w.await("the worker is in the middle of it", func() bool { return w.ledger.tally().ended >= (k+1)*tasks/(stops+1) })
			worker.signal(syscall.SIGTERM)
			if code := worker.exit(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		}
		w.worker()
		w.finish()
		w.atMost("started twice", w.row.startedTwice, 0)
	})
}

// Tasks that take long are let finish; what waits behind them is given back at once.
func TestStopLongTasks(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		w := newWorld(t, "SIGTERM, tasks of "+pick("4", "15")+" s within -drain", p)
		take := pick(4*time.Second, 15*time.Second)
		const running, waiting = 4, 20
		w.sendMany(running+waiting, func(j *job) {
			if j.Number < running {
				j.Take = take
			}
		})
		first := w.worker("-c", "4", "-drain", "25s")
		w.await("all slots are busy", func() bool { return len(w.ledger.running(first.pid())) == running })
		first.signal(syscall.SIGTERM)
		told := time.Now()
		w.worker("-c", "4")
		w.await("another worker has what was not started", func() bool { return w.ledger.tally().ended >= waiting })
		w.row.workerBack = time.Since(told)
		w.within(goingAgain, "giving back what was not started", w.row.workerBack)
		if !first.alive() {
			t.Error("the worker did not wait for its tasks")
		}
		if code := first.exit(patience); code != 0 {
			t.Errorf("exit code %d", code)
		}
		w.within(take+2*time.Second, "finishing", first.at.Sub(told))
		w.finish()
		w.atMost("started twice", w.row.startedTwice, 0)
	})
}

// Past the drain, contexts end; a task that ignores that is left behind, and the exit code tells.
func TestStopPastDrain(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		w := newWorld(t, "SIGTERM past -drain 1s, with a deaf task", p)
		const heedful = 3
		w.sendMany(heedful+1, func(j *job) {
			if j.Take = pick(20*time.Second, time.Minute); j.Number == heedful {
				j.Do = deaf
			}
		})
		first := w.worker("-c", "4", "-drain", "1s")
		w.await("all slots are busy", func() bool { return len(w.ledger.running(first.pid())) == heedful+1 })
		first.signal(syscall.SIGTERM)
		told := time.Now()
		if code := first.exit(patience); code != 1 {
			t.Errorf("exit code %d", code)
		}
		// The drain, what cancelled tasks get to return, and what the connections take to close.
		w.within(1*time.Second+3*time.Second+2*time.Second, "the end", first.at.Sub(told))
		w.remarkf("ended after %s", seconds(first.at.Sub(told)))
		w.worker("-c", "4")
		w.finish()
		w.atMost("started twice", w.row.startedTwice, heedful+1)
		w.atMost("completed twice", w.row.endedTwice, 0)
	})
}

// A second signal ends the worker at once.
func TestStopTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		w := newWorld(t, "SIGTERM twice", p)
		w.sendMany(4, func(j *job) { j.Take, j.Do = pick(5*time.Second, 20*time.Second), deaf })
		first := w.worker("-c", "4")
		w.await("all slots are busy", func() bool { return len(w.ledger.running(first.pid())) == 4 })
		first.signal(syscall.SIGTERM)
		w.await("the first signal is heard", func() bool { return first.says("worker is draining") })
		time.Sleep(500 * time.Millisecond) // sooner, it is taken for an echo of the first
		told := time.Now()
		first.signal(syscall.SIGTERM)
		if code := first.exit(patience); code != 1 {
			t.Errorf("exit code %d", code)
		}
		w.within(time.Second, "the end", first.at.Sub(told))
		w.worker("-c", "4")
		w.finish()
	})
}
