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
	stopped   bool
	closed    bool
	unsettled map[uint64]*outside
	held      map[string]int // queue → unsettled
}

// outside is a message that a consumer has and has not settled.
type outside struct {
	item  *item
	queue string
}

// Consume starts to deliver.
func (t *Transport) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	for _, s := range config.Subscriptions {
		if s.Queue == "" || s.Prefetch < 1 {
			return nil, fmt.Errorf("memory: subscription %+v: want a queue, and a prefetch of at least 1", s)
		}
	}
	if t.isClosed() {
		return nil, task.ErrClosed
	}
	c := &consumer{transport: t, config: config, unsettled: map[uint64]*outside{}, held: map[string]int{}}
	mismatches, err := t.declareAll(config.Subscriptions)
	if err != nil {
		return nil, err
	}
	if config.Logger != nil {
		mismatches.Log(config.Logger)
	}
	for _, s := range config.Subscriptions {
		c.running.Go(func() { c.deliver(s) })
	}
	return c, nil
}

func (c *consumer) deliver(s task.Subscription) {
	for d := c.next(s); d != nil; d = c.next(s) {
		c.config.Deliver(d)
	}
}

// next waits for the next message of the queue, and for room under the prefetch.
func (c *consumer) next(s task.Subscription) *task.Delivery {
	t := c.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	// A queue of its own goes with the consumer: look for it only while that is there.
	for !c.stopped && !t.closed && (t.queue(s.Queue).ready.Len() == 0 || c.held[s.Queue] >= s.Prefetch) {
		t.changed.Wait()
	}
	if c.stopped || t.closed {
		return nil
	}
	q := t.queue(s.Queue)
	i := heap.Pop(&q.ready).(*item)
	t.tags++
	c.unsettled[t.tags] = &outside{item: i, queue: s.Queue}
	c.held[s.Queue]++
	return &task.Delivery{Message: clone(i.message), Redelivered: i.attempts > 0, Attempts: i.attempts, Tag: t.tags}
}

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
	t.changed.Broadcast()
	return nil
}

// parkedIn is the queue whose dead letters those of a queue are: one that goes with its consumer has none.
func (c *consumer) parkedIn(queue string) string {
	for _, s := range c.config.Subscriptions {
		if s.Queue == queue && s.Own && s.Heir != "" {
			return s.Heir
		}
	}
	return queue
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
	for _, s := range c.config.Subscriptions {
		if s.Own && !c.closed {
			c.transport.disown(s)
		}
	}
	c.closed = true
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
