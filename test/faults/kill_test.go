package faults

import (
	"math/rand/v2"
	"testing"
	"time"
)

// brief gives a task a few dozen milliseconds.
func brief(j *job) { j.Take = time.Duration(20+rand.N(40)) * time.Millisecond }

// everywhere runs a scenario on quorum queues, and on SQLite.
func everywhere(t *testing.T, scenario func(*testing.T, place)) {
	t.Run("rabbitmq", func(t *testing.T) { alongside(t); scenario(t, sharedBroker(t)) })
	t.Run("sqlite", func(t *testing.T) { alongside(t); scenario(t, embedded(t)) })
}

// The worker is killed again and again in the middle of its tasks, and started again at once.
func TestKill(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		w := newWorld(t, pick("4", "20")+" × kill -9 of the worker", p)
		tasks, kills := pick(1000, 20_000), pick(4, 20)
		const concurrency = 10
		w.sendMany(tasks, brief)
		worker := w.worker("-c", "10", "-l", "warn")
		var rerun time.Duration
		for k := range kills {
			w.await("the worker is in the middle of it", func() bool { return w.ledger.tally().ended >= (k+1)*tasks/(kills+1) })
			worker.kill()
			died := time.Now()
			running := w.ledger.running(worker.pid())
			if len(running) == 0 {
				t.Log("nothing was running at a kill")
			}
			worker = w.worker("-c", "10", "-l", "warn")
			for _, number := range running {
				w.await("what was running runs again", func() bool {
					at, ok := w.ledger.nextStart(number, died)
					rerun = max(rerun, at.Sub(died))
					return ok
				})
			}
		}
		w.finish()
		w.row.workerBack = rerun
		w.within(goingAgain, "running again what was running at a kill", rerun)
		w.atMost("started twice", w.row.startedTwice, concurrency*kills)
		// What has ended and is not settled: on a busy machine, that can be every slot's.
		w.atMost("completed twice", w.row.endedTwice, pick(concurrency*kills, kills))
	})
}
