package task

import (
	"slices"
	"sync"
)

// pool is a number of slots, each running one task at a time, shared by one or more
// queues; and the line of requests in front of them.
type pool struct {
	mu   sync.Mutex
	line []*request
	// idle are the slots that wait for a request, those that began to last at the end; waking is how many were told of one
	// and have not looked yet. While one is on its way there no other is sent: where tasks are short the first ones take all of them, and
	// where they are not, each that takes one sends the next.
	idle   []bell
	waking int
	closed bool
	// slots is how many there are to be, surplus how many end as soon as they are free.
	slots, surplus int
	// spawn starts a slot; nil before the worker runs.
	spawn func()
}

// bell wakes a slot.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func newPool(slots int) *pool { return &pool{slots: slots} }

// call wakes an idle slot if there is a request for it. The caller holds p.mu.
func (p *pool) call() {
	if last := len(p.idle) - 1; p.waking == 0 && len(p.line) > 0 && last >= 0 {
		p.ring(p.idle[last])
		p.idle = p.idle[:last]
	}
}

func (p *pool) ring(b bell) {
	p.waking++
	b <- struct{}{}
}

// callAll wakes every idle slot. The caller holds p.mu.
func (p *pool) callAll() {
	for _, b := range p.idle {
		p.ring(b)
	}
	p.idle = nil
}

// put puts a request at the end of the line. The transport bounds its length.
func (p *pool) put(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = append(p.line, r)
	p.call()
}

// putFirst puts a request at the head of the line.
func (p *pool) putFirst(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = slices.Insert(p.line, 0, r)
	p.call()
}

// next waits for the first request in line; nil if the slot that asks, by its bell, must end.
func (p *pool) next(b bell) *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.line) == 0 && !p.closed && p.surplus == 0 {
		p.idle = append(p.idle, b)
		p.mu.Unlock()
		<-b
		p.mu.Lock()
		p.waking--
	}
	defer p.call()
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
	p.callAll()
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.callAll()
}
