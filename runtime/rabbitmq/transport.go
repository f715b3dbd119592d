package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// Transport is a RabbitMQ broker, or a cluster of them. It implements [task.Transport].
type Transport struct {
	dialer    *dialer
	replyTo   string
	publisher *publisher
	results   *results
	sessions  atomic.Uint64 // numbers the consumers' sessions
	closed    chan struct{}

	mu        sync.Mutex
	consumers map[*consumer]struct{}
	listeners map[*listener]struct{}
	replies   *consumer // of the reply queue; nil until a message carries it
	herald    *herald   // nil until the first broadcast

	log atomic.Pointer[slog.Logger]
}

// Open makes a transport for a URL such as
//
//	amqp://user:password@host:5672/vhost
//	amqps://user:password@host1,host2:5671/?cacertfile=/etc/ca.pem
//
// Several hosts are tried in turn. The options are heartbeat (seconds, 10 by default),
// connection_timeout (milliseconds, 10000), auth_mechanism (plain or external), declare, queue_type and, with amqps,
// cacertfile, certfile, keyfile and server_name_indication.
//
// declare says what becomes of queues, exchanges and bindings that are shared: create (the default) makes what is missing and takes
// what exists as it is; verify makes nothing, and what is missing or otherwise is an error; never asks for
// nothing and assumes that all is there. queue_type is that of queues that are made, quorum (the default) or classic, as Celery's
// clients declare them; if it is given, a queue that exists and is otherwise is an error.
//
// Open does not connect: that is done by the first call that needs it, and lasts as long
// as the context of that call. Errors never have the password in them.
func Open(_ context.Context, url string) (*Transport, error) {
	address, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: the URL is wrong: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: %w", err)
	}
	t := &Transport{
		dialer:    &dialer{address: address},
		replyTo:   "taskgen.reply." + id.String(),
		results:   newResults(),
		closed:    make(chan struct{}),
		consumers: make(map[*consumer]struct{}),
		listeners: make(map[*listener]struct{}),
	}
	t.publisher = newPublisher(context.Background(), t.dialer, t.connectionName("publish"), id.String())
	return t, nil
}

// connectionName is what the broker's tools show.
func (t *Transport) connectionName(role string) string {
	host, _ := os.Hostname()
	return filepath.Base(os.Args[0]) + "@" + host + "." + strconv.Itoa(os.Getpid()) + " " + role
}

// String is the broker's URL without the password.
func (t *Transport) String() string { return t.dialer.address.String() }

// Publish implements [task.Transport]. It waits for a broker that is down, and sends
// again if the connection is lost before the broker has answered, both as long as ctx lasts. A
// message that is sent twice can be queued twice, with the same id.
func (t *Transport) Publish(ctx context.Context, m *task.Message) error {
	out, err := newPublishing(m, time.Now(), true)
	if err != nil {
		return err
	}
	if err := t.awaitReplies(ctx, m); err != nil {
		return out.wrap(err)
	}
	return t.publisher.publish(ctx, out)
}

// PublishMany implements [task.Transport].
func (t *Transport) PublishMany(ctx context.Context, ms []*task.Message) []error {
	now := time.Now()
	return t.publisher.publishMany(ctx, len(ms), func(i int) (*publishing, error) {
		p, err := newPublishing(ms[i], now, true)
		if err != nil {
			return nil, err
		}
		if err := t.awaitReplies(ctx, ms[i]); err != nil {
			return nil, p.wrap(err)
		}
		return p, nil
	})
}

// ReplyTo implements [task.Transport]: the name of this process's queue for results. The queue is
// made when the first message that carries it is published, outlives a lost connection, and goes 30
// minutes after the process.
func (t *Transport) ReplyTo() string { return t.replyTo }

// awaitReplies makes sure that the reply queue is there before a message that
// names it is on its way: a result without a queue is dropped.
func (t *Transport) awaitReplies(ctx context.Context, m *task.Message) error {
	if m.ReplyTo == "" || m.ReplyTo != t.ReplyTo() {
		return nil
	}
	replies, err := t.replyConsumer()
	if err != nil {
		return err
	}
	if isClosed(replies.first) {
		return nil
	}
	// A refused login is told at once by the publisher; a consumer tries for ever.
	if _, err := t.publisher.connected(ctx); err != nil {
		return err
	}
	return replies.started(ctx)
}

func (t *Transport) replyConsumer() (*consumer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.closed) {
		return nil, task.ErrClosed
	}
	if t.replies == nil {
		t.replies = newConsumer(t, t.connectionName("results"), task.ConsumeConfig{
			Worker:        "taskgen.results",
			Subscriptions: []task.Subscription{{Queue: t.ReplyTo(), Prefetch: replyPrefetch}},
			Deliver:       t.receive,
		}, true)
	}
	return t.replies, nil
}

// receive takes a result from the reply queue. One that can't be read is dropped: nobody could use it.
func (t *Transport) receive(d *task.Delivery) {
	m := d.Message
	if state, err := stateOf(m.ContentType, m.Body); err == nil && m.ID != "" {
		t.results.add(&task.Result{
			ID: m.ID, State: state, ReplyTo: t.ReplyTo(),
			ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Body: m.Body,
		}, time.Now())
	}
	t.mu.Lock()
	replies := t.replies
	t.mu.Unlock()
	_ = replies.Settle(context.Background(), d, task.Outcome{Late: true}) // else it comes again
}

// Consume implements [task.Transport].
func (t *Transport) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	if config.Deliver == nil || len(config.Subscriptions) == 0 {
		return nil, errors.New("rabbitmq: to consume takes a Deliver function and at least one subscription")
	}
	for _, s := range config.Subscriptions {
		if err := checkSubscription(s); err != nil {
			return nil, fmt.Errorf("rabbitmq: can't consume: %w", err)
		}
	}
	if config.Worker == "" {
		config.Worker = "taskgen"
	}
	t.setLogger(config.Logger)
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.closed) {
		return nil, fmt.Errorf("rabbitmq: %w", task.ErrClosed)
	}
	c := newConsumer(t, t.connectionName("consume "+config.Worker), config, false)
	t.consumers[c] = struct{}{}
	return c, nil
}

// checkSubscription refuses what the broker would, again and again.
func checkSubscription(s task.Subscription) error {
	if s.Queue == "" || len(s.Queue) > math.MaxUint8 {
		return fmt.Errorf("%q is no name of a queue (1 to 255 bytes)", s.Queue)
	}
	if s.Heir == s.Queue || len(s.Heir) > math.MaxUint8 || s.Heir != "" && !s.Own {
		return fmt.Errorf("queue %s can't have %q as its heir", s.Queue, s.Heir)
	}
	for _, b := range s.Bindings {
		if b.Exchange == "" || len(b.Exchange) > math.MaxUint8 || len(b.RoutingKey) > math.MaxUint8 {
			return fmt.Errorf("binding of queue %s: exchange %q, routing key %q: want 1 to 255 bytes for the exchange, at most 255 for the key", s.Queue, b.Exchange, b.RoutingKey)
		}
		if err := routing.Check(b.Exchange, b.Type); err != nil {
			return err
		}
	}
	return nil
}

func (t *Transport) forgetConsumer(c *consumer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.consumers, c)
}

// StoreResult implements [task.Transport]: it sends the result to the caller's
// reply queue. A result without one, or whose queue is gone, has no reader and is dropped.
func (t *Transport) StoreResult(ctx context.Context, r *task.Result) error {
	if r.ReplyTo == "" {
		return nil
	}
	out, err := newReply(r)
	if err != nil {
		return err
	}
	return t.publisher.publish(ctx, out)
}

// newReply is the message of a result.
func newReply(r *task.Result) (*publishing, error) {
	out := &publishing{
		Message: task.Message{
			ID: r.ID, Task: "result of " + string(r.State), Body: r.Body,
			ContentType: r.ContentType, ContentEncoding: r.ContentEncoding,
		},
		key: r.ReplyTo,
		properties: amqp.Publishing{
			ContentType: r.ContentType, ContentEncoding: r.ContentEncoding,
			DeliveryMode:  amqp.Persistent,
			CorrelationId: r.ID,
			Body:          r.Body,
		},
	}
	if r.TTL > 0 {
		out.properties.Expiration = strconv.FormatInt(max(r.TTL.Milliseconds(), 1), 10)
	}
	if err := out.check(); err != nil {
		return nil, out.invalid(err)
	}
	return out, nil
}

// Result implements [task.Transport]. It knows the tasks that this transport has published.
func (t *Transport) Result(ctx context.Context, id string) (*task.Result, error) {
	if isClosed(t.closed) {
		return nil, fmt.Errorf("rabbitmq: %w", task.ErrClosed)
	}
	return t.results.newest(id), ctx.Err()
}

// AwaitResult implements [task.Transport]. The result of a task that another process has
// published never arrives here: then ctx ends the wait.
func (t *Transport) AwaitResult(ctx context.Context, id string) (*task.Result, error) {
	r, err := t.results.await(ctx, id, t.closed)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: no result of task %s: %w", id, err)
	}
	return r, nil
}

// Purge implements [task.Transport]. Messages that are held back for later are not counted, nor
// deleted: the broker can't tell whose they are.
func (t *Transport) Purge(ctx context.Context, queue string) (int, error) {
	n, err := t.publisher.purge(ctx, queue)
	if err != nil {
		return 0, fmt.Errorf("rabbitmq: can't purge queue %s: %w", queue, err)
	}
	return n, nil
}

// Close implements [task.Transport].
func (t *Transport) Close() error {
	t.mu.Lock()
	if isClosed(t.closed) {
		t.mu.Unlock()
		return nil
	}
	close(t.closed)
	consumers := slices.Collect(maps.Keys(t.consumers))
	listeners := slices.Collect(maps.Keys(t.listeners))
	replies, herald := t.replies, t.herald
	t.mu.Unlock()

	var closing sync.WaitGroup
	for _, c := range consumers {
		closing.Go(func() { _ = c.Close() })
	}
	for _, l := range listeners {
		closing.Go(func() { _ = l.Close() })
	}
	if herald != nil {
		closing.Go(herald.close)
	}
	if replies != nil {
		closing.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			if replies.Stop(ctx) == nil {
				replies.deleteQueues()
			}
			_ = replies.Close()
		})
	}
	closing.Wait() // consumers may have results on their way
	t.publisher.close()
	return nil
}

// DeleteExpiredResults implements [task.Transport]: results are sent, not stored.
func (t *Transport) DeleteExpiredResults(context.Context) (int, error) { return 0, nil }
