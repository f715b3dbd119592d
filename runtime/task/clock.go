package task

import "sync/atomic"

// Clock is a Lamport clock: it orders what the processes of a fleet tell each other. It counts one for each event, request
// and answer that is sent, and never falls behind those that come. The zero value is good, and it is safe for concurrent use.
type Clock struct{ now atomic.Int64 }

// maxClock is where a clock of somebody else is not believed any more, since the clocks of a whole fleet would follow it: Celery's headers
// have 32 bits for it.
const maxClock = 1<<31 - 1

// Tick counts what is about to be sent, and returns its time.
func (c *Clock) Tick() int64 { return c.now.Add(1) }

// Adjust takes note of the time of a message that came, and returns the new one.
func (c *Clock) Adjust(other int64) int64 {
	if other > maxClock {
		other = 0
	}
	for {
		now := c.now.Load()
		next := max(now, other) + 1
		if c.now.CompareAndSwap(now, next) {
			return next
		}
	}
}

// Now is the time of what was sent or came last.
func (c *Clock) Now() int64 { return c.now.Load() }

// Clock is the client's own, which goes into all that it sends of events and remote control.
func (c *Client) Clock() *Clock { return &c.clock }

// Clock is the one that all events, requests and answers of this worker share.
func (w *Worker) Clock() *Clock { return w.executor.client.Clock() }
