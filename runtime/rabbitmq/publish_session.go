package rabbitmq

import (
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// publishSession is what lives and dies with one publishing connection: its
// channels, what is declared, and whether the broker takes messages.
type publishSession struct {
	*connection

	mu       sync.Mutex
	flights  map[need]*flight
	gone     map[need]time.Time         // when it was noticed that what was there has gone
	channels map[string]*publishChannel // by exchange
	types    map[string]string          // of exchanges, as they were found

	alarm *alarm
}

func newPublishSession(conn *connection) *publishSession {
	s := &publishSession{
		connection: conn,
		flights:    make(map[need]*flight),
		gone:       make(map[need]time.Time),
		channels:   make(map[string]*publishChannel),
		types:      make(map[string]string),
		alarm:      watchAlarm(conn),
	}
	return s
}

// explain adds to the end of a wait that the broker is blocked, if it is.
func (s *publishSession) explain(err error) error {
	if over, reason := s.alarm.blocked(); over != nil {
		return fmt.Errorf("%w (%s): %w", task.ErrBlocked, reason, err)
	}
	return err
}

// ready waits until the broker takes messages and there is a queue for this one. While an alarm is
// on nothing is sent: what isn't on the wire is surely not queued.
func (s *publishSession) ready(ctx context.Context, m *publishing) error {
	for {
		over, _ := s.alarm.blocked()
		if over == nil {
			break
		}
		select {
		case <-over:
		case <-ctx.Done():
			return s.explain(context.Cause(ctx))
		}
	}
	if err := s.declare(ctx, m); err != nil {
		if ctx.Err() != nil {
			return s.explain(err)
		}
		return err
	}
	return nil
}

// flight meets one need, beside those who wait for it.
type flight struct {
	done chan struct{}
	// Valid once done is closed.
	err error
	met time.Time
}

// recreatePause is how long a queue that was there and has gone stays away. The broker takes a
// moment to tell the queue's consumers. If there is a queue of the same
// name again by then, it attaches them to that one instead, and (RabbitMQ 3.10, quorum queues) drops
// what it should deliver to them.
const recreatePause = 300 * time.Millisecond

// declare creates what the message needs and the broker lacks.
func (s *publishSession) declare(ctx context.Context, m *publishing) error {
	var room [3]need
	for _, n := range m.needs(room[:0]) {
		if err := s.meet(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// forget makes the next message declare anew what this one needs, unless that
// was done after this one was sent.
func (s *publishSession) forget(m *publishing, sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range m.needs(nil) {
		if f := s.flights[n]; f != nil && isClosed(f.done) && f.met.Before(sent) {
			delete(s.flights, n)
			s.gone[n] = time.Now()
		}
	}
}

// meet meets a need unless that has been done, or is being done, in this session. A failure is not remembered, but for
// a moment if the broker refuses.
func (s *publishSession) meet(ctx context.Context, n need) error {
	s.mu.Lock()
	f := s.flights[n]
	if f == nil || f.over(n) {
		f = &flight{done: make(chan struct{})}
		s.flights[n] = f
		go s.fly(f, n)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// over says that what the flight has found may have changed.
func (f *flight) over(n need) bool {
	if !isClosed(f.done) {
		return false
	}
	return f.err != nil && time.Since(f.met) > refusalStands || n.what == needConsumer && time.Since(f.met) > consumerSeen
}

func (s *publishSession) fly(f *flight, n need) {
	defer close(f.done)
	s.mu.Lock()
	gone := s.gone[n]
	delete(s.gone, n)
	s.mu.Unlock()
	if n.what == needQueue && !gone.IsZero() {
		time.Sleep(time.Until(gone.Add(recreatePause)))
	}
	f.err, f.met = s.create(n), time.Now()
	if f.err != nil && !refusesDeclare(f.err) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.flights[n] == f {
			delete(s.flights, n)
		}
	}
}

func (s *publishSession) create(n need) error {
	if n.what == needChannel {
		return s.openChannel(n.Exchange)
	}
	t := topology{connection: s.connection}
	defer t.close()
	switch n.what {
	case needQueue:
		return t.queue(n.queue, n.kind.arguments())
	case needConsumer:
		return t.consumed(n.queue)
	case needExchange:
		kind, err := t.exchange(n.Exchange, n.Type)
		s.setType(n.Exchange, kind)
		return err
	case needRoute:
		kind, err := t.route(n.queue, n.Binding)
		s.setType(n.Exchange, kind)
		return err
	case needLadder:
		return declareLadder(&t)
	default:
		if n.RoutingKey == ownRung(n.queue) {
			if err := declareDrop(&t); err != nil {
				return err
			}
		}
		return t.bind(n.queue, ladderDelivery, ladderBinding(n.RoutingKey), nil)
	}
}

func (s *publishSession) setType(exchange, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types[exchange] = kind
}

// exchangeType is the type that an exchange had when it was last declared, "" if that is not known.
func (s *publishSession) exchangeType(exchange string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.types[exchange]
}

// channel returns the channel for messages to an exchange. Each exchange has its own: the broker
// answers a missing or forbidden one by closing the channel, and that must not
// touch the messages to others.
func (s *publishSession) channel(ctx context.Context, exchange string) (*publishChannel, error) {
	s.mu.Lock()
	c := s.channels[exchange]
	s.mu.Unlock()
	if c != nil {
		return c, nil
	}
	if err := s.meet(ctx, channelNeed(exchange)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.channels[exchange]; c == nil {
		return nil, amqp.ErrClosed
	}
	return c, nil
}

func (s *publishSession) openChannel(exchange string) error {
	c, err := newPublishChannel(s, exchange)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[exchange] = c
	return nil
}

// forgetChannel makes the next message to its exchange open another channel.
func (s *publishSession) forgetChannel(c *publishChannel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c != nil && s.channels[c.exchange] == c {
		delete(s.channels, c.exchange)
		delete(s.flights, channelNeed(c.exchange))
	}
}
