package task

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
)

// copies recognises messages that this process has already. A broker delivers again what was not settled when a connection was
// lost, though the task may be running here, or have ended; and a sender that got no confirm has
// sent the same message twice. The task runs once all the same: its newest delivery is the one that is settled.
type copies struct {
	seeds [2]maphash.Seed

	mu    sync.Mutex
	since uint64 // sessions with lower numbers have ended
	// live are the requests that are here and not settled.
	live map[copyKey]*request
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
		live:  map[copyKey]*request{}, kept: map[keptKey]Outcome{},
	}
}

// identify gives the request its keys: of the call, which is the same also if a caller has sent it twice under one
// id, to be answered at one place; of the message; and of its run, which is the same when another worker has sent
// the message on, to be started as a suspect.
func (c *copies) identify(r *request) {
	var number [2 * 20]byte
	numbers := strconv.AppendInt(append(strconv.AppendInt(number[:0], int64(r.retries), 10), '/'), int64(r.starts), 10)
	for i, seed := range c.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		for _, part := range [...]string{r.message.Queue, r.name, r.id, r.message.ReplyTo} {
			h.WriteString(part)
			h.WriteByte(0)
		}
		h.Write(numbers)
		h.WriteByte(0)
		h.Write(r.message.Body)
		r.callKey[i] = h.Sum64()
		if r.delivery.MessageID == "" {
			continue
		}
		own, origin := r.delivery.MessageID, cmp.Or(r.origin, r.delivery.MessageID)
		r.messageKey[i] = messageHash(&h, r.message.Queue, own)
		if r.runKey[i] = r.messageKey[i]; origin != own {
			r.runKey[i] = messageHash(&h, r.message.Queue, origin)
		}
	}
	r.origin = cmp.Or(r.origin, r.delivery.MessageID)
}

func messageHash(h *maphash.Hash, queue, id string) uint64 {
	h.Reset()
	h.WriteString(queue)
	h.WriteByte(0)
	h.WriteString(id)
	return h.Sum64()
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
	if here, ok := c.live[r.callKey]; ok && r.named() {
		if !c.isLost(here) {
			return surplus, Outcome{}
		}
		here.delivery = r.delivery
		return adopted, Outcome{}
	}
	if r.recognisable() {
		if outcome, ok := c.find(r); ok {
			return ended, outcome
		}
	}
	if here := c.running(r); here != nil && c.isLost(here) {
		here.delivery = r.delivery
		return adopted, Outcome{}
	}
	c.live[r.callKey] = r
	return newcomer, Outcome{}
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
	for _, here := range c.live {
		if here.runKey == r.runKey && here.cancel != nil {
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

func (c *copies) isLost(r *request) bool { return r.delivery.Session < c.since }

// lose takes note that a session has ended.
func (c *copies) lose(session uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since = max(c.since, session+1)
}

// begin takes note that the request starts to run, and how to cancel it; false if its delivery is lost. Then
// it is gone: the broker delivers it again.
func (c *copies) begin(r *request, cancel context.CancelCauseFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isLost(r) {
		c.unstarted.add(r.messageKey)
		c.remove(r)
		return false
	}
	r.cancel = cancel
	return true
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
	for _, r := range c.live {
		if r.cancel != nil && r.delivery.Session == session {
			out = append(out, r)
		}
	}
	return out
}

// delivery is the newest one of the request.
func (c *copies) delivery(r *request) *Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.delivery
}

// leave takes note that the request is about to go back to the broker, in one form or another: it may be
// here again before that is settled. It returns the newest delivery.
func (c *copies) leave(r *request) *Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(r)
	return r.delivery
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
	if r.delivery != d {
		return r.delivery
	}
	return nil
}

// keep keeps the outcome of a request that could not be settled by d for its next delivery. false: that has come already.
func (c *copies) keep(r *request, d *Delivery, o Outcome) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.delivery != d {
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
	if c.live[r.callKey] == r {
		delete(c.live, r.callKey)
	}
}

// keyMemory remembers at least the last rememberedKeys keys, and at most twice as many.
type keyMemory struct {
	young, old map[copyKey]struct{}
}

const rememberedKeys = 1 << 15

func (m *keyMemory) add(key copyKey) {
	switch {
	case m.young == nil:
		m.young = make(map[copyKey]struct{})
	case len(m.young) >= rememberedKeys:
		if m.old == nil {
			m.old = make(map[copyKey]struct{}, rememberedKeys)
		}
		m.old, m.young = m.young, m.old
		clear(m.young)
	}
	m.young[key] = struct{}{}
}

func (m *keyMemory) has(key copyKey) bool {
	if _, ok := m.young[key]; ok {
		return true
	}
	_, ok := m.old[key]
	return ok
}
