package rabbitmq

import (
	"context"
	"net"
	"runtime"
	"sync"
	"time"
)

// coalescer is a connection whose Write never blocks: it appends to a buffer,
// which one goroutine writes out with as few system calls as it can. While a
// write is under way, the next one collects. So a caller that publishes or acks
// never waits for the network, and its context can win. After a pause there is nothing to collect with, and Write hands the
// network what that takes at once: to wake the goroutine would cost more than the system call.
//
// The buffer has no bound of its own, since what is not answered yet has one: of a publisher, its
// window or a single message that is larger ([windowBytes], [maxBody]); of a consumer, an ack for each of its prefetch.
type coalescer struct {
	net.Conn
	wake chan struct{} // buffered; says that pending or closed has changed

	mu      sync.Mutex
	now     *nowait   // nil: there is no way
	last    time.Time // when something was written
	writing bool      // the goroutine is
	pending [][]byte  // chunks: to grow one buffer would copy megabytes while everybody waits
	spare   []byte
	closed  bool
	err     error // of the goroutine that writes; sticks
	// accepted and written count bytes; moved says that written or err has changed.
	accepted, written uint64
	moved             sync.Cond
}

const (
	// chunkSize is the largest chunk of more than one write.
	chunkSize = 256 << 10
	// lastWords is how long Close leaves for what is still in the buffer.
	lastWords = 200 * time.Millisecond
	// pause is how long nothing must have been written for the next Write to go out at once.
	pause = 100 * time.Microsecond
)

// newCoalescer coalesces what is written to conn, whose bytes go to socket as they are.
func newCoalescer(conn, socket net.Conn) *coalescer {
	c := &coalescer{Conn: conn, wake: make(chan struct{}, 1), now: newNowait(socket)}
	c.moved.L = &c.mu
	go c.write()
	return c
}

func (c *coalescer) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.closed {
		return 0, net.ErrClosed
	}
	gone := c.writeNow(p)
	c.accepted += uint64(len(p))
	c.written += uint64(gone)
	rest := p[gone:]
	if len(rest) == 0 {
		return len(p), nil
	}
	last := len(c.pending) - 1
	if last < 0 || len(c.pending[last])+len(rest) > chunkSize {
		c.pending, c.spare = append(c.pending, c.spare[:0]), nil
		last++
	}
	c.pending[last] = append(c.pending[last], rest...)
	c.signal()
	return len(p), nil
}

// writeNow writes what the network takes at once, if nothing waits before it, and returns how much. The caller holds c.mu.
func (c *coalescer) writeNow(p []byte) int {
	if c.now == nil || c.writing || len(c.pending) > 0 {
		return 0
	}
	now := time.Now()
	paused := now.Sub(c.last) >= pause
	c.last = now
	if !paused {
		return 0
	}
	return c.now.write(p)
}

// flush waits until all that was written before has left the process, the connection breaks, or ctx ends.
func (c *coalescer) flush(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.moved.Broadcast()
	})()
	c.mu.Lock()
	defer c.mu.Unlock()
	for all := c.accepted; c.written < all && c.err == nil && ctx.Err() == nil; {
		c.moved.Wait()
	}
}

// backlog is how many bytes have not left the process.
func (c *coalescer) backlog() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accepted - c.written
}

// Close returns at once. What is in the buffer gets a last chance, then the
// connection is closed.
func (c *coalescer) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.signal()
	return c.SetWriteDeadline(time.Now().Add(lastWords))
}

func (c *coalescer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write moves the buffer to the network until the connection is closed or breaks.
func (c *coalescer) write() {
	// Closing wakes the reader, which tells the rest of the session.
	defer func() { _ = c.Conn.Close() }()
	var chunks [][]byte
	for range c.wake {
		runtime.Gosched() // those who are about to write come first
		c.mu.Lock()
		chunks, c.pending = c.pending, chunks[:0]
		c.writing = len(chunks) > 0
		closed := c.closed
		c.mu.Unlock()
		for i, chunk := range chunks {
			chunks[i] = nil
			_, err := c.Conn.Write(chunk)
			if !c.recycle(chunk, err, i == len(chunks)-1) {
				return
			}
		}
		if closed {
			return
		}
	}
}

// recycle keeps a chunk that is written for the next ones, and notes whether it was the last for now. It returns false
// if to write it has failed.
func (c *coalescer) recycle(chunk []byte, err error, last bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.moved.Broadcast()
	if err != nil {
		c.err, c.pending = err, nil
		return false
	}
	c.written += uint64(len(chunk))
	c.writing, c.last = !last, time.Now()
	if cap(chunk) <= 2*chunkSize {
		c.spare = chunk
	}
	return true
}
