package task

import "fmt"

// Grow gives the worker n more slots, for the queues that have none of their own. There can be no more than the messages that it
// holds: see WorkerConfig.Prefetch.
func (w *Worker) Grow(n int) error { return w.resize(n) }

// Shrink takes n slots away again; one is left. Running tasks end first.
func (w *Worker) Shrink(n int) error { return w.resize(-n) }

func (w *Worker) resize(n int) error {
	w.lanes.change.Lock()
	defer w.lanes.change.Unlock()
	most := 0
	for _, l := range w.lanes.open() {
		if l.pool == w.shared {
			most = max(most, l.prefetch)
		}
	}
	slots := w.shared.size()
	switch {
	case most == 0:
		return fmt.Errorf("worker %s: all of its queues have slots of their own, which stay as they are", w.config.Name)
	case n > most-slots:
		return fmt.Errorf("worker %s: %d more slots would be more than the %d messages that it holds of a queue: start it with a larger prefetch", w.config.Name, n, most)
	case n <= -slots:
		return fmt.Errorf("worker %s: it has %d slots, and must keep one", w.config.Name, slots)
	}
	w.shared.resize(slots + n)
	w.logger.Info("slots were changed", "worker", w.config.Name, "slots", slots+n)
	return nil
}

// Slots is how many tasks can run at a time.
func (w *Worker) Slots() int {
	n := 0
	for _, p := range w.pools {
		n += p.size()
	}
	return n
}

// Shutdown ends Run as the end of its context does: the worker drains.
func (w *Worker) Shutdown() {
	w.logger.Info("worker is told to shut down", "worker", w.config.Name)
	w.tell()
}

// Registry has the tasks that the worker runs.
func (w *Worker) Registry() *Registry { return w.executor.registry }

// Transport is what the worker works with.
func (w *Worker) Transport() Transport { return w.transport }
