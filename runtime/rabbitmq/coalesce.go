package rabbitmq

import (
	"net"
	"sync"
	"time"
)

// coalescer is a connection whose Write never blocks: it appends to a buffer,
// which one goroutine writes out with as few system calls as it can. While a
// write is under way, the next one collects. So a caller that publishes or acks
// never waits for the network, and its context can win.
//
// The buffer has no bound of its own: the publisher's window, and the prefetch
// of consumers, limit what can be in it.
type coalescer struct {
	net.Conn
	wake chan struct{} // buffered; says that pending or closed has changed

	mu      sync.Mutex
	pending []byte
	closed  bool
	err     error // of the goroutine that writes; sticks
}

const (
	// keepBuffer is the largest buffer that is kept for the next write.
	keepBuffer = 1 << 20
	// lastWords is how long Close leaves for what is still in the buffer.
	lastWords = 200 * time.Millisecond
)

func newCoalescer(conn net.Conn) *coalescer {
	c := &coalescer{Conn: conn, wake: make(chan struct{}, 1)}
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
	c.pending = append(c.pending, p...)
	c.signal()
	return len(p), nil
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
	var buffer []byte
	for range c.wake {
		c.mu.Lock()
		buffer, c.pending = c.pending, buffer[:0]
		closed := c.closed
		c.mu.Unlock()
		if len(buffer) > 0 {
			if _, err := c.Conn.Write(buffer); err != nil {
				c.mu.Lock()
				c.err, c.pending = err, nil
				c.mu.Unlock()
				return
			}
		}
		if closed {
			return
		}
		if cap(buffer) > keepBuffer {
			buffer = nil
		}
	}
}
