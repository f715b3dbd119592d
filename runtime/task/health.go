package task

import (
	"fmt"
	"strings"
	"time"
)

// maxRound is how long the worker's own loop, which comes round each second, may take.
const maxRound = 30 * time.Second

// Live tells what is wrong with the worker that only a new process mends; nil if nothing is. It is so
// if all slots of some queue, or more than Config.MaxStuck of all, are held by stuck tasks: those that
// have not returned 10 s after their contexts ended. It asks nobody: a broker that is down is no
// reason to start anew. A worker that has not started to run, or drains, is live.
func (w *Worker) Live() error {
	round := w.watchdog.round.Load()
	if round == nil || w.held.isClosed() {
		return nil
	}
	if late := time.Since(*round); late > maxRound {
		return fmt.Errorf("worker %s: its loop has not come round for %s", w.config.Name, late.Round(time.Second))
	}
	n, blocked := w.watchdog.stuck()
	if len(blocked) > 0 {
		queues := w.lanes.queuesOf(blocked[0])
		return fmt.Errorf("worker %s: stuck tasks hold every slot for these queues: %s", w.config.Name, strings.Join(queues, ", "))
	}
	if most := w.config.MaxStuck; most > 0 && n > most {
		return fmt.Errorf("worker %s: %d tasks are stuck, more than %d", w.config.Name, n, most)
	}
	return nil
}
