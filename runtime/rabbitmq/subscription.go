package rabbitmq

import (
	"context"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// subscription is one queue of a consumer. Another one of the same queue, after this was removed, is another.
type subscription struct {
	task.Subscription
	// removed says that nothing is handed out any more, replaced that another subscription of the queue has
	// taken the place of this one. Both are guarded by consumer.gate.
	removed, replaced bool
}

// adjustPause is how long an added queue that can't be had waits for another try.
const adjustPause = 2 * time.Second

// Add implements [task.Consumer].
func (c *consumer) Add(s task.Subscription) error {
	if err := checkSubscription(s); err != nil {
		return fmt.Errorf("rabbitmq: can't consume: %w", err)
	}
	c.gate.Lock()
	defer c.gate.Unlock()
	if c.stopped {
		return fmt.Errorf("rabbitmq: %w", task.ErrClosed)
	}
	if !slices.ContainsFunc(c.subscriptions, func(other *subscription) bool { return other.Queue == s.Queue }) {
		c.add(s)
	}
	return nil
}

// add is Add for who holds the gate.
func (c *consumer) add(s task.Subscription) {
	c.subscriptions = append(c.subscriptions, &subscription{Subscription: s})
	if s.Own {
		c.own[s.Queue] = s.Heir
	}
	c.change()
}

// Remove implements [task.Consumer]. Deliveries that the broker had sent ahead and that were not handed out go
// back as with Stop.
func (c *consumer) Remove(queue string) error {
	c.gate.Lock()
	defer c.gate.Unlock()
	c.subscriptions = slices.DeleteFunc(c.subscriptions, func(s *subscription) bool {
		s.removed = s.Queue == queue
		return s.removed
	})
	c.change()
	return nil
}

// Resize implements [task.Consumer]. A consumer's prefetch stays as it is, so another one takes its place.
func (c *consumer) Resize(queue string, prefetch int) {
	c.gate.Lock()
	defer c.gate.Unlock()
	for i, s := range c.subscriptions {
		if s.Queue == queue && s.Prefetch != prefetch {
			s.replaced = true
			next := &subscription{Subscription: s.Subscription}
			next.Prefetch = prefetch
			c.subscriptions[i] = next
			c.change()
		}
	}
}

// change has the session adjusted.
func (c *consumer) change() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// wanted are the subscriptions as they are now.
func (c *consumer) wanted() []*subscription {
	c.gate.RLock()
	defer c.gate.RUnlock()
	return slices.Clone(c.subscriptions)
}

// wants says whether what is delivered for a subscription is handed out.
func (c *consumer) wants(s *subscription) bool {
	c.gate.RLock()
	defer c.gate.RUnlock()
	return !c.stopped && !s.removed && !s.replaced
}

// adjust gives the session a consumer for each subscription, and no other. One that was replaced goes last, so that its queue
// always has one.
func (c *consumer) adjust(s *consumeSession) error {
	wanted := c.wanted()
	unwanted := slices.DeleteFunc(s.consumed(), func(sub *subscription) bool { return slices.Contains(wanted, sub) })
	in := func(subs []*subscription) func(*subscription) bool {
		return func(sub *subscription) bool {
			return slices.ContainsFunc(subs, func(other *subscription) bool { return other.Queue == sub.Queue })
		}
	}
	replaced, replaces := in(wanted), in(unwanted)
	for _, sub := range unwanted {
		if !replaced(sub) {
			c.unsubscribe(s, sub)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), s.consumes)
	if err := c.declare(s, slices.DeleteFunc(slices.Clone(missing), replaces)); err != nil {
		return err
	}
	for _, sub := range missing {
		if err := s.consume(sub, c.config.Worker); err != nil {
			return fmt.Errorf("can't consume from queue %s: %w", sub.Queue, err)
		}
	}
	for _, sub := range unwanted {
		if replaced(sub) {
			c.retire(s, sub)
		}
	}
	return nil
}

// retireWait is how long a consumer that is replaced waits at most to hold its whole prefetch. If the queue has no more messages it never
// does, and then none is on its way either.
const retireWait = 100 * time.Millisecond

// retire ends a consumer that another one has taken the place of, when it holds its whole prefetch. For what a quorum queue is about to send to a
// consumer that goes it takes back, and delivers it as something that was delivered before.
func (c *consumer) retire(s *consumeSession, sub *subscription) {
	s.acks.pause(sub)
	defer s.acks.resume(sub)
	for end := time.Now().Add(retireWait); !s.acks.holds(sub) && time.Now().Before(end) && sleep(s.ctx, time.Millisecond); {
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.cancelOne(sub)
}

// unsubscribe ends a consumer. A queue that was its own is left to expire, since something of it may be out; what
// waits in it goes to the heir at once.
func (c *consumer) unsubscribe(s *consumeSession, sub *subscription) {
	s.turn.Lock()
	s.cancelOne(sub)
	s.turn.Unlock()
	if !sub.Own || sub.Heir == "" || s.over() {
		return
	}
	t := newTopology(s.connection)
	defer t.close()
	err := t.try(func(ch *amqp.Channel) error { return evict(ch, sub.Queue) })
	if err != nil && !s.over() {
		c.log.Warn("messages of a queue that was removed come to their heir later", "queue", sub.Queue, "error", err)
	}
}

// readjust is adjust in a session that is under way. It returns when to try again, nil if all is well.
func (c *consumer) readjust(s *consumeSession) <-chan time.Time {
	defer context.AfterFunc(c.ctx, s.sever)()
	err := c.adjust(s)
	if err == nil || s.over() {
		s.findings.log(c.log)
		return nil
	}
	if c.complaints.Fresh(err) {
		c.log.Error("a queue that was added is not consumed", "error", err, "next_try_in", adjustPause)
	}
	return time.After(jitter(adjustPause))
}
