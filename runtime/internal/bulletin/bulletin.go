// Package bulletin has what the brokers share about broadcasts: which are valid, who hears them, and the
// queue of a listener in this process.
package bulletin

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// MaxBody is the largest body of a broadcast, in bytes. Larger ones are neither sent nor delivered.
	MaxBody = 8 << 20
	// MaxWaiting bounds the broadcasts that are on their way out of a process, and those that wait for one
	// listener.
	MaxWaiting = 10_000
	// MaxWaitingBytes bounds their bodies, in bytes.
	MaxWaitingBytes = 2 * MaxBody
	// defaultTTL is how long a broadcast may lie unread if the listener says nothing else.
	defaultTTL = 5 * time.Minute
)

// Check says whether b can be sent.
func Check(b *task.Broadcast) error {
	switch {
	case b.Exchange.Name == "" && b.RoutingKey == "":
		return errors.New("a broadcast needs an exchange, or the name of a listener's queue as its routing key")
	case len(b.RoutingKey) > math.MaxUint8 || len(b.ContentType) > math.MaxUint8 || len(b.ContentEncoding) > math.MaxUint8:
		return fmt.Errorf("broadcast to exchange %q: its routing key, content type or content encoding is longer than 255 bytes", b.Exchange.Name)
	case len(b.Body) > MaxBody:
		return fmt.Errorf("broadcast to exchange %q: its body has %d bytes; at most %d can be sent", b.Exchange.Name, len(b.Body), MaxBody)
	case b.Exchange.Name == "":
		return nil
	}
	return checkExchange(b.Exchange)
}

// Complete checks c and puts in its defaults.
func Complete(c *task.ListenConfig) error {
	c.TTL = cmp.Or(c.TTL, defaultTTL)
	switch {
	case c.Deliver == nil:
		return errors.New("to listen takes a Deliver function")
	case c.Queue == "" || len(c.Queue) > math.MaxUint8:
		return fmt.Errorf("%q is no name of a listener's queue (1 to 255 bytes)", c.Queue)
	case c.TTL < time.Millisecond || c.TTL > math.MaxInt32*time.Millisecond:
		return fmt.Errorf("listener %s: its TTL is %s: want a millisecond to 24 days", c.Queue, c.TTL)
	}
	for _, key := range c.Keys {
		if len(key) > math.MaxUint8 {
			return fmt.Errorf("listener %s: one of its keys is longer than 255 bytes", c.Queue)
		}
	}
	if c.Exchange.Name == "" { // only what is sent straight to it
		return nil
	}
	return checkExchange(c.Exchange)
}

func checkExchange(b task.Bulletin) error {
	if len(b.Name) > math.MaxUint8 {
		return errors.New("the name of an exchange for broadcasts is longer than 255 bytes")
	}
	switch b.Type {
	case task.Fanout, task.Direct, task.Topic:
		return nil
	}
	return fmt.Errorf("exchange %q: %q is no type of an exchange for broadcasts: there are fanout, direct and topic", b.Name, b.Type)
}

// Leads says whether what is sent to an exchange with a routing key reaches a listener's queue that is bound to
// the exchange bound, by one of keys.
func Leads(to task.Bulletin, key, queue string, bound task.Bulletin, keys []string) bool {
	if to.Name == "" {
		return key == queue
	}
	if to.Name != bound.Name {
		return false
	}
	if bound.Type == task.Fanout {
		return true
	}
	for _, k := range keys {
		if routing.Leads(bound.Type, task.Binding{RoutingKey: k}, key, "") {
			return true
		}
	}
	return false
}
