package task

import (
	"slices"
	"sync"
)

// pool is a number of slots, each running one task at a time, shared by one or more
// queues; and the line of requests in front of them.
type pool struct {
	mu     sync.Mutex
	filled sync.Cond
	line   []*request
	closed bool
	// slots is how many there are to be, surplus how many end as soon as they are free.
	slots, surplus int
	// spawn starts a slot; nil before the worker runs.
	spawn func()
}

func newPool(slots int) *pool {
	p := &pool{slots: slots}
	p.filled.L = &p.mu
	return p
}

// put puts a request at the end of the line. The transport bounds its length.
func (p *pool) put(r *request) {
	p.mu.Lock()
	p.line = append(p.line, r)
	p.mu.Unlock()
	p.filled.Signal()
}

// putFirst puts a request at the head of the line.
func (p *pool) putFirst(r *request) {
	p.mu.Lock()
	p.line = slices.Insert(p.line, 0, r)
	p.mu.Unlock()
	p.filled.Signal()
}

// next waits for the first request in line; nil if the slot that asks must end.
func (p *pool) next() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.line) == 0 && !p.closed && p.surplus == 0 {
		p.filled.Wait()
	}
	if p.closed {
		return nil
	}
	if p.surplus > 0 {
		p.surplus--
		return nil
	}
	r := p.line[0]
	p.line[0] = nil
	p.line = p.line[1:]
	return r
}

// open starts the slots.
func (p *pool) open(spawn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spawn = spawn
	for range p.slots {
		spawn()
	}
}

// size is how many slots there are to be.
func (p *pool) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.slots
}

// resize changes the number of slots. Those that are too many end when their tasks have.
func (p *pool) resize(slots int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	more := slots - p.slots
	p.slots = slots
	if p.spawn == nil {
		return
	}
	p.surplus -= more
	for ; p.surplus < 0; p.surplus++ {
		p.spawn()
	}
	p.filled.Broadcast()
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.filled.Broadcast()
}
