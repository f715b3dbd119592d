package rabbitmq

import (
	"context"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// acks settles the deliveries of a channel. Acks that may be late go together, the most of them as one frame that
// acks all up to a tag: a quorum queue then takes 1.8 times as many.
type acks struct {
	channel *amqp.Channel
	wake    chan struct{} // buffered: something is ready
	full    chan struct{} // buffered: enough is ready

	flushing sync.Mutex
	mu       sync.Mutex
	// unsettled are the deliveries that the broker waits for.
	unsettled map[uint64]delivery
	// All tags up to seen were taken note of, and those in ahead.
	seen  uint64
	ahead map[uint64]struct{}
	ready int // how many are ready
	// results is what the results of those that are ready leave by; nil if there are none.
	results *coalescer
}

// delivery is what becomes of a delivery.
type delivery struct {
	progress
	batch int // how many may be ready before their acks go out
}

type progress uint8

const (
	held    progress = iota
	claimed          // somebody settles it
	ready            // to be acked
	leaving          // its ack goes out now
)

// maxAckDelay is how late an ack may be. There is a quarter of the prefetch at most, too.
const (
	maxAckDelay  = 2 * time.Millisecond
	ackBatchPart = 4
)

func newAcks(ch *amqp.Channel) *acks {
	return &acks{
		channel: ch, wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		unsettled: make(map[uint64]delivery), ahead: make(map[uint64]struct{}),
	}
}

// hold takes note of a delivery, and of the prefetch of its consumer.
func (a *acks) hold(tag uint64, prefetch int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	a.unsettled[tag] = delivery{batch: max(1, prefetch/ackBatchPart)}
}

// see takes note of a tag. The caller holds a.mu.
func (a *acks) see(tag uint64) {
	if tag != a.seen+1 { // the deliveries of another consumer come another way
		a.ahead[tag] = struct{}{}
		return
	}
	for a.seen = tag; len(a.ahead) > 0; a.seen++ {
		if _, ok := a.ahead[a.seen+1]; !ok {
			return
		}
		delete(a.ahead, a.seen+1)
	}
}

// claim says whether a delivery is still unsettled, and lets only one caller
// settle it: the broker answers a second ack by closing the channel.
func (a *acks) claim(tag uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.unsettled[tag]
	if !ok || d.progress != held {
		return false
	}
	d.progress = claimed
	a.unsettled[tag] = d
	return true
}

// unclaim takes back a claim.
func (a *acks) unclaim(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.unsettled[tag]
	d.progress = held
	a.unsettled[tag] = d
}

// drop acks a delivery that was not held.
func (a *acks) drop(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	_ = a.channel.Ack(tag, false)
}

// refuse gives back a delivery that was not held, or drops it.
func (a *acks) refuse(tag uint64, requeue bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	_ = a.channel.Nack(tag, false, requeue)
}

// requeue gives a claimed delivery back. If the session ends now, the broker takes it back anyway.
func (a *acks) requeue(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.unsettled, tag)
	_ = a.channel.Nack(tag, false, true)
}

// now acks a claimed delivery.
func (a *acks) now(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.unsettled, tag)
	_ = a.channel.Ack(tag, false)
}

// soon acks a claimed delivery beside others, when the results that were written to w have left; nil if there is none.
func (a *acks) soon(tag uint64, w *coalescer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.unsettled[tag]
	d.progress = ready
	a.unsettled[tag] = d
	a.ready++
	if w != nil {
		a.results = w
	}
	if a.ready == 1 {
		signal(a.wake)
	}
	if a.ready >= d.batch {
		signal(a.full)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sends acks until done is closed.
func (a *acks) run(done <-chan struct{}) {
	timer := time.NewTimer(maxAckDelay)
	for {
		select {
		case <-a.wake:
		case <-done:
			return
		}
		timer.Reset(maxAckDelay)
		select {
		case <-a.full:
		case <-timer.C:
		case <-done:
			return
		}
		a.flush(context.Background())
	}
}

// flush sends the acks of what is ready, when its results have left.
func (a *acks) flush(ctx context.Context) {
	a.flushing.Lock()
	defer a.flushing.Unlock()
	a.mu.Lock()
	var batch []uint64
	for tag, d := range a.unsettled {
		if d.progress == ready {
			batch = append(batch, tag)
			d.progress = leaving
			a.unsettled[tag] = d
		}
	}
	results := a.results
	a.ready, a.results = 0, nil
	a.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	if results != nil {
		results.flush(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Below this, everything else is settled.
	low := a.seen + 1
	for tag, d := range a.unsettled {
		if d.progress != leaving {
			low = min(low, tag)
		}
	}
	var upTo uint64
	for _, tag := range batch {
		delete(a.unsettled, tag)
		if tag < low {
			upTo = max(upTo, tag)
		} else {
			_ = a.channel.Ack(tag, false)
		}
	}
	if upTo > 0 {
		_ = a.channel.Ack(upTo, true)
	}
}
