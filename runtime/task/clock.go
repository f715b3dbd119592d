package task

import "sync/atomic"

// Clock is a Lamport clock: it orders what the processes of a fleet tell each other, whatever their
// clocks say. A process has one, for its events and its remote control.
type Clock struct{ now atomic.Int64 }

// maxClock is the latest time that is taken over from others: AMQP headers of Celery's have 32 bits.
const maxClock = 1<<31 - 1

// Now is the clock's time.
func (c *Clock) Now() int64 { return c.now.Load() }

// Tick is the time of something that is told to others: one later than all before.
func (c *Clock) Tick() int64 { return c.now.Add(1) }

// Hear takes note of the time of something that others have told.
func (c *Clock) Hear(other int64) {
	if other < 0 || other >= maxClock {
		return
	}
	for {
		now := c.now.Load()
		if c.now.CompareAndSwap(now, max(now, other)+1) {
			return
		}
	}
}
