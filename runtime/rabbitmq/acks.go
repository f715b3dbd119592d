package rabbitmq

import (
	"context"
	"sync"
	"time"
)

// acks settles the deliveries of a channel. Acks that may be late go together, the most of them as one frame that
// acks all up to a tag: a quorum queue then takes 1.8 times as many.
type acks struct {
	channel uint16
	writes  *coalescer

	flushing sync.Mutex
	timer    *time.Timer // calls tick
	frames   []byte      // room for the acks of a send; under flushing

	mu    sync.Mutex
	armed bool // the timer is
	// unsettled are the deliveries that the broker waits for, by tag, spare some that were, to be used again.
	unsettled map[uint64]*delivery
	spare     []*delivery
	// All tags up to seen were taken note of, and those in ahead; all below low are settled.
	seen, low uint64
	ahead     map[uint64]struct{}
	ready     []*delivery // those that are
	batch     int         // of those, how many may be; see delivery
	began     time.Time
	// paused are the consumers whose acks wait.
	paused map[*subscription]struct{}
	// results is what the results of those that are ready leave by; nil if there are none.
	results *coalescer

	// writing is held to write, after mu if that is held too: what settles a delivery is on its way before an ack of that and all earlier ones
	// is thought of.
	writing sync.Mutex
	ended   bool // nothing is written any more
}

// delivery is what becomes of a delivery.
type delivery struct {
	progress
	tag   uint64
	of    *subscription
	batch int           // how many may be ready before their acks go out
	since time.Duration // when it was ready, after acks.began
}

type progress uint8

const (
	held    progress = iota
	claimed          // somebody settles it
	ready            // to be acked
)

// Acks go out when the first of them has waited for ackDelay, or a part of the prefetch is ready. Those that would have to go alone, since an earlier
// task still runs, wait for as long as they can, unless most of the prefetch does: each costs the broker as much as one for many.
const (
	ackDelay     = 2 * time.Millisecond
	ackBatchPart = 4
	crowdedPart  = 2
	// ackSlack is how much sooner one goes with others.
	ackSlack = ackDelay / 4
)

func newAcks(channel uint16, writes *coalescer) *acks {
	a := &acks{
		channel: channel, writes: writes, low: 1, began: time.Now(),
		unsettled: make(map[uint64]*delivery), ahead: make(map[uint64]struct{}), paused: make(map[*subscription]struct{}),
	}
	a.timer = time.AfterFunc(time.Hour, a.tick)
	a.timer.Stop()
	return a
}

// tick sends the acks that are due, and looks again when the others are.
func (a *acks) tick() {
	a.mu.Lock()
	a.armed = false
	idle := len(a.ready) == 0
	if !idle && len(a.ready) < a.batch {
		if rest := ackDelay - (time.Since(a.began) - a.ready[0].since); rest > ackSlack {
			a.arm(rest)
			idle = true
		}
	}
	a.mu.Unlock()
	if !idle {
		a.sendSoon()
	}
}

// arm has tick called in time, unless it will be anyway: to set a timer costs a system call. The caller holds a.mu.
func (a *acks) arm(in time.Duration) {
	if !a.armed {
		a.armed = true
		a.timer.Reset(in)
	}
}

// hurry has tick called at once. The caller holds a.mu.
func (a *acks) hurry() {
	a.armed = true
	a.timer.Reset(0)
}

// hold takes note of a delivery.
func (a *acks) hold(tag uint64, of *subscription) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	d := new(delivery)
	if last := len(a.spare) - 1; last >= 0 {
		d, a.spare = a.spare[last], a.spare[:last]
	}
	*d = delivery{tag: tag, of: of, batch: max(1, of.Prefetch/ackBatchPart)}
	a.unsettled[tag] = d
}

// forget takes note that a delivery is settled. The caller holds a.mu.
func (a *acks) forget(d *delivery) {
	delete(a.unsettled, d.tag)
	a.spare = append(a.spare, d)
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
	d := a.unsettled[tag]
	if d == nil || d.progress != held {
		return false
	}
	d.progress = claimed
	return true
}

// unclaim takes back a claim.
func (a *acks) unclaim(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsettled[tag].progress = held
}

// write writes frames. The connection tells others if it can't.
func (a *acks) write(frames []byte) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if !a.ended && len(frames) > 0 {
		_, _ = a.writes.Write(frames)
	}
}

// end has nothing sent any more.
func (a *acks) end() {
	a.writing.Lock()
	defer a.writing.Unlock()
	a.ended = true
	a.timer.Stop()
}

// drop acks a delivery that was not held.
func (a *acks) drop(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	a.write(appendSettle(nil, a.channel, ack, tag, 0))
}

// refuse gives back a delivery that was not held, or drops it.
func (a *acks) refuse(tag uint64, requeue bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.see(tag)
	flags := byte(0)
	if requeue {
		flags = requeueFlag
	}
	a.write(appendSettle(nil, a.channel, nack, tag, flags))
}

// requeue gives a claimed delivery back. If the session ends now, the broker takes it back anyway.
func (a *acks) requeue(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(a.unsettled[tag])
	a.write(appendSettle(nil, a.channel, nack, tag, requeueFlag))
}

// now acks a claimed delivery.
func (a *acks) now(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forget(a.unsettled[tag])
	a.write(appendSettle(nil, a.channel, ack, tag, 0))
}

// settle acks a delivery beside others; false if it is not held.
func (a *acks) settle(tag uint64) bool {
	a.mu.Lock()
	d := a.unsettled[tag]
	if d == nil || d.progress != held {
		a.mu.Unlock()
		return false
	}
	full := a.add(d, nil)
	a.mu.Unlock()
	if full {
		a.sendSoon()
	}
	return true
}

// soon acks a claimed delivery beside others, when the results that were written to w have left; nil if there is none.
func (a *acks) soon(tag uint64, w *coalescer) {
	a.mu.Lock()
	full := a.add(a.unsettled[tag], w)
	a.mu.Unlock()
	if full {
		a.sendSoon()
	}
}

// add adds to what is ready, and says whether that is enough to be sent at once and nothing has to leave before it. The caller holds a.mu.
func (a *acks) add(d *delivery, w *coalescer) bool {
	d.progress, d.since = ready, time.Since(a.began)
	a.ready = append(a.ready, d)
	if w != nil {
		a.results = w
	}
	a.batch = d.batch
	full := len(a.ready) >= d.batch && (len(a.ready)%d.batch == 0 || d.tag == a.low) // which was waited for
	switch {
	case full && a.results == nil:
		return true
	case full:
		a.hurry()
	default:
		a.arm(ackDelay)
	}
	return false
}

// flush sends the acks of all that is ready.
func (a *acks) flush(ctx context.Context) {
	a.flushing.Lock()
	defer a.flushing.Unlock()
	a.send(ctx, true)
}

// sendSoon sends the acks that are due, or leaves them to tick if others are being sent.
func (a *acks) sendSoon() {
	if !a.flushing.TryLock() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.arm(ackDelay / 2) //nolint:mnd // as soon as these may be sent
		return
	}
	defer a.flushing.Unlock()
	a.send(context.Background(), false)
}

// send sends acks of what is ready, when its results have left: one for as much as all earlier deliveries are settled or ready too,
// and of the rest, which may be so soon, one each for those that can't wait, or for all. The caller holds a.flushing.
func (a *acks) send(ctx context.Context, all bool) {
	together, alone, results := a.due(all)
	if results != nil {
		results.flush(ctx)
	}
	a.frames = a.leave(a.frames[:0], together, alone)
	a.write(a.frames) // which others don't wait for
}

// leave appends the frames that ack deliveries, which are settled then.
func (a *acks) leave(frames []byte, together, alone []*delivery) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range alone {
		frames = appendSettle(frames, a.channel, ack, d.tag, 0)
		a.forget(d)
	}
	var last uint64
	for _, d := range together {
		last = max(last, d.tag)
		a.forget(d)
	}
	if last > 0 {
		frames = appendSettle(frames, a.channel, ack, last, multipleFlag)
	}
	return frames
}

// due are the deliveries to be acked now, together with all earlier ones or each alone.
func (a *acks) due(all bool) (together, alone []*delivery, results *coalescer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ; a.low <= a.seen; a.low++ {
		if d := a.unsettled[a.low]; d != nil && (d.progress != ready || !all && a.waits(d)) {
			break
		}
	}
	crowded := len(a.ready) > a.batch*ackBatchPart/crowdedPart
	var later []*delivery
	now := time.Since(a.began)
	oldest := now // of those that wait
	for _, d := range a.ready {
		switch {
		case d.tag < a.low:
			together = append(together, d)
		case all:
			alone = append(alone, d)
		case a.waits(d):
			later = append(later, d)
		case crowded || now-d.since > ackDelay-ackSlack:
			alone = append(alone, d)
		default:
			later = append(later, d)
			oldest = min(oldest, d.since)
		}
	}
	results, a.results = a.results, nil
	if a.ready = later; len(later) > 0 {
		a.arm(ackDelay - (now - oldest))
	}
	return together, alone, results
}

// waits says whether the ack of a delivery waits. The caller holds a.mu.
func (a *acks) waits(d *delivery) bool {
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
	a.hurry()
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
