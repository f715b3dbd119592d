package task

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// lane is a queue that the worker takes from, and the slots that its tasks run in.
type lane struct {
	queue string
	pool  *pool
	// prefetch is how many messages of the queue the worker holds.
	prefetch int
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

// prefetch is how many messages of a queue the worker holds.
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
