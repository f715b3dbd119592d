package bulletin

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// An Inbox hands broadcasts to the Deliver function of a listener, one at a time. Put never waits: what finds no
// room is dropped and counted.
type Inbox struct {
	config task.ListenConfig
	ended  chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	waiting []letter
	bytes   int
	closed  bool
	drops   Drops
}

var (
	errTooLarge = fmt.Errorf("one has more than %d bytes", MaxBody)
	errTooFast  = errors.New("they come faster than they are taken")
)

type letter struct {
	*task.Broadcast
	expires time.Time
}

// NewInbox makes the inbox of a listener, whose config is complete.
func NewInbox(config task.ListenConfig) *Inbox {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	config.Logger = config.Logger.With("listener", config.Queue)
	i := &Inbox{config: config, ended: make(chan struct{})}
	i.changed.L = &i.mu
	go i.run()
	return i
}

// Put takes one broadcast, of which it makes a copy that shares the body.
func (i *Inbox) Put(b *task.Broadcast) {
	own := *b
	own.Headers = maps.Clone(b.Headers)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return
	}
	switch {
	case len(b.Body) > MaxBody:
		i.drops.Add(1, errTooLarge, i.config.Logger)
		return
	case len(i.waiting) >= MaxWaiting || i.bytes+size(b) > MaxWaitingBytes:
		i.drops.Add(1, errTooFast, i.config.Logger)
		return
	}
	i.waiting = append(i.waiting, letter{&own, time.Now().Add(i.config.TTL)})
	i.bytes += size(b)
	i.changed.Signal()
}

func (i *Inbox) run() {
	defer close(i.ended)
	for b := i.next(); b != nil; b = i.next() {
		i.config.Deliver(b)
	}
}

// next waits for a broadcast whose time is not over; nil after Close.
func (i *Inbox) next() *task.Broadcast {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		for len(i.waiting) == 0 && !i.closed {
			i.changed.Wait()
		}
		if i.closed {
			return nil
		}
		first := i.waiting[0]
		i.waiting[0] = letter{}
		if i.waiting = i.waiting[1:]; len(i.waiting) == 0 {
			i.waiting = nil
		}
		i.bytes -= size(first.Broadcast)
		if time.Now().Before(first.expires) {
			return first.Broadcast
		}
	}
}

// Close drops what waits, and waits for the call of Deliver that is under way.
func (i *Inbox) Close() {
	i.mu.Lock()
	i.closed = true
	i.waiting = nil
	i.changed.Broadcast()
	i.mu.Unlock()
	<-i.ended
}
