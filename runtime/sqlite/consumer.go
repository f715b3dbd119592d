package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// closePatience is how long closing a consumer waits until its messages are
// given back. They are given back later anyway, at the latest when the process ends.
const closePatience = 5 * time.Second

// A consumer is one [task.Consumer]. The writer leases for it; its goroutine
// hands the messages to Deliver.
type consumer struct {
	transport *Transport
	config    task.ConsumeConfig

	// Under the writer's mutex:
	subs     []*subscription // of which no removed one is part
	own      []string        // queues that go with the consumer
	handing  *subscription   // whose message Deliver has
	session  uint64
	leases   map[uint64]*lease // by tag: not settled yet
	ready    []*lease          // not yet handed to Deliver
	untold   []func()          // what the goroutine calls before the next delivery
	declared declared
	begun    bool // it was ready once
	warned   bool // of bindings that name another type than their exchange has
	stopped  bool // no new leases
	closed   bool // no settling any more

	arrived *sync.Cond    // ready or untold has grown, or stopped is set, or handing has changed
	ended   chan struct{} // the goroutine has ended
}

// Consume implements [task.Transport].
func (t *Transport) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	if config.Deliver == nil {
		return nil, errors.New("sqlite: ConsumeConfig.Deliver is nil")
	}
	if len(config.Subscriptions) == 0 {
		return nil, errors.New("sqlite: ConsumeConfig.Subscriptions names no queue")
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	c := &consumer{
		transport: t,
		config:    config,
		leases:    map[uint64]*lease{},
		arrived:   sync.NewCond(&t.writer.mu),
		ended:     make(chan struct{}),
	}
	for _, s := range config.Subscriptions {
		if err := checkSubscription(s); err != nil {
			return nil, err
		}
		c.subscribe(s)
	}
	if err := t.appear(config.Worker); err != nil {
		return nil, err
	}
	if err := t.writer.add(c); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// add makes the writer lease for the consumer.
func (w *writer) add(c *consumer) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return task.ErrClosed
	}
	if len(w.consumers) == 0 {
		w.log.Store(c.config.Logger)
		w.dueAt = 0
	}
	c.session = w.number()
	w.consumers = append(w.consumers, c)
	w.declare(c)
	return nil
}

// accept takes a leased message. The caller holds the writer's mutex.
func (c *consumer) accept(l *lease) {
	l.sub.taken++
	c.leases[l.delivery.Tag] = l
	c.ready = append(c.ready, l)
	c.arrived.Signal()
	if c.stopped || l.sub.removed { // while the lease was taken
		c.giveBack(l.sub)
	}
}

// run hands messages to Deliver until the consumer is stopped.
func (c *consumer) run() {
	defer close(c.ended)
	mu := &c.transport.writer.mu
	mu.Lock()
	defer mu.Unlock()
	for {
		for len(c.ready) == 0 && len(c.untold) == 0 && !c.stopped {
			c.arrived.Wait()
		}
		next := c.next()
		if next == nil {
			return
		}
		mu.Unlock()
		next()
		mu.Lock()
		c.handing = nil
		c.arrived.Broadcast()
	}
}

// next is what the goroutine has to do, nil if the consumer is stopped. The
// caller holds the writer's mutex.
func (c *consumer) next() func() {
	if len(c.untold) > 0 {
		news := c.untold[0]
		c.untold = c.untold[1:]
		return news
	}
	if c.stopped {
		return nil
	}
	l := c.ready[0]
	c.ready = c.ready[1:]
	l.handed, c.handing = true, l.sub
	return func() { c.config.Deliver(l.delivery) }
}

// tell has news called before the next delivery. The caller holds the writer's mutex.
func (c *consumer) tell(news func()) {
	if c.stopped { // there is no next one
		go news()
		return
	}
	c.untold = append(c.untold, news)
	c.arrived.Signal()
}

// lose begins a new session: nothing of what the consumer has leased is its own
// any more. The caller holds the writer's mutex.
func (c *consumer) lose(cause error) {
	ended := c.session
	c.session = c.transport.writer.number()
	clear(c.leases)
	c.ready = nil
	if c.declared == isDeclared { // the queues of its own are gone
		c.declared = undeclared
	}
	for _, s := range c.subs {
		s.id, s.taken = 0, 0
		s.know(false)
	}
	if lost := c.config.Lost; lost != nil && !c.closed {
		c.tell(func() { lost(ended, cause) })
	}
}

// beginConsumers notes that nothing is in the way of the consumers. The caller holds w.mu.
func (w *writer) beginConsumers() {
	for _, c := range w.consumers {
		if c.declared == isDeclared && w.elsewhere.Load() == nil {
			c.begun = true
		}
	}
}

// refuse tells that the database can't be used, unless the consumer has begun.
// The caller holds the writer's mutex.
func (c *consumer) refuse(cause error) {
	if refused := c.config.Refused; refused != nil && !c.begun && !c.closed {
		c.tell(func() { refused(cause) })
	}
}

// Ready implements [task.Consumer].
func (c *consumer) Ready() bool {
	w := c.transport.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	return c.declared == isDeclared && !c.stopped && !w.closed && w.doorbell.listed.Load() && !w.stuck.Load() && w.elsewhere.Load() == nil
}

// Stop implements [task.Consumer]. What was leased and not delivered yet goes
// back to its queue.
func (c *consumer) Stop(ctx context.Context) error {
	c.halt()
	select {
	case <-c.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sqlite: stop: a delivery is still being taken: %w", context.Cause(ctx))
	}
}

// halt ends leasing and delivering.
func (c *consumer) halt() {
	w := c.transport.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.stopped {
		return
	}
	c.stopped = true
	c.arrived.Broadcast()
	c.giveBack(c.subs...)
}

// giveBack returns what was not delivered yet. The caller holds the writer's mutex.
func (c *consumer) giveBack(subs ...*subscription) {
	r := &release{}
	c.ready = slices.DeleteFunc(c.ready, func(l *lease) bool {
		if !slices.Contains(subs, l.sub) {
			return false
		}
		r.add(l)
		delete(c.leases, l.delivery.Tag)
		l.sub.taken--
		return true
	})
	if len(r.leases) > 0 {
		c.transport.writer.postLocked(r)
	}
}

// Close implements [task.Consumer]. The consumer's own queues go with it.
func (c *consumer) Close() error {
	c.halt()
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	err := c.Stop(ctx)
	w := c.transport.writer
	r := &release{}
	w.mu.Lock()
	wasClosed := c.closed
	c.closed = true
	w.remove(c)
	for _, l := range c.leases {
		r.add(l)
	}
	r.own, c.own = c.own, nil
	clear(c.leases)
	w.mu.Unlock()
	if wasClosed {
		return nil
	}
	// Also without leases: this waits for what Stop gives back.
	if released := w.do(ctx, r); released != nil && !errors.Is(released, task.ErrClosed) {
		w.post(r) // nobody waits for it any more, but it must happen
		err = errors.Join(err, fmt.Errorf("sqlite: close: the messages of %s are not given back yet: %w", c.config.Worker, released))
	}
	return err
}

// remove makes the writer forget the consumer. The caller holds w.mu.
func (w *writer) remove(c *consumer) {
	for i, other := range w.consumers {
		if other == c {
			w.consumers = append(w.consumers[:i:i], w.consumers[i+1:]...)
			return
		}
	}
}

// A release gives leased messages back to their queues, then ends those that
// go with the consumer.
type release struct {
	leases []*lease
	own    []string
}

func (r *release) add(l *lease) { r.leases = append(r.leases, l) }

// apply gives the messages back. Those that never reached Deliver count as
// never delivered.
func (r *release) apply(t *tx) error {
	for _, l := range r.leases {
		if err := giveBack(t, l, !l.handed); err != nil && !isStale(err) {
			return err
		}
	}
	for _, queue := range r.own {
		estates, err := t.estates(sqlOwnQueue, queue, t.owner)
		if err != nil {
			return err
		}
		for _, e := range estates {
			if err := e.settle(t); err != nil {
				return err
			}
		}
	}
	return nil
}

const sqlGiveBack = `UPDATE msg SET state = 0, at = ?, owner = NULL, lease = NULL, attempt = attempt - ?
	WHERE id = ? AND owner = ? AND lease = ? AND state = 2 RETURNING queue`

// giveBack puts one message back, as if it had never been delivered if uncounted.
func giveBack(t *tx, l *lease, uncounted bool) error {
	minus, found := 0, false
	if uncounted {
		minus = 1
	}
	err := t.query(sqlGiveBack, func(r row) error {
		t.ready[r.int(0)], found = true, true
		return nil
	}, t.now, minus, l.id, t.owner, l.number)
	if err == nil && !found {
		err = task.ErrStale
	}
	return err
}
