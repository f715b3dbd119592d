package task

import (
	"slices"
	"sync"
	"sync/atomic"
)

// holding knows the requests that this worker has and that have not started, and how many are running.
// Whoever starts, postpones or hands back a request must take it first.
type holding struct {
	mu       sync.Mutex
	places   []*heldPlace // with some that are free
	closed   atomic.Bool
	taken    atomic.Int64
	end      sync.Once
	finished chan struct{} // closed when closed and nothing is taken
}

// heldPlace has a request that waits, nil when it has been taken.
type heldPlace struct{ atomic.Pointer[request] }

// leastPlaces is how many places there are before those that are free are cleared away.
const leastPlaces = 64

func newHolding() *holding { return &holding{finished: make(chan struct{})} }

// add takes note of a new request; false if none is taken any more.
func (h *holding) add(r *request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed.Load() {
		return false
	}
	if len(h.places) == cap(h.places) {
		h.places = slices.DeleteFunc(h.places, func(p *heldPlace) bool { return p.Load() == nil })
		h.places = slices.Grow(h.places, max(leastPlaces, len(h.places)))
	}
	r.place = new(heldPlace)
	r.place.Store(r)
	h.places = append(h.places, r.place)
	return true
}

// isClosed says whether no request is taken any more.
func (h *holding) isClosed() bool { return h.closed.Load() }

// take claims a waiting request; false if somebody else has it. done must follow.
func (h *holding) take(r *request) bool {
	if r.place == nil {
		return false
	}
	h.taken.Add(1) // first, or close could find that nothing is
	if r.place.Swap(nil) == nil {
		h.done()
		return false
	}
	return true
}

// done ends what take began.
func (h *holding) done() {
	if h.taken.Add(-1) == 0 && h.closed.Load() {
		h.end.Do(func() { close(h.finished) })
	}
}

// running is the number of requests taken and not done.
func (h *holding) running() int { return int(h.taken.Load()) }

// all is what waits.
func (h *holding) all() []*request {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*request
	for _, p := range h.places {
		if r := p.Load(); r != nil {
			out = append(out, r)
		}
	}
	return out
}

// close gives out all that waits, for the caller to hand back, and a channel that closes when
// nothing runs any more.
func (h *holding) close() ([]*request, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed.Store(true)
	h.taken.Add(1)
	defer h.done()
	var out []*request
	for _, p := range h.places {
		if r := p.Swap(nil); r != nil {
			out = append(out, r)
		}
	}
	h.places = nil
	return out, h.finished
}
