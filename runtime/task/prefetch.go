package task

import (
	"context"
	"sync/atomic"
	"time"
)

// How many messages of a queue a worker holds is a matter of how long its tasks take. What is held of long tasks waits here while
// another worker may be idle; short ones are over before the broker has sent the next, if few are held. So a queue
// has a few for each slot, and more while they are gone in no time.
const (
	// prefetchPerSlot keeps slots busy over the round trip to the broker.
	prefetchPerSlot = 4
	// widePrefetch is as much as makes a difference: RabbitMQ's quorum queues deliver 1.7 times as fast as with 64, and 3.6
	// times as with 10.
	widePrefetch = 256
	// shortTurnover is how soon the ordinary prefetch must have run for a queue to get the wide one, and longTurnover how long it
	// may take until that is taken back.
	shortTurnover = 25 * time.Millisecond
	longTurnover  = 4 * shortTurnover
	// shortRuns is how many ordinary prefetches must have run like that: a few short tasks among long ones say nothing.
	shortRuns = 4
	// paceInterval is how often a queue with the wide prefetch is looked at.
	paceInterval = 250 * time.Millisecond
)

// pace is how fast the tasks of a queue end.
type pace struct {
	wide  atomic.Bool
	ended atomic.Int64 // since it was looked at
	// all are those that ended while the prefetch was the ordinary one, mark when the last shortRuns of it had; in ns.
	all, mark atomic.Int64
}

// newPace is nil for a queue whose prefetch is given, or large anyway.
func newPace(given bool, prefetch int) *pace {
	if given || prefetch >= widePrefetch {
		return nil
	}
	return &pace{}
}

// currentPrefetch is how many messages of the queue the worker holds now.
func (l *lane) currentPrefetch() int {
	if l.pace != nil && l.pace.wide.Load() {
		return widePrefetch
	}
	return l.prefetch
}

// countEnd takes note that a task of the queue has ended, and gives the queue more messages at a time if its tasks are short.
func (w *Worker) countEnd(l *lane) {
	p := l.pace
	if p == nil {
		return
	}
	p.ended.Add(1)
	if p.wide.Load() || p.all.Add(1)%int64(shortRuns*l.prefetch) != 0 {
		return
	}
	now := time.Now().UnixNano()
	if time.Duration(now-p.mark.Swap(now)) <= shortRuns*shortTurnover && p.wide.CompareAndSwap(false, true) {
		w.consumer.Resize(l.queue, widePrefetch)
	}
}

// adaptPrefetches takes that back from queues whose tasks have become long, until ctx ends.
func (w *Worker) adaptPrefetches(ctx context.Context) {
	ticks := time.NewTicker(paceInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		for _, l := range w.lanes.open() {
			if l.pace != nil {
				w.adaptPrefetch(l)
			}
		}
	}
}

func (w *Worker) adaptPrefetch(l *lane) {
	turnover := longTurnover
	if ended := l.pace.ended.Swap(0); ended > 0 {
		turnover = paceInterval * time.Duration(l.prefetch) / time.Duration(ended)
	}
	switch {
	case !l.pace.wide.Load():
		// Some of the wide prefetch came before the broker had heard that it is over.
		w.giveBack(l.pool.beyond(l.queue, 2*l.prefetch)) //nolint:mnd // what is out may come on top of the new prefetch
	case turnover >= longTurnover:
		l.pace.wide.Store(false)
		w.consumer.Resize(l.queue, l.prefetch)
	}
}

// giveBack sends requests to their queue again, for others. Handed back to the broker they would come as suspects.
func (w *Worker) giveBack(rs []*request) {
	for _, r := range rs {
		if w.held.take(r) {
			go func() {
				defer w.held.done()
				w.release(r, Outcome{Publish: []*Message{later(r.message)}})
			}()
		}
	}
}

// beyond are the requests of a queue in line, but for the first ones and for suspects.
func (p *pool) beyond(queue string, keep int) []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []*request
	for _, r := range p.line {
		if r.question != nil || r.turn != nil || r.message.Queue != queue {
			continue
		}
		if keep--; keep < 0 {
			out = append(out, r)
		}
	}
	return out
}
