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
	// shortTurnover is how long the slots may take for the ordinary prefetch, of which none waits for the broker, for a queue to get the wide
	// one; longTurnover how long it may take until that is taken back.
	shortTurnover = 25 * time.Millisecond
	longTurnover  = 4 * shortTurnover
	// shortRuns is how many tasks at least must have run like that: a few short tasks among long ones say nothing. They must have
	// within shortWithin: few tasks need no wide prefetch.
	shortRuns   = 32
	shortWithin = time.Second
	// paceRest is how long a queue with short and long tasks goes without the wide prefetch after it was taken back: each time, what waits is
	// sent anew.
	paceRest = 10 * time.Second
	// paceInterval is how often a queue with the wide prefetch is looked at.
	paceInterval = 250 * time.Millisecond
)

// pace is how fast the tasks of a queue end.
type pace struct {
	wide  atomic.Bool
	ended atomic.Int64
	// busy is for how long slots have run the tasks of the current sample, mark when the first of them ended; in ns.
	busy, mark atomic.Int64
	rests      atomic.Int64 // until when there is no wide prefetch; in ns
	seen       int64        // of ended, when it was looked at last
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

// countEnd takes note that a task of the queue has ended, which a slot was busy with for so long, and gives the queue more messages at a time if
// its tasks are short. How fast they end says less: of several workers that share a queue and a machine, none is fast.
func (w *Worker) countEnd(l *lane, busy time.Duration) {
	p := l.pace
	if p == nil {
		return
	}
	total := p.busy.Add(int64(busy))
	sample := int64(max(l.prefetch, shortRuns))
	switch p.ended.Add(1) % sample {
	case 0:
	case 1:
		p.mark.Store(time.Now().UnixNano())
		return
	default:
		return
	}
	p.busy.Store(0)
	now := time.Now().UnixNano()
	within := time.Duration(now - p.mark.Load())
	turnover := time.Duration(total*int64(l.prefetch)/sample) / time.Duration(max(l.pool.size(), 1))
	if within <= shortWithin && turnover <= shortTurnover && now >= p.rests.Load() && p.wide.CompareAndSwap(false, true) {
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
	all := l.pace.ended.Load()
	ended := all - l.pace.seen
	l.pace.seen = all
	turnover := longTurnover
	if ended > 0 {
		turnover = paceInterval * time.Duration(l.prefetch) / time.Duration(ended)
	}
	switch {
	case !l.pace.wide.Load():
		// Some of the wide prefetch came before the broker had heard that it is over.
		w.giveBack(l.pool.beyond(l.queue, 2*l.prefetch)) //nolint:mnd // what is out may come on top of the new prefetch
	case turnover >= longTurnover && len(l.pool.beyond(l.queue, l.prefetch)) > 0: // much waits here, where others can't have it
		l.pace.rests.Store(time.Now().Add(paceRest).UnixNano())
		fallthrough
	case ended == 0: // nobody knows what comes next
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
