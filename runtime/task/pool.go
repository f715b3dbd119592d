package task

import (
	"slices"
	"sync"
)

// pool is a number of slots, each running one task at a time, shared by one or more
// queues; and the line of requests in front of them.
type pool struct {
	slots  int
	queues map[string]int // queue → prefetch

	mu     sync.Mutex
	filled sync.Cond
	line   []*request
	closed bool
}

func newPool(slots int) *pool {
	p := &pool{slots: slots, queues: map[string]int{}}
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

// next waits for the first request in line; nil once the pool is closed.
func (p *pool) next() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.line) == 0 && !p.closed {
		p.filled.Wait()
	}
	if p.closed {
		return nil
	}
	r := p.line[0]
	p.line[0] = nil
	p.line = p.line[1:]
	return r
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.filled.Broadcast()
}
