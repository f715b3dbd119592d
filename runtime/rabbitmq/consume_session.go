package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// consumeSession is a connection with one channel and a consumer for each queue.
// Delivery tags count from 1 on every channel, so a delivery of another
// session must never be settled on this one: it would end a task that still runs.
type consumeSession struct {
	*connection
	id       uint64
	channel  *amqp.Channel
	tags     []string
	incoming []incoming
	pumps    sync.WaitGroup
	findings findings

	// turn is held for each question to the broker on the channel: the library takes the answer to one for that to another.
	turn sync.Mutex

	mu        sync.Mutex
	unsettled map[uint64]struct{} // delivery tags
	// heard is closed by the next question that the broker answers; nil if nobody waits for that.
	heard chan struct{}

	ctx    context.Context // ends with the session
	finish context.CancelCauseFunc
}

// errCancelled is the reason of a session that ends because the broker has cancelled a consumer.
var errCancelled = errors.New("the broker has cancelled consumer")

// findings are what a session has found at the broker that is not as the worker says, and can't be changed.
type findings struct {
	routing.Mismatches
	flat []string // queues that are to know priorities, and don't
}

func (f *findings) log(log *slog.Logger) {
	f.Mismatches.Log(log)
	for _, queue := range f.flat {
		log.Warn("priorities have no effect on a queue that was made without x-max-priority, which can't be changed: "+
			"drain it and delete it, so that it is made anew, or use a queue of another name", "queue", queue)
	}
}

// incoming are the deliveries of one queue.
type incoming struct {
	task.Subscription
	deliveries <-chan amqp.Delivery
}

func newConsumeSession(conn *connection, id uint64) *consumeSession {
	s := &consumeSession{connection: conn, id: id, unsettled: make(map[uint64]struct{})}
	s.ctx, s.finish = context.WithCancelCause(context.Background())
	return s
}

// end ends the session; the first reason stands.
func (s *consumeSession) end(reason error) { s.finish(reason) }

// over says whether the session has ended.
func (s *consumeSession) over() bool { return s.ctx.Err() != nil }

// openChannel opens the channel, and watches it and the connection: any news ends the session.
func (s *consumeSession) openChannel(consumers int) error {
	ch, err := s.Channel()
	if err != nil {
		return err
	}
	s.channel = ch
	// Buffers have room for all that can come, so that the library never waits for us.
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancels := ch.NotifyCancel(make(chan string, consumers))
	go func() {
		select {
		case <-s.done:
			s.end(fmt.Errorf("connection lost: %w", s.cause))
		case err := <-closes:
			s.end(channelClosed(err))
		case tag, open := <-cancels:
			if !open {
				s.end(amqp.ErrClosed)
				break
			}
			s.end(s.consumerCancelled(tag))
		}
	}()
	return nil
}

// consume starts one consumer. Prefetch counts for each consumer: quorum queues allow nothing
// else, and it stays as it is for the life of the consumer.
func (s *consumeSession) consume(sub task.Subscription, tag string) (<-chan amqp.Delivery, error) {
	if err := s.channel.Qos(min(max(sub.Prefetch, 1), 1<<16-1), 0, false); err != nil {
		return nil, err
	}
	deliveries, err := s.channel.Consume(sub.Queue, tag, false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	s.tags = append(s.tags, tag)
	return deliveries, nil
}

// cancel ends the consumers; what was delivered can still be settled.
func (s *consumeSession) cancel() {
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, tag := range s.tags {
		if err := s.channel.Cancel(tag, false); err != nil {
			s.end(fmt.Errorf("can't cancel consumer %s: %w", tag, err))
			return
		}
	}
}

// awaitHeard waits until the broker has heard all that was said before on the channel, the session ends or ctx does. What has
// left the process proves nothing: the broker reads no further when a write to a process that has died fails.
func (s *consumeSession) awaitHeard(ctx context.Context) {
	s.mu.Lock()
	if s.heard == nil {
		s.heard = make(chan struct{})
		go s.ask()
	}
	heard := s.heard
	s.mu.Unlock()
	select {
	case <-heard:
	case <-s.ctx.Done():
	case <-ctx.Done():
	}
}

// ask asks the broker something that changes nothing: the prefetch of a consumer is set before that is started.
func (s *consumeSession) ask() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	heard := s.heard
	s.heard = nil
	s.mu.Unlock()
	_ = s.channel.Qos(1, 0, false)
	close(heard)
}

// hold remembers that a delivery is unsettled.
func (s *consumeSession) hold(tag uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled[tag] = struct{}{}
}

// claim says whether a delivery is still unsettled, and lets only one caller
// settle it: the broker answers a second ack by closing the channel.
func (s *consumeSession) claim(tag uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.unsettled[tag]
	delete(s.unsettled, tag)
	return ok
}
