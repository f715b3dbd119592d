package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/internal/complaint"
	"github.com/taskgen/taskgen/runtime/task"
)

// listener keeps one session alive that hears broadcasts, on a connection of its own, until it is closed.
type listener struct {
	transport *Transport
	config    task.ListenConfig
	inbox     *bulletin.Inbox
	log       *slog.Logger
	ctx       context.Context
	cancel    context.CancelFunc
	finished  chan struct{} // closed when nothing runs any more

	complaints complaint.Book

	mu      sync.Mutex
	hears   chan struct{} // closed while there is a session
	trouble error         // why there is none
}

// Listen implements [task.Broadcaster]. The queue is exclusive to the listener's connection. If another connection has one of
// that name, which may be a lost one's that the broker still believes in, a listener of an exchange takes another name.
func (t *Transport) Listen(config task.ListenConfig) (task.Listener, error) {
	if err := bulletin.Complete(&config); err != nil {
		return nil, fmt.Errorf("rabbitmq: %w", err)
	}
	t.setLogger(config.Logger)
	l := &listener{
		transport: t, config: config,
		log: config.Logger, finished: make(chan struct{}), hears: make(chan struct{}),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.log = l.log.With("broker", t.String(), "listener", config.Queue)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.closed) {
		return nil, fmt.Errorf("rabbitmq: %w", task.ErrClosed)
	}
	t.listeners[l] = struct{}{}
	l.inbox = bulletin.NewInbox(config)
	go l.supervise()
	return l, nil
}

// supervise builds session after session, for ever.
func (l *listener) supervise() {
	defer close(l.finished)
	var backoff backoff
	var refusals refusals
	for l.ctx.Err() == nil {
		began := time.Now()
		err := l.listen()
		if l.ctx.Err() != nil {
			return
		}
		if time.Since(began) > healthy {
			backoff.reset()
		}
		wait := backoff.delay()
		if refusesDeclare(err) {
			wait = max(wait, refusalStands)
		}
		if refusals.refused(err) {
			wait = refusedBackoff
		}
		level := slog.LevelWarn
		if errors.Is(err, task.ErrRefused) {
			level = slog.LevelDebug // the consumer beside it says so, and Ready
		}
		if l.complaints.Fresh(err) {
			l.log.Log(l.ctx, level, "not listening to broadcasts", "error", err, "next_try_in", wait.Round(time.Millisecond))
		}
		l.mu.Lock()
		l.trouble = err
		l.mu.Unlock()
		sleep(l.ctx, jitter(wait))
	}
}

// listen is one session. It returns why it has ended.
func (l *listener) listen() error {
	conn, err := l.transport.dialer.dial(l.ctx, l.transport.connectionName("listen "+l.config.Queue))
	if err != nil {
		return err
	}
	defer conn.shut()
	defer context.AfterFunc(l.ctx, conn.sever)()
	t := newTopology(conn)
	defer t.close()
	ch, queue, err := l.declare(&t)
	if err != nil {
		return err
	}
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	deliveries, err := ch.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		return err
	}
	l.setHears(true)
	defer l.setHears(false)
	l.log.Debug("listening to broadcasts", "queue", queue)
	// Bindings go with their exchange, and the broker tells nobody.
	again := time.NewTicker(jitter(bindingsPause))
	defer again.Stop()
	for {
		select {
		case d, open := <-deliveries:
			if !open {
				return l.lost(conn, closes)
			}
			l.inbox.Put(&task.Broadcast{
				Exchange: task.Bulletin{Name: d.Exchange}, RoutingKey: d.RoutingKey,
				ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
				Headers: fromTable(d.Headers), Body: d.Body,
			})
		case <-again.C:
			if err := l.bind(&t, queue); err != nil && conn.alive() && l.complaints.Fresh(err) {
				l.log.Warn("broadcasts may not arrive", "error", err)
			}
		}
	}
}

// lost says why the deliveries have ended.
func (l *listener) lost(conn *connection, closes <-chan *amqp.Error) error {
	if !conn.alive() {
		return fmt.Errorf("connection lost: %w", conn.cause)
	}
	select {
	case err := <-closes:
		return channelClosed(err)
	default:
		return fmt.Errorf("%w of listener %s: its queue was deleted", errCancelled, l.config.Queue)
	}
}

// declare makes the listener's queue and what leads to it.
func (l *listener) declare(t *topology) (ch *amqp.Channel, queue string, err error) {
	queue = l.config.Queue
	err = t.ownQueue(queue, l.config.TTL)
	if code(err) == amqp.ResourceLocked && l.config.Exchange.Name != "" {
		queue += "." + uuid.NewString()
		err = t.ownQueue(queue, l.config.TTL)
	}
	if err != nil {
		return nil, "", wrapDeclare("queue "+queue, err)
	}
	if err := l.bind(t, queue); err != nil {
		return nil, "", err
	}
	ch, err = t.connection.Channel()
	return ch, queue, err
}

// bind leads broadcasts to the queue.
func (l *listener) bind(t *topology, queue string) error {
	if l.config.Exchange.Name == "" {
		return nil
	}
	if err := t.bulletin(l.config.Exchange); err != nil {
		return err
	}
	keys := l.config.Keys
	if l.config.Exchange.Type == task.Fanout {
		keys = []string{""}
	}
	for _, key := range keys {
		if err := t.bindOwn(queue, l.config.Exchange.Name, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// ownQueue makes a queue that goes with the connection: nothing else may be transient on RabbitMQ 4.
func (t *topology) ownQueue(name string, ttl time.Duration) error {
	return t.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, false, true, true, false, amqp.Table{
			"x-queue-type":  "classic",
			"x-message-ttl": int32(ttl.Milliseconds()),
			"x-max-length":  int32(bulletin.MaxWaiting),
		})
		return err
	})
}

func (l *listener) setHears(hears bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hears {
		l.trouble = nil
		close(l.hears)
	} else {
		l.hears = make(chan struct{})
	}
}

// Ready implements [task.Listener].
func (l *listener) Ready(ctx context.Context) error {
	l.mu.Lock()
	hears := l.hears
	l.mu.Unlock()
	select {
	case <-l.ctx.Done():
		return fmt.Errorf("rabbitmq: %w", task.ErrClosed)
	case <-hears:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble == nil {
		return fmt.Errorf("%w: still connecting to %s", context.Cause(ctx), l.transport)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), l.trouble)
}

// Close implements [task.Listener].
func (l *listener) Close() error {
	l.cancel()
	<-l.finished
	l.inbox.Close()
	l.transport.mu.Lock()
	defer l.transport.mu.Unlock()
	delete(l.transport.listeners, l)
	return nil
}
