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
	ready []uint64 // the tags of those that are
	// paused are the consumers whose acks wait.
	paused map[*subscription]struct{}
	// results is what the results of those that are ready leave by; nil if there are none.
	results *coalescer
}

// delivery is what becomes of a delivery.
type delivery struct {
	progress
	of    *subscription
	batch int  // how many may be ready before their acks go out
	aged  bool // ready for an ackTick at least
}

type progress uint8

const (
	held    progress = iota
	claimed          // somebody settles it
	ready            // to be acked
)

// Every ackTick the acks go out that have waited for one, with all that can go as one frame. So they are 2 ms late at most, and of
// all that are late there is a quarter of the prefetch at most.
const (
	ackTick      = time.Millisecond
	ackBatchPart = 4
)

func newAcks(ch *amqp.Channel) *acks {
	return &acks{
		channel: ch, wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		unsettled: make(map[uint64]delivery), ahead: make(map[uint64]struct{}), paused: make(map[*subscription]struct{}),
	}
}

// hold takes note of a delivery.
func (a *acks) hold(tag uint64, of *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	a.unsettled[tag] = delivery{of: of, batch: max(1, of.Prefetch/ackBatchPart)}
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
	a.ready = append(a.ready, tag)
	if w != nil {
		a.results = w
	}
	if len(a.ready) == 1 {
		signal(a.wake)
	}
	if len(a.ready) >= d.batch {
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
	timer := time.NewTimer(ackTick)
	for {
		select {
		case <-a.wake:
		case <-done:
			return
		}
		timer.Reset(ackTick)
		full := false
		select {
		case <-a.full:
			full = true
		case <-timer.C:
		case <-done:
			return
		}
		if full || a.age() {
			a.send(context.Background(), false)
		}
	}
}

// age says whether something that is ready has aged. If nothing has, all that is ready has now.
func (a *acks) age() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tag := range a.ready {
		if a.unsettled[tag].aged {
			return true
		}
	}
	a.ageAll()
	return false
}

// ageAll ages what is ready, and sees to its next tick. The caller holds a.mu.
func (a *acks) ageAll() {
	for _, tag := range a.ready {
		d := a.unsettled[tag]
		d.aged = true
		a.unsettled[tag] = d
	}
	if len(a.ready) > 0 {
		signal(a.wake)
	}
}

// flush sends the acks of all that is ready.
func (a *acks) flush(ctx context.Context) { a.send(ctx, true) }

// send sends acks of what is ready, when its results have left: one for as much as all earlier deliveries are settled or ready too,
// and of the rest, which may be so soon, one each for those that have aged, or for all.
func (a *acks) send(ctx context.Context, all bool) {
	a.flushing.Lock()
	defer a.flushing.Unlock()
	together, alone, results := a.due(all)
	if results != nil {
		results.flush(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tag := range alone {
		delete(a.unsettled, tag)
		_ = a.channel.Ack(tag, false)
	}
	var last uint64
	for _, tag := range together {
		delete(a.unsettled, tag)
		last = max(last, tag)
	}
	if last > 0 {
		_ = a.channel.Ack(last, true)
	}
}

// due are the deliveries to be acked now, together with all earlier ones or each alone.
func (a *acks) due(all bool) (together, alone []uint64, results *coalescer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	low := a.seen + 1 // below it, everything is ready or settled
	for tag, d := range a.unsettled {
		if d.progress != ready || !all && a.waits(d) {
			low = min(low, tag)
		}
	}
	var later []uint64
	for _, tag := range a.ready {
		switch d := a.unsettled[tag]; {
		case tag < low:
			together = append(together, tag)
		case all || d.aged && !a.waits(d):
			alone = append(alone, tag)
		default:
			later = append(later, tag)
		}
	}
	results, a.results = a.results, nil
	a.ready = later
	a.ageAll()
	return together, alone, results
}

// waits says whether the ack of a delivery waits. The caller holds a.mu.
func (a *acks) waits(d delivery) bool {
	_, paused := a.paused[d.of]
	return paused
}

// pause has late acks of a consumer wait, until it is cancelled: so it comes to hold its whole prefetch, and nothing is on its way to it.
func (a *acks) pause(of *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paused[of] = struct{}{}
}

// resume ends a pause.
func (a *acks) resume(of *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.paused, of)
	signal(a.wake)
	signal(a.full)
}

// holds says whether a consumer holds its whole prefetch.
func (a *acks) holds(of *subscription) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, d := range a.unsettled {
		if d.of == of {
			n++
		}
	}
	return n >= of.Prefetch
}
