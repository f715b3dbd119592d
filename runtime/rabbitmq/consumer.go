package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/complaint"
	"github.com/taskgen/taskgen/runtime/task"
)

// consumer keeps one session alive, on a connection of its own, until it is stopped.
type consumer struct {
	transport *Transport
	name      string // of the connection
	config    task.ConsumeConfig
	replies   bool // its queue is the process's own, for results
	log       *slog.Logger
	ctx       context.Context
	cancel    context.CancelFunc
	finished  chan struct{} // closed when nothing runs any more
	first     chan struct{} // closed once there was a session

	// gate is held to read while a delivery is handed out.
	gate          sync.RWMutex
	stopped       bool
	subscriptions []*subscription
	own           map[string]string // queue that goes with the consumer → heir, of removed ones too

	changed chan struct{} // buffered; says that subscriptions has changed

	complaints complaint.Book

	unconfirmed sync.WaitGroup // results on their way

	mu      sync.Mutex                     // held while a session begins
	session atomic.Pointer[consumeSession] // the newest; it may have ended
	trouble error                          // why there is no session, for those who wait for the first
}

func newConsumer(t *Transport, name string, config task.ConsumeConfig, replies bool) *consumer {
	c := &consumer{
		transport: t, name: name, config: config, replies: replies,
		log:      config.Logger,
		finished: make(chan struct{}),
		first:    make(chan struct{}),
		own:      make(map[string]string),
		changed:  make(chan struct{}, 1),
	}
	for _, s := range config.Subscriptions {
		c.add(s)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With("broker", t.String())
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.supervise()
	return c
}

// supervise builds session after session, for ever: whatever ends one, the next has nothing of it.
func (c *consumer) supervise() {
	defer close(c.finished)
	var backoff backoff
	var refusals refusals
	for {
		s, err := c.open()
		switch {
		case err == nil:
			refusals.inRow = 0
			c.complaints.Over()
			c.log.Info("consuming", "queues", c.queues(), "session", s.id)
			s.findings.log(c.log)
			err = c.attend(s)
			if c.ctx.Err() != nil {
				c.bequeath(s)
			}
			s.shut()
			s.pumps.Wait()
			c.lose(s, err)
			if time.Since(s.since) > healthy {
				backoff.reset()
			}
		case refusals.refused(err):
			c.complain(err, "the broker refuses the worker", refusedBackoff, c.refuse(err))
			if sleep(c.ctx, jitter(refusedBackoff)) {
				continue
			}
		}
		if c.isStopped() || c.ctx.Err() != nil {
			return
		}
		wait := backoff.delay()
		if errors.Is(err, errCancelled) {
			wait = max(wait, recreatePause) // other consumers must hear of it too
		}
		// One refused login may be none, the next try tells.
		told := refusals.inRow > 0
		if refusesDeclare(err) {
			wait = max(wait, refusalStands)
			told = c.refuse(err)
		}
		c.complain(err, "not consuming", wait, told)
		sleep(c.ctx, wait)
	}
}

// lose tells the worker that a session has ended.
func (c *consumer) lose(s *consumeSession, cause error) {
	if c.config.Lost != nil && c.ctx.Err() == nil {
		c.config.Lost(s.id, cause)
	}
}

// refuse tells the worker that the broker won't have it, if it wants to know.
func (c *consumer) refuse(err error) (told bool) {
	if c.config.Refused == nil {
		return false
	}
	if !c.isStopped() {
		c.config.Refused(fmt.Errorf("rabbitmq: %w", err))
	}
	return true
}

// complain logs what is wrong, unless that was told, and keeps it for who waits for the first session.
func (c *consumer) complain(err error, what string, wait time.Duration, told bool) {
	level := slog.LevelWarn
	if wait == refusedBackoff {
		level = slog.LevelError
	}
	if !told && c.complaints.Fresh(err) {
		c.log.Log(c.ctx, level, what, "error", err, "next_try_in", wait.Round(time.Millisecond))
	}
	c.mu.Lock()
	c.trouble = err
	c.mu.Unlock()
}

// open builds a whole session: connection, channel, topology, prefetch, consumers.
func (c *consumer) open() (*consumeSession, error) {
	conn, err := c.transport.dialer.dial(c.ctx, c.name)
	if err != nil {
		return nil, err
	}
	s := newConsumeSession(conn, c.transport.sessions.Add(1))
	defer context.AfterFunc(c.ctx, conn.sever)()
	if err := c.subscribe(s); err != nil {
		s.shut()
		return nil, err
	}
	return s, nil
}

func (c *consumer) subscribe(s *consumeSession) error {
	if err := s.openChannel(); err != nil {
		return err
	}
	return c.adjust(s)
}

func (c *consumer) declare(s *consumeSession, subs []*subscription) error {
	t := newTopology(s.connection)
	defer t.close()
	s.findings = findings{}
	for _, sub := range subs {
		if err := c.declareQueue(&t, sub.Subscription, &s.findings); err != nil {
			return err
		}
		if sub.Heir != "" {
			if err := t.taskQueue(sub.Heir, quorumQueue, 0); err != nil {
				return err
			}
		}
	}
	return c.bind(&t, subs, s.findings.Compare)
}

// declareQueue creates the queue of a subscription if it is missing.
func (c *consumer) declareQueue(t *topology, sub task.Subscription, found *findings) error {
	switch {
	case c.replies:
		return t.create(sub.Queue, t.declaring.arguments(replyQueue))
	case sub.Own:
		arguments := ownArguments(sub.Heir)
		t.connection.consumerTimeout(arguments, sub.Longest)
		return t.create(sub.Queue, arguments)
	case !sub.Prioritized:
		return t.taskQueue(sub.Queue, quorumQueue, sub.Longest)
	}
	flat, err := t.priorityQueue(sub.Queue)
	if flat {
		found.flat = append(found.flat, sub.Queue)
	}
	return err
}

// attend hands out the session's deliveries until it ends, and says why it did.
func (c *consumer) attend(s *consumeSession) error {
	c.mu.Lock()
	// Under the lock: a Stop that is not seen here sees the session.
	if c.isStopped() {
		c.mu.Unlock()
		return task.ErrClosed // while the session was built
	}
	c.session.Store(s)
	if c.trouble = nil; !isClosed(c.first) {
		close(c.first)
	}
	// Who sees the session can wait for its pumps.
	s.attend(func(in incoming) { c.pump(s, in) })
	c.mu.Unlock()
	go c.keepBindings(s)
	var retry <-chan time.Time
	for {
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-c.ctx.Done():
			s.end(task.ErrClosed)
			return context.Cause(s.ctx)
		case <-c.changed:
		case <-retry:
		}
		retry = c.readjust(s)
	}
}

// pump hands out the deliveries of one queue.
func (c *consumer) pump(s *consumeSession, in incoming) {
	in.open(func(d *amqp.Delivery) {
		if !c.deliver(s, in.subscription, d) {
			// Stopped or removed: what the broker had sent ahead goes back to others, or at once to the heir.
			s.acks.refuse(d.DeliveryTag, in.Heir == "")
		}
	})
	for range in.ended { // nothing comes
	}
	in.close()
	if !c.wants(in.subscription) {
		return
	}
	// Whoever ended the deliveries tells the session why; this is for the case that nobody does.
	select {
	case <-s.ctx.Done():
	case <-time.After(time.Second):
		s.end(fmt.Errorf("the deliveries of queue %s have ended", in.Queue))
	}
}

func (c *consumer) deliver(s *consumeSession, sub *subscription, d *amqp.Delivery) bool {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.stopped || sub.removed {
		return false
	}
	if isStray(d, sub.Queue) {
		s.acks.drop(d.DeliveryTag) // else it comes again
		return true
	}
	s.acks.hold(d.DeliveryTag, sub)
	delivery := newDelivery(d, sub.Queue, s.id)
	if eta := delivery.Message.ETA; !eta.IsZero() && ladderSeconds(eta, time.Now()) > 0 {
		s.pumps.Go(func() { c.detour(s, delivery) })
		return true
	}
	delivery.Message.ETA = time.Time{}
	c.config.Deliver(delivery)
	return true
}

func (c *consumer) isStopped() bool {
	c.gate.RLock()
	defer c.gate.RUnlock()
	return c.stopped
}

// current returns the newest session, nil if there was none. One that is about to begin is waited for.
func (c *consumer) current() *consumeSession {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.Load()
}

// Ready implements [task.Consumer].
func (c *consumer) Ready() bool {
	s := c.current()
	return s != nil && !s.over() && !c.isStopped() && s.serves(c.wanted())
}

// Stop implements [task.Consumer]. Deliveries that the broker had sent ahead
// and that were not handed out go back to their queue; on a quorum queue that
// counts as a delivery, and they arrive elsewhere with one more in Attempts. Those
// of the consumer's own queue go to its heir.
func (c *consumer) Stop(ctx context.Context) error {
	c.gate.Lock()
	c.stopped = true
	c.gate.Unlock()
	s := c.current()
	if s == nil || s.over() {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.cancel()
		s.pumps.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rabbitmq: the broker has not confirmed that it stops to deliver: %w", context.Cause(ctx))
	}
}

// Close implements [task.Consumer]. What is in the consumer's own queues goes to their heirs. Results that
// are not confirmed get some seconds more.
func (c *consumer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = c.Stop(ctx) // closing the connection has the same effect
	lastReplies := time.AfterFunc(replyPatience, c.cancel)
	defer lastReplies.Stop()
	c.unconfirmed.Wait()
	if s := c.current(); s != nil && !s.over() {
		s.acks.flush(ctx)
	}
	c.cancel()
	<-c.finished
	c.transport.forgetConsumer(c)
	return nil
}

// deleteQueues deletes the queues, if there is a session.
func (c *consumer) deleteQueues() {
	s := c.current()
	if s == nil || s.over() {
		return
	}
	// A broker that does not answer ends with the connection.
	timer := time.AfterFunc(closeTimeout, s.sever)
	defer timer.Stop()
	for _, queue := range c.queues() {
		_, _ = s.channel.QueueDelete(queue, false, false, false)
	}
}

// started waits for the first session.
func (c *consumer) started(ctx context.Context) error {
	select {
	case <-c.first:
		return nil
	case <-c.finished:
		return task.ErrClosed
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(context.Cause(ctx), c.trouble)
}

func (c *consumer) queues() []string {
	var names []string
	for _, s := range c.wanted() {
		names = append(names, s.Queue)
	}
	return names
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
