package task

import (
	"maps"
	"slices"
	"sync"
)

// holding knows the requests that this worker has and that have not started, and how many are running.
// Whoever starts, postpones or hands back a request must take it first.
type holding struct {
	mu       sync.Mutex
	waiting  map[*request]struct{}
	taken    int
	closed   bool
	finished chan struct{} // closed when closed and nothing is taken
}

func newHolding() *holding {
	return &holding{waiting: map[*request]struct{}{}, finished: make(chan struct{})}
}

// add takes note of a new request; false if none is taken any more.
func (h *holding) add(r *request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.waiting[r] = struct{}{}
	}
	return !h.closed
}

// isClosed says whether no request is taken any more.
func (h *holding) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// take claims a waiting request; false if somebody else has it. done must follow.
func (h *holding) take(r *request) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.waiting[r]; !ok {
		return false
	}
	delete(h.waiting, r)
	h.taken++
	return true
}

// done ends what take began.
func (h *holding) done() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken--
	if h.closed && h.taken == 0 {
		close(h.finished)
	}
}

// running is the number of requests taken and not done.
func (h *holding) running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// all is what waits.
func (h *holding) all() []*request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.waiting))
}

// close gives out all that waits, for the caller to hand back, and a channel that closes when
// nothing runs any more.
func (h *holding) close() ([]*request, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	var out []*request
	for r := range h.waiting {
		out = append(out, r)
	}
	clear(h.waiting)
	if h.taken == 0 {
		close(h.finished)
	}
	return out, h.finished
}
