package task

import (
	"bytes"
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// copies recognises messages that this process has already. A broker delivers again what was not settled when a connection was
// lost, though the task may be running here, or have ended; and a sender that got no confirm has
// sent the same message twice. The task runs once all the same: its newest delivery is the one that is settled.
type copies struct {
	seeds [2]maphash.Seed

	since atomic.Uint64 // sessions with lower numbers have ended

	mu sync.Mutex
	// live are the requests that are here and not settled, by the ids of their tasks. Each leads to the next of its id.
	live map[string]*request
	// settled are the runs that had their end here, moved the messages in whose place another was sent, and unstarted those
	// that were dropped before they started, since their session had ended.
	settled, moved, unstarted keyMemory
	// kept are outcomes whose delivery could not be settled any more, for the next one. keptOrder has the oldest first.
	kept      map[keptKey]Outcome
	keptOrder []keptKey
}

// maxKept bounds the outcomes that wait for another delivery of their message; it may have gone to another worker.
const maxKept = 1024

// copyKey is a hash, long enough that no two messages ever share one.
type copyKey [2]uint64

// keptKey is that of a run, or of a message that moves.
type keptKey struct {
	copyKey
	moves bool
}

func newCopies() *copies {
	return &copies{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		live:  map[string]*request{}, kept: map[keptKey]Outcome{},
	}
}

// identify gives the request its keys: of the message, and of its run, which is the same when another worker has sent
// the message on, to be started as a suspect. A message without an id has none.
func (c *copies) identify(r *request) {
	if own := r.delivery.MessageID; own != "" {
		r.messageKey = c.key(r.message.Queue, own)
		if r.runKey = r.messageKey; r.origin != "" && r.origin != own {
			r.runKey = c.key(r.message.Queue, r.origin)
		}
	}
	r.origin = cmp.Or(r.origin, r.delivery.MessageID)
}

func (c *copies) key(queue, id string) (key copyKey) {
	var room [128]byte
	text := append(append(append(room[:0], queue...), 0), id...)
	for i, seed := range c.seeds {
		key[i] = maphash.Bytes(seed, text)
	}
	return key
}

// sameCall says whether two requests are the same call: also if a caller has sent it twice under one id, to be answered at one place.
func (r *request) sameCall(other *request) bool {
	return r.id == other.id && r.name == other.name && r.retries == other.retries && r.starts == other.starts &&
		r.message.Queue == other.message.Queue && r.message.ReplyTo == other.message.ReplyTo && bytes.Equal(r.message.Body, other.message.Body)
}

// meeting says what a delivery turned out to be.
type meeting int

const (
	// newcomer has not been here.
	newcomer meeting = iota
	// adopted is another delivery of a request whose own is lost: the request has it now.
	adopted
	// surplus is a second copy of a request that can still be settled by its own.
	surplus
	// ended had its end here; the outcome is carried out if it could not be before.
	ended
)

// meet looks whether the request of a new delivery is here already. A newcomer is, from now on.
func (c *copies) meet(r *request) (meeting, Outcome) {
	c.identify(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if here := c.same(r); here != nil {
		if !c.isLost(here) {
			return surplus, Outcome{}
		}
		here.newer.Store(r.delivery)
		return adopted, Outcome{}
	}
	if r.recognisable() {
		if outcome, ok := c.find(r); ok {
			return ended, outcome
		}
	}
	if here := c.running(r); here != nil && c.isLost(here) {
		here.newer.Store(r.delivery)
		return adopted, Outcome{}
	}
	r.next, c.live[r.id] = c.live[r.id], r
	return newcomer, Outcome{}
}

// same is the request that is the same call; nil if there is none.
func (c *copies) same(r *request) *request {
	if !r.named() {
		return nil
	}
	here := c.live[r.id]
	for ; here != nil && !here.sameCall(r); here = here.next {
	}
	return here
}

// all are those that are live.
func (c *copies) all(yield func(*request) bool) {
	for _, r := range c.live {
		for ; r != nil; r = r.next {
			if !yield(r) {
				return
			}
		}
	}
}

// find looks for the end that the request had here.
func (c *copies) find(r *request) (Outcome, bool) {
	run, message := keptKey{r.runKey, false}, keptKey{r.messageKey, true}
	for _, key := range [...]keptKey{run, message} {
		if outcome, ok := c.kept[key]; ok {
			c.forget(key)
			c.note(key) // for further copies; see keepAgain
			r.keptAs = key
			return outcome, true
		}
	}
	return Outcome{}, c.settled.has(r.runKey) || c.moved.has(r.messageKey)
}

// note takes note of an end.
func (c *copies) note(key keptKey) {
	if key.moves {
		c.moved.add(key.copyKey)
	} else {
		c.settled.add(key.copyKey)
	}
}

// end is what the request ends now.
func (r *request) end() keptKey {
	if r.moves {
		return keptKey{r.messageKey, true}
	}
	return keptKey{r.runKey, false}
}

// running is the request that runs here and whose message another worker has sent on, since it came there when the connection
// was lost. nil if there is none.
func (c *copies) running(r *request) *request {
	if r.runKey == r.messageKey {
		return nil
	}
	for here := range c.all {
		if here.runKey == r.runKey && here.runs.Load() {
			return here
		}
	}
	return nil
}

// named says whether the request could be read so far that its call is told from others. Two messages that could
// not are parked both.
func (r *request) named() bool { return r.id != "" && r.name != "" }

// recognisable says whether the message's id tells it from all others.
func (r *request) recognisable() bool {
	return r.delivery.MessageID != "" && (r.delivery.Unique || r.delivery.Redelivered)
}

func (c *copies) isLost(r *request) bool { return r.newest().Session < c.since.Load() }

// lose takes note that a session has ended.
func (c *copies) lose(session uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since.Store(max(c.since.Load(), session+1))
}

// begin takes note that the request starts to run, and how to cancel it; false if its delivery is lost. Then
// it is gone: the broker delivers it again.
func (c *copies) begin(r *request, cancel context.CancelCauseFunc) bool {
	r.cancel = cancel
	r.runs.Store(true) // before the look: either this sees that the session has ended, or who meets a copy after that sees this
	return !c.isLost(r) || !c.drop(r)
}

// drop takes a request away whose delivery is lost and that has not started, and says whether it did.
func (c *copies) drop(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isLost(r) {
		c.unstarted.add(r.messageKey)
		c.remove(r)
		return true
	}
	return false
}

// neverStarted says whether the request was here before, and surely did not start.
func (c *copies) neverStarted(r *request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.delivery.MessageID != "" && c.unstarted.has(r.messageKey)
}

// orphans returns the running requests whose deliveries went with a session and have not come again.
func (c *copies) orphans(session uint64) []*request {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*request
	for r := range c.all {
		if r.runs.Load() && r.newest().Session == session {
			out = append(out, r)
		}
	}
	return out
}

// newest is the newest delivery of the request.
func (r *request) newest() *Delivery { return cmp.Or(r.newer.Load(), r.delivery) }

// leave takes note that the request is about to go back to the broker, in one form or another: it may be
// here again before that is settled. It returns the newest delivery.
func (c *copies) leave(r *request) *Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(r)
	return r.newest()
}

// replaced takes note that another message has taken the place of the request's: if that comes again, since its ack
// was lost, it has had its end.
func (c *copies) replaced(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.delivery.MessageID != "" {
		c.moved.add(r.messageKey)
	}
}

// end takes note that the request was settled by d. If another delivery has come in that moment it is returned.
func (c *copies) end(r *request, d *Delivery) *Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(r)
	if d.MessageID != "" {
		c.note(r.end())
	}
	if newest := r.newest(); newest != d {
		return newest
	}
	return nil
}

// keep keeps the outcome of a request that could not be settled by d for its next delivery. false: that has come already.
func (c *copies) keep(r *request, d *Delivery, o Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.newest() != d {
		return false
	}
	c.remove(r)
	if d.MessageID != "" {
		c.store(r.end(), o)
	}
	return true
}

// keepAgain keeps the outcome of a message that has ended and could not be settled this time either.
func (c *copies) keepAgain(r *request, o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.keptAs != (keptKey{}) {
		c.store(r.keptAs, o)
	}
}

func (c *copies) store(key keptKey, o Outcome) {
	if len(c.kept) >= maxKept {
		c.forget(c.keptOrder[0])
	}
	c.kept[key] = o
	c.keptOrder = append(c.keptOrder, key)
}

func (c *copies) forget(key keptKey) {
	delete(c.kept, key)
	c.keptOrder = slices.DeleteFunc(c.keptOrder, func(k keptKey) bool { return k == key })
}

func (c *copies) remove(r *request) {
	here := c.live[r.id]
	if here == r {
		if r.next == nil {
			delete(c.live, r.id)
		} else {
			c.live[r.id] = r.next
		}
		return
	}
	for ; here != nil; here = here.next {
		if here.next == r {
			here.next = r.next
			return
		}
	}
}
