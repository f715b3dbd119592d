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
	// extra says that this is one more consumer of a queue that has one, for a prefetch that was raised. whole is the prefetch
	// of both together, and guarded by consumer.gate.
	extra bool
	whole int
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
	c.subscriptions = append(c.subscriptions, &subscription{Subscription: s, whole: s.Prefetch})
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

// Resize implements [task.Consumer]. A consumer's prefetch stays as it is. So one more comes beside it for what is more, and goes
// when that does; only if the prefetch is to be less than the first one's, another takes its place. For the broker takes back what it is about to send to
// one that goes, and then delivers it as something that was delivered before.
func (c *consumer) Resize(queue string, prefetch int) {
	c.gate.Lock()
	defer c.gate.Unlock()
	i := slices.IndexFunc(c.subscriptions, func(s *subscription) bool { return s.Queue == queue && !s.extra })
	if i < 0 || c.subscriptions[i].whole == prefetch {
		return
	}
	c.subscriptions = slices.DeleteFunc(c.subscriptions, func(s *subscription) bool {
		s.replaced = s.Queue == queue && s.extra
		return s.replaced
	})
	first := c.subscriptions[slices.IndexFunc(c.subscriptions, func(s *subscription) bool { return s.Queue == queue })]
	first.whole = prefetch
	beside := func(prefetch int, extra bool) *subscription {
		s := &subscription{Subscription: first.Subscription, extra: extra, whole: first.whole}
		s.Prefetch = prefetch
		return s
	}
	switch {
	case prefetch > first.Prefetch:
		c.subscriptions = append(c.subscriptions, beside(prefetch-first.Prefetch, true))
	case prefetch < first.Prefetch:
		first.replaced = true
		c.subscriptions[slices.Index(c.subscriptions, first)] = beside(prefetch, false)
	}
	c.change()
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
	replaced := func(sub *subscription) bool {
		return slices.ContainsFunc(wanted, func(other *subscription) bool { return other.Queue == sub.Queue })
	}
	for _, sub := range unwanted {
		if !replaced(sub) {
			c.unsubscribe(s, sub)
		}
	}
	missing := slices.DeleteFunc(slices.Clone(wanted), func(sub *subscription) bool { return s.consumes(sub) })
	if err := c.declare(s, missing); err != nil {
		return err
	}
	for _, sub := range missing {
		if err := s.consume(sub, c.config.Worker); err != nil {
			return fmt.Errorf("can't consume from queue %s: %w", sub.Queue, err)
		}
	}
	for _, sub := range unwanted {
		if replaced(sub) {
			s.turn.Lock()
			s.cancelOne(sub)
			s.turn.Unlock()
		}
	}
	return nil
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
