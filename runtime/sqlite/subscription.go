package sqlite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// A subscription is one queue of a consumer. Its variables are under the
// writer's mutex.
type subscription struct {
	consumer *consumer
	task.Subscription

	id      int64 // of the queue, 0: not declared yet
	taken   int   // leased and not settled
	removed bool
	hungry  bool // the queue may have messages
	rumour  bool // others said so, and may have taken them
}

// hear notes that others may have left messages in the queue. The caller holds the writer's mutex.
func (s *subscription) hear() {
	s.rumour = s.rumour || !s.hungry
	s.hungry = true
}

// know notes whether the queue may have messages. The caller holds the writer's mutex.
func (s *subscription) know(hungry bool) { s.hungry, s.rumour = hungry, false }

func checkSubscription(s task.Subscription) (err error) {
	switch {
	case s.Queue == "":
		err = errors.New("it needs a name")
	case s.Prefetch < 1:
		err = fmt.Errorf("its prefetch is %d, and must be at least 1", s.Prefetch)
	case s.Own && s.Heir == s.Queue:
		err = errors.New("it can't be its own heir")
	}
	for _, b := range s.Bindings {
		err = errors.Join(err, routing.Check(b.Exchange, b.Type))
	}
	if err != nil {
		err = fmt.Errorf("sqlite: subscription to queue %q: %w", s.Queue, err)
	}
	return err
}

// Add implements [task.Consumer].
func (c *consumer) Add(s task.Subscription) error {
	if err := checkSubscription(s); err != nil {
		return err
	}
	w := c.transport.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.stopped || w.closed {
		return task.ErrClosed
	}
	if slices.ContainsFunc(c.subs, func(other *subscription) bool { return other.Queue == s.Queue }) {
		return nil
	}
	c.subscribe(s)
	c.declared = undeclared
	w.declare(c)
	return nil
}

// subscribe adds a subscription that is valid. The caller holds the writer's mutex.
func (c *consumer) subscribe(s task.Subscription) {
	c.subs = append(c.subs, &subscription{consumer: c, Subscription: s})
	if s.Own && !slices.Contains(c.own, s.Queue) {
		c.own = append(c.own, s.Queue)
	}
}

// Remove implements [task.Consumer].
func (c *consumer) Remove(queue string) error {
	w := c.transport.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.IndexFunc(c.subs, func(s *subscription) bool { return s.Queue == queue })
	if at < 0 {
		return nil
	}
	s := c.subs[at]
	s.removed = true
	c.subs = slices.Concat(c.subs[:at], c.subs[at+1:])
	c.giveBack(s)
	w.disown(s)
	for c.handing == s {
		c.arrived.Wait()
	}
	return nil
}

// Resize implements [task.Consumer].
func (c *consumer) Resize(queue string, prefetch int) {
	w := c.transport.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range c.subs {
		if s.Queue == queue {
			s.Prefetch = prefetch
			w.wakeUp()
		}
	}
}

// disown ends a removed subscription's own queue once nothing of it is out. The caller holds w.mu.
func (w *writer) disown(s *subscription) {
	c := s.consumer
	at := slices.Index(c.own, s.Queue)
	if !s.removed || at < 0 {
		return
	}
	for _, l := range c.leases {
		if l.sub.Queue == s.Queue {
			return
		}
	}
	for _, again := range c.subs {
		if again.Queue == s.Queue {
			return
		}
	}
	c.own = slices.Delete(c.own, at, at+1)
	w.postLocked(&release{own: []string{s.Queue}})
}
