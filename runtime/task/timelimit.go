package task

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// timeouts are those that were set while the worker runs, by task.
type timeouts struct {
	change sync.Mutex
	byTask atomic.Pointer[map[string]time.Duration]
}

// of is the timeout of a task, 0 if it has none.
func (t *timeouts) of(spec *Spec) time.Duration {
	if byTask := t.byTask.Load(); byTask != nil {
		if timeout, ok := (*byTask)[spec.Name]; ok {
			return timeout
		}
	}
	return spec.Timeout
}

func (t *timeouts) set(name string, timeout time.Duration) {
	t.change.Lock()
	defer t.change.Unlock()
	next := map[string]time.Duration{}
	if old := t.byTask.Load(); old != nil {
		next = maps.Clone(*old)
	}
	next[name] = timeout
	t.byTask.Store(&next)
}

// TimeLimit is the timeout of a task at this worker, 0 if it has none.
func (w *Worker) TimeLimit(name string) time.Duration {
	entry, ok := w.executor.registry.Lookup(name)
	if !ok {
		return 0
	}
	return w.executor.timeouts.of(entry.spec)
}

// SetTimeLimit changes the timeout of a task at this worker, for runs that begin from now on. Celery has a hard limit and
// a soft one: the sooner one ends the context of a run. 0 is none; with both 0 the task has no timeout, whatever its
// directives say. The limit of a single message holds all the same.
func (w *Worker) SetTimeLimit(name string, hard, soft time.Duration) error {
	if _, ok := w.executor.registry.Lookup(name); !ok {
		return fmt.Errorf("task %q is not registered at this worker", name)
	}
	if hard < 0 || soft < 0 {
		return fmt.Errorf("task %q: a time limit can't be negative", name)
	}
	limit := hard
	if limit == 0 || soft != 0 && soft < limit {
		limit = soft
	}
	w.executor.timeouts.set(name, limit)
	return nil
}
