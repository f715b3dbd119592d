package memory

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"sync"

	"github.com/taskgen/taskgen/runtime/task"
)

// consumer delivers messages of its subscriptions, each from a goroutine of its own.
type consumer struct {
	transport *Transport
	config    task.ConsumeConfig
	running   sync.WaitGroup

	// Guarded by transport.mu.
	subscriptions map[string]*subscription // by queue
	own           map[string]string        // queue that goes with the consumer → heir
	stopped       bool
	unsettled     map[uint64]*outside
	held          map[string]int // queue → unsettled
}

// subscription is one queue of a consumer.
type subscription struct {
	task.Subscription
	removed bool          // guarded by transport.mu
	ended   chan struct{} // closed when it delivers no more
}

// outside is a message that a consumer has and has not settled.
type outside struct {
	item  *item
	queue string
}

// Consume starts to deliver.
func (t *Transport) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	c := &consumer{
		transport: t, config: config, subscriptions: map[string]*subscription{}, own: map[string]string{},
		unsettled: map[uint64]*outside{}, held: map[string]int{},
	}
	if err := c.subscribe(config.Subscriptions); err != nil {
		return nil, err
	}
	return c, nil
}

// Add starts to deliver from one more queue.
func (c *consumer) Add(s task.Subscription) error { return c.subscribe([]task.Subscription{s}) }

func (c *consumer) subscribe(all []task.Subscription) error {
	for _, s := range all {
		if s.Queue == "" || s.Prefetch < 1 {
			return fmt.Errorf("memory: subscription %+v: want a queue, and a prefetch of at least 1", s)
		}
	}
	t := c.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || c.stopped {
		return task.ErrClosed
	}
	mismatches, err := t.declareAll(all)
	if err != nil {
		return err
	}
	if c.config.Logger != nil {
		mismatches.Log(c.config.Logger)
	}
	for _, s := range all {
		if c.subscriptions[s.Queue] != nil {
			continue
		}
		if s.Own {
			c.own[s.Queue] = s.Heir
		}
		sub := &subscription{Subscription: s, ended: make(chan struct{})}
		c.subscriptions[s.Queue] = sub
		c.running.Go(func() { c.deliver(sub) })
	}
	return nil
}

// Remove ends the deliveries of a queue.
func (c *consumer) Remove(queue string) error {
	t := c.transport
	t.mu.Lock()
	s := c.subscriptions[queue]
	if s == nil {
		t.mu.Unlock()
		return nil
	}
	s.removed = true
	delete(c.subscriptions, queue)
	c.disown(queue)
	t.changed.Broadcast()
	t.mu.Unlock()
	<-s.ended
	return nil
}

// Resize changes how many messages of a queue the consumer holds.
func (c *consumer) Resize(queue string, prefetch int) {
	t := c.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := c.subscriptions[queue]; s != nil {
		s.Prefetch = prefetch
		t.changed.Broadcast()
	}
}

// disown ends a queue of the consumer's own that it has removed, once nothing of it is out. Locked.
func (c *consumer) disown(queue string) {
	if heir, own := c.own[queue]; own && c.subscriptions[queue] == nil && c.held[queue] == 0 {
		delete(c.own, queue)
		c.transport.disown(queue, heir)
	}
}

func (c *consumer) deliver(s *subscription) {
	defer close(s.ended)
	for d := c.next(s); d != nil; d = c.next(s) {
		c.config.Deliver(d)
	}
}

// next waits for the next message of the queue, and for room under the prefetch.
func (c *consumer) next(s *subscription) *task.Delivery {
	t := c.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	over := func() bool { return s.removed || c.stopped || t.closed }
	// A queue of its own goes with the consumer: look for it only while that is there.
	for !over() && (t.queue(s.Queue).ready.Len() == 0 || c.held[s.Queue] >= s.Prefetch) {
		t.changed.Wait()
	}
	if over() {
		return nil
	}
	q := t.queue(s.Queue)
	i := heap.Pop(&q.ready).(*item)
	t.tags++
	c.unsettled[t.tags] = &outside{item: i, queue: s.Queue}
	c.held[s.Queue]++
	return &task.Delivery{Message: clone(i.message), Redelivered: i.attempts > 0, Attempts: i.attempts, Tag: t.tags}
}

// AcksLate implements [task.LateAcker].
func (c *consumer) AcksLate() {}

// Settle carries out an outcome, all of it at once.
func (c *consumer) Settle(_ context.Context, d *task.Delivery, o task.Outcome) error {
	t := c.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return task.ErrClosed
	}
	out, ok := c.unsettled[d.Tag]
	if !ok {
		return task.ErrStale
	}
	routes := make([][]string, len(o.Publish))
	for i, m := range o.Publish {
		var err error
		if routes[i], err = t.route(m); err != nil {
			return err
		}
	}
	delete(c.unsettled, d.Tag)
	c.held[out.queue]--
	for i, m := range o.Publish {
		for _, queue := range routes[i] {
			t.put(m, queue)
		}
	}
	if o.Dead != nil {
		q := t.queue(cmp.Or(o.Dead.Queue, c.parkedIn(out.queue)))
		q.dead = append(q.dead, &task.DeadMessage{DeadLetter: *o.Dead, Message: out.item.message})
	}
	if o.Result != nil {
		t.store(o.Result)
	}
	for _, r := range o.Others {
		t.store(r)
	}
	if o.Requeue {
		heap.Push(&t.queue(out.queue).ready, out.item)
	}
	c.disown(out.queue)
	t.changed.Broadcast()
	return nil
}

// parkedIn is the queue whose dead letters those of a queue are: one that goes with its consumer has none.
func (c *consumer) parkedIn(queue string) string {
	return cmp.Or(c.own[queue], queue)
}

// Stop ends deliveries.
func (c *consumer) Stop(ctx context.Context) error {
	c.transport.mu.Lock()
	c.stopped = true
	c.transport.changed.Broadcast()
	c.transport.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		c.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops, and gives back what is unsettled.
func (c *consumer) Close() error {
	c.transport.mu.Lock()
	c.stopped = true
	for tag, out := range c.unsettled {
		out.item.attempts++
		heap.Push(&c.transport.queue(out.queue).ready, out.item)
		delete(c.unsettled, tag)
	}
	clear(c.held)
	for queue, heir := range c.own {
		c.transport.disown(queue, heir)
	}
	clear(c.own)
	c.transport.changed.Broadcast()
	c.transport.mu.Unlock()
	c.running.Wait()
	return nil
}

// Ready says that messages are being delivered.
func (c *consumer) Ready() bool {
	c.transport.mu.Lock()
	defer c.transport.mu.Unlock()
	return !c.stopped && !c.transport.closed
}
