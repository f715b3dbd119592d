package task

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// lane is a queue that the worker takes from, and the slots that its tasks run in.
type lane struct {
	queue string
	pool  *pool
	// prefetch is how many messages of the queue the worker holds, unless its pace has them be more.
	prefetch int
	pace     *pace // nil: it has no say
	// bindings lead messages to the queue, besides those of the tasks.
	bindings []Binding
	// ended says that nothing is taken any more; what is here already runs.
	ended bool
}

// lanes are read for every message and hardly ever change: a change replaces the table.
type lanes struct {
	change sync.Mutex
	table  atomic.Pointer[laneTable]
}

type laneTable struct {
	byQueue map[string]*lane
	// suspects leads from the queue of those that may have ended a process to the queue that they are of.
	suspects map[string]string
}

func newLanes() *lanes {
	l := &lanes{}
	l.table.Store(&laneTable{map[string]*lane{}, map[string]string{}})
	return l
}

// of is the lane of a queue that messages were delivered from; nil if there is none.
func (l *lanes) of(queue string) *lane { return l.table.Load().byQueue[queue] }

// prefetch is how many messages of a queue the worker holds at least.
func (l *lanes) prefetch(queue string) int { return l.of(queue).prefetch }

// suspectsOf is the queue whose suspects come through the given one.
func (l *lanes) suspectsOf(probation string) (queue string, ok bool) {
	queue, ok = l.table.Load().suspects[probation]
	return queue, ok
}

// set adds a lane, or puts it in the place of the one of its queue.
func (l *lanes) set(n *lane) {
	old := l.table.Load()
	next := &laneTable{maps.Clone(old.byQueue), maps.Clone(old.suspects)}
	next.byQueue[n.queue] = n
	next.suspects[ProbationQueue(n.queue)] = n.queue
	l.table.Store(next)
}

// open are the lanes that the worker takes from, sorted by queue.
func (l *lanes) open() []*lane {
	var out []*lane
	table := l.table.Load()
	for _, queue := range slices.Sorted(maps.Keys(table.byQueue)) {
		if lane := table.byQueue[queue]; !lane.ended {
			out = append(out, lane)
		}
	}
	return out
}

// queuesOf are the queues that share the slots of a pool.
func (l *lanes) queuesOf(p *pool) []string {
	var out []string
	for _, lane := range l.open() {
		if lane.pool == p {
			out = append(out, lane.queue)
		}
	}
	return out
}

// maxLanes bounds the queues that a worker has ever taken from.
const maxLanes = 1000

// AddQueue has the worker take from one more queue, with the slots of those that have none of their own. The queue
// is made if it is missing; bindings lead messages to it besides those of the tasks whose own queue it is. It returns at once,
// and messages come when the broker has heard of it. A queue that the worker takes from already stays as it
// is. Immediate tasks go to workers that take from their queue since they started.
func (w *Worker) AddQueue(queue string, bindings ...Binding) error {
	if err := checkQueueName(queue); err != nil {
		return fmt.Errorf("worker %s: %w", w.config.Name, err)
	}
	for _, b := range bindings {
		if err := w.checkBinding(queue, b); err != nil {
			return fmt.Errorf("worker %s: %w", w.config.Name, err)
		}
	}
	w.lanes.change.Lock()
	defer w.lanes.change.Unlock()
	if err := w.checkRuns(); err != nil {
		return err
	}
	known := w.lanes.of(queue)
	switch {
	case known != nil && !known.ended:
		return nil
	case known == nil && len(w.lanes.table.Load().byQueue) >= maxLanes:
		return fmt.Errorf("worker %s: it has taken from %d queues already, and can't from more", w.config.Name, maxLanes)
	}
	if w.shared.size() == 0 {
		w.shared.resize(w.config.Concurrency)
	}
	added := w.newLane(QueueConfig{Name: queue, Bindings: slices.Clone(bindings)}, w.shared)
	w.lanes.set(added)
	for _, s := range w.subscriptionsOf(added) {
		if err := w.consumer.Add(s); err != nil {
			return fmt.Errorf("worker %s: queue %q can't be added: %w", w.config.Name, queue, err)
		}
	}
	w.logger.Info("taking from one more queue", "worker", w.config.Name, "queue", queue)
	return nil
}

func (w *Worker) checkBinding(queue string, b Binding) error {
	err := checkName(b.Exchange)
	if err == nil && b.RoutingKey != "" {
		err = checkName(b.RoutingKey)
	}
	if err != nil {
		return fmt.Errorf("the binding of queue %q: %w", queue, err)
	}
	if _, known := exchangeTypes[b.Type]; !known {
		return fmt.Errorf("the binding of queue %q: exchange type %q: there are direct, topic, fanout and headers", queue, b.Type)
	}
	return w.executor.registry.checkExchange(b, "the binding of queue "+queue)
}

// CancelQueue has the worker take no more messages from a queue. What it has of it already still runs.
func (w *Worker) CancelQueue(queue string) error {
	w.lanes.change.Lock()
	defer w.lanes.change.Unlock()
	if err := w.checkRuns(); err != nil {
		return err
	}
	open := w.lanes.of(queue)
	if open == nil || open.ended {
		return nil
	}
	ended := *open
	ended.ended = true
	w.lanes.set(&ended)
	for _, name := range append(w.slots.queuesOf(queue), queue, ProbationQueue(queue)) {
		if err := w.consumer.Remove(name); err != nil {
			return fmt.Errorf("worker %s: queue %q can't be cancelled: %w", w.config.Name, queue, err)
		}
	}
	w.logger.Info("taking no more from a queue", "worker", w.config.Name, "queue", queue)
	return nil
}

func (w *Worker) checkRuns() error {
	select {
	case <-w.started:
		return nil
	default:
		return fmt.Errorf("worker %s: it does not run yet", w.config.Name)
	}
}

// Queues are those that the worker takes from now, sorted by name.
func (w *Worker) Queues() []QueueConfig {
	var out []QueueConfig
	for _, l := range w.lanes.open() {
		q := QueueConfig{Name: l.queue, Prefetch: l.currentPrefetch()}
		q.Bindings = w.subscriptionsOf(l)[0].Bindings
		if l.pool != w.shared {
			q.Concurrency = l.pool.size()
		}
		out = append(out, q)
	}
	return out
}

// QueueAttributes are those that a queue which the worker takes from was made with. nil: the broker does not tell.
func (w *Worker) QueueAttributes(queue string) *QueueAttributes {
	if w.checkRuns() != nil {
		return nil
	}
	if inspector, ok := w.consumer.(QueueInspector); ok {
		return inspector.QueueAttributes(queue)
	}
	return nil
}
