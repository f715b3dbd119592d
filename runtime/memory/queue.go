package memory

import (
	"container/heap"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// queue holds messages in order of priority, then age, and those whose time has not come.
type queue struct {
	ready   readyHeap
	delayed delayedHeap
	dead    []*task.DeadMessage
	timer   *time.Timer
}

type item struct {
	message  *task.Message
	seq      uint64
	attempts int
}

func (q *queue) add(i *item, now time.Time) {
	if i.message.ETA.After(now) {
		heap.Push(&q.delayed, i)
		return
	}
	heap.Push(&q.ready, i)
}

// nextDue is when the next delayed message is due, zero if none waits.
func (q *queue) nextDue() time.Time {
	if q.delayed.Len() == 0 {
		return time.Time{}
	}
	return q.delayed[0].message.ETA
}

// promote makes ready what is due.
func (q *queue) promote(now time.Time) {
	for q.delayed.Len() > 0 && !q.delayed[0].message.ETA.After(now) {
		heap.Push(&q.ready, heap.Pop(&q.delayed))
	}
}

type readyHeap []*item

func (h readyHeap) Len() int { return len(h) }
func (h readyHeap) Less(a, b int) bool {
	if h[a].message.Priority != h[b].message.Priority {
		return h[a].message.Priority > h[b].message.Priority
	}
	return h[a].seq < h[b].seq
}
func (h readyHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *readyHeap) Push(x any)   { *h = append(*h, x.(*item)) }
func (h *readyHeap) Pop() any     { return pop((*[]*item)(h)) }

type delayedHeap []*item

func (h delayedHeap) Len() int           { return len(h) }
func (h delayedHeap) Less(a, b int) bool { return h[a].message.ETA.Before(h[b].message.ETA) }
func (h delayedHeap) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *delayedHeap) Push(x any)        { *h = append(*h, x.(*item)) }
func (h *delayedHeap) Pop() any          { return pop((*[]*item)(h)) }

func pop(items *[]*item) *item {
	last := len(*items) - 1
	i := (*items)[last]
	(*items)[last] = nil
	*items = (*items)[:last]
	return i
}
