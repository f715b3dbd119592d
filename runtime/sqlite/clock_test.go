package sqlite_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// A clock is a wall clock that a test sets.
type clock struct {
	ahead atomic.Int64
	looks atomic.Int64
}

func (c *clock) now() time.Time {
	c.looks.Add(1)
	return time.Now().Add(time.Duration(c.ahead.Load())).Round(0)
}

func (c *clock) jump(d time.Duration) { c.ahead.Add(int64(d)) }

func openAt(t testing.TB, url string, c *clock) *sqlite.Transport {
	t.Helper()
	transport, err := sqlite.OpenAt(within(t), url, c.now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// busy is how much later than it should something may come on a machine that has much else to do.
const busy = 20 * time.Second

// A message for later is due at a time of the wall clock, wherever that jumps meanwhile.
func TestDelayedMessagesWhenTheClockJumps(t *testing.T) {
	t.Parallel()
	for name, jump := range map[string]time.Duration{
		"10 minutes forward": 10 * time.Minute, "10 minutes back": -10 * time.Minute,
		"a year forward": 365 * 24 * time.Hour, "a year back": -365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			transport := openAt(t, newURL(t), &c)
			w := consume(t, transport, 10, "q")
			held := message("q")
			publish(t, transport, held)
			running := w.next()

			eta := c.now().Add(jump + 2*time.Second)
			m := message("q")
			m.ETA = eta
			if jump > 0 {
				publish(t, transport, m)
				c.jump(jump)
			} else {
				c.jump(jump)
				publish(t, transport, m)
			}
			now := message("q")
			publish(t, transport, now)
			if d := w.next(); d.Message.ID != now.ID {
				t.Fatalf("%s came before what is for now", d.Message.ID)
			}
			d := w.next()
			if late := c.now().Sub(eta); d.Message.ID != m.ID || late < 0 || late > busy {
				t.Errorf("it came %s late", late)
			}
			// What runs is nobody else's, and nothing spins.
			before := c.looks.Load()
			select {
			case d := <-w.deliveries:
				t.Errorf("%+v of %s", d, d.Message.ID)
			case <-time.After(1500 * time.Millisecond):
			}
			if looks := c.looks.Load() - before; looks > 200 {
				t.Errorf("%d looks at the clock while nothing happened", looks)
			}
			for _, d := range []*task.Delivery{running, d} {
				w.settle(d, task.Outcome{})
			}
		})
	}
}

// A clock that goes back over the time of messages that were due, and one that is
// set right after a jump by mistake.
func TestAClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	var c clock
	transport := openAt(t, newURL(t), &c)
	soon, later := message("q"), message("q")
	soon.ETA, later.ETA = c.now().Add(3*time.Second), c.now().Add(time.Hour)
	publish(t, transport, soon, later)
	w := consume(t, transport, 10, "q")
	await(t, "the consumer is ready", w.Ready)
	c.jump(-10 * time.Minute)
	time.Sleep(1200 * time.Millisecond) // longer than anybody sleeps
	if len(w.deliveries) > 0 {
		t.Errorf("%s came early", w.next().Message.ID)
	}
	c.jump(10 * time.Minute)
	if d := w.next(); d.Message.ID != soon.ID {
		t.Errorf("%s came", d.Message.ID)
	}
	if late := c.now().Sub(soon.ETA); late < 0 || late > busy {
		t.Errorf("it came %s late", late)
	}
	time.Sleep(1200 * time.Millisecond) // nobody has anything to do any more
	if len(w.deliveries) > 0 {
		t.Errorf("%s came early", w.next().Message.ID)
	}
	c.jump(time.Hour)
	if d := w.next(); d.Message.ID != later.ID {
		t.Errorf("%s came", d.Message.ID)
	}
	if late := c.now().Sub(later.ETA); late > busy {
		t.Errorf("it came %s late", late)
	}
}
