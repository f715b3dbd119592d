package bulletin

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// dropsInterval is how often the log may say that broadcasts were dropped.
const dropsInterval = 10 * time.Second

// An Outbox holds the broadcasts that are on their way out of this process, in bounded room.
type Outbox struct {
	// Wake tells that there are some.
	Wake chan struct{}

	mu      sync.Mutex
	waiting []*task.Broadcast
	bytes   int
}

// NewOutbox makes an empty one.
func NewOutbox() *Outbox { return &Outbox{Wake: make(chan struct{}, 1)} }

// Put adds a broadcast if there is room.
func (o *Outbox) Put(b *task.Broadcast) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) >= MaxWaiting || o.bytes+size(b) > MaxWaitingBytes {
		return fmt.Errorf("%w: a broadcast is dropped: %d that leave no sooner are before it", task.ErrBlocked, len(o.waiting))
	}
	o.waiting = append(o.waiting, b)
	o.bytes += size(b)
	select {
	case o.Wake <- struct{}{}:
	default:
	}
	return nil
}

// Take takes all out.
func (o *Outbox) Take() []*task.Broadcast {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.waiting
	o.waiting, o.bytes = nil, 0
	return all
}

// size is about how many bytes b takes.
func size(b *task.Broadcast) int { return len(b.Body) + 512 }

// Drops counts broadcasts that are dropped, and tells of them from time to time.
type Drops struct {
	mu      sync.Mutex
	dropped int
	told    time.Time
}

// Add counts n more, for a reason.
func (d *Drops) Add(n int, reason error, log *slog.Logger) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropped += n
	if n == 0 || time.Since(d.told) < dropsInterval {
		return
	}
	d.told = time.Now()
	log.Warn("broadcasts are dropped", "dropped_so_far", d.dropped, "error", reason)
}
