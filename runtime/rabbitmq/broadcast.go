package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/task"
)

// herald sends broadcasts over a connection of its own, which nothing that goes wrong here takes from the tasks'
// messages. It begins with the first broadcast. Whatever can't leave soon is dropped.
type herald struct {
	transport *Transport
	out       *bulletin.Outbox
	drops     bulletin.Drops
	closing   chan struct{}
	ended     chan struct{}
	backoff   backoff
	session   *heraldSession // the goroutine's; nil: none
}

const (
	// heraldBacklog is how many bytes may be on their way to the network before no more are written.
	heraldBacklog = 4 << 20
	// heraldPatience is how long the herald waits for such a network.
	heraldPatience = time.Second
)

func newHerald(t *Transport) *herald {
	h := &herald{transport: t, out: bulletin.NewOutbox(), closing: make(chan struct{}), ended: make(chan struct{})}
	go h.run()
	return h
}

// Broadcast implements [task.Broadcaster].
func (t *Transport) Broadcast(ctx context.Context, b *task.Broadcast) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := bulletin.Check(b)
	if err == nil {
		err = checkTable(b.Headers)
	}
	if err == nil {
		err = t.send(b)
	}
	if err != nil {
		return fmt.Errorf("rabbitmq: %w", err)
	}
	return nil
}

// checkTable refuses headers that the library or the broker would answer by closing the connection.
func checkTable(headers map[string]any) error {
	table := toTable(headers)
	if err := table.Validate(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if size := tableSize(table); size > maxHeaders {
		return fmt.Errorf("headers of a broadcast take %d bytes; at most %d fit", size, maxHeaders)
	}
	return nil
}

func (t *Transport) send(b *task.Broadcast) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.closed) {
		return task.ErrClosed
	}
	if t.herald == nil {
		t.herald = newHerald(t)
	}
	err := t.herald.out.Put(b)
	if err != nil {
		t.herald.drops.Add(1, err, t.logger())
	}
	return err
}

// logger is that of a consumer or listener.
func (t *Transport) logger() *slog.Logger {
	if log := t.log.Load(); log != nil {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

func (t *Transport) setLogger(log *slog.Logger) {
	if log != nil {
		t.log.Store(log.With("broker", t.String()))
	}
}

// run sends until close, and then what is left.
func (h *herald) run() {
	defer close(h.ended)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-h.closing:
			sleep(ctx, closeTimeout)
		case <-h.ended:
		}
		cancel()
	}()
	for over := false; !over; {
		select {
		case <-h.out.Wake:
		case <-h.closing:
			over = true
		}
		h.sendAll(ctx)
	}
	if h.session != nil {
		h.session.writes.flush(ctx)
		h.session.shut()
	}
}

// sendAll sends what waits, or drops it.
func (h *herald) sendAll(ctx context.Context) {
	connected := h.session != nil && h.session.alive()
	if !connected {
		if h.session != nil {
			h.session.shut()
			h.session = nil
		}
		conn, err := h.transport.dialer.dial(ctx, h.transport.connectionName("broadcast"))
		if err != nil {
			h.drop(h.out.Take(), err)
			select {
			case <-h.closing:
			case <-time.After(h.backoff.delay()):
			}
			return
		}
		h.backoff.reset()
		h.session = newHeraldSession(conn)
	}
	defer context.AfterFunc(ctx, h.session.sever)()
	for all := h.out.Take(); len(all) > 0; all = all[1:] {
		err := h.session.publish(ctx, all[0])
		switch {
		case err == nil:
		case errors.Is(err, task.ErrBlocked) || !h.session.alive():
			h.drop(all, err)
			return
		default:
			h.drop(all[:1], err)
		}
	}
}

func (h *herald) drop(all []*task.Broadcast, reason error) {
	h.drops.Add(len(all), reason, h.transport.logger())
}

// close gives what waits a moment to leave.
func (h *herald) close() {
	close(h.closing)
	<-h.ended
}

// heraldSession is what lives and dies with the herald's connection.
type heraldSession struct {
	*connection
	alarm    *alarm
	channel  *amqp.Channel // nil: none
	topology topology
	declared map[task.Bulletin]declaredBulletin
}

// declaredBulletin is how an exchange was declared.
type declaredBulletin struct {
	err error
	at  time.Time
}

const (
	// bulletinsKnown bounds how many exchanges are remembered: replies go where requests say.
	bulletinsKnown = 1000
	// bulletinRefused is how long the refusal of an exchange stands.
	bulletinRefused = 5 * time.Second
)

func newHeraldSession(conn *connection) *heraldSession {
	return &heraldSession{
		connection: conn, alarm: watchAlarm(conn), topology: topology{connection: conn},
		declared: make(map[task.Bulletin]declaredBulletin),
	}
}

func (s *heraldSession) publish(ctx context.Context, b *task.Broadcast) error {
	if over, reason := s.alarm.blocked(); over != nil {
		return fmt.Errorf("%w (%s)", task.ErrBlocked, reason)
	}
	if s.writes.backlog() > heraldBacklog {
		waiting, cancel := context.WithTimeout(ctx, heraldPatience)
		s.writes.flush(waiting)
		cancel()
		if s.writes.backlog() > heraldBacklog {
			return fmt.Errorf("%w: the network takes nothing", task.ErrBlocked)
		}
	}
	if s.channel == nil || s.channel.IsClosed() {
		// Most likely an exchange has gone, and nobody says which.
		clear(s.declared)
		var err error
		if s.channel, err = s.Channel(); err != nil {
			return err
		}
	}
	if err := s.declare(b.Exchange); err != nil {
		return err
	}
	return s.channel.PublishWithContext(ctx, b.Exchange.Name, b.RoutingKey, false, false, amqp.Publishing{
		Headers: toTable(b.Headers), ContentType: b.ContentType, ContentEncoding: b.ContentEncoding,
		DeliveryMode: amqp.Transient, Body: b.Body,
	})
}

// declare makes an exchange that is missing, once a session.
func (s *heraldSession) declare(b task.Bulletin) error {
	if b.Name == "" {
		return nil
	}
	if known, ok := s.declared[b]; ok && (known.err == nil || time.Since(known.at) < bulletinRefused) {
		return known.err
	}
	if len(s.declared) >= bulletinsKnown {
		clear(s.declared)
	}
	err := s.topology.bulletin(b)
	s.declared[b] = declaredBulletin{err, time.Now()}
	return err
}

// bulletin makes an exchange for broadcasts if it is missing.
func (t *topology) bulletin(b task.Bulletin) error {
	err := t.try(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(b.Name, b.Type, b.Durable, false, false, false, nil)
	})
	if code(err) == amqp.AccessRefused {
		// Who may create nothing may still use what is there.
		if t.try(func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(b.Name, b.Type, b.Durable, false, false, false, nil)
		}) == nil {
			return nil
		}
	}
	return wrapDeclare("exchange "+b.Name, err)
}
