package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/routing"
)

// consumeSession is a connection with one channel and a consumer for each queue.
// Delivery tags count from 1 on every channel, so a delivery of another
// session must never be settled on this one: it would end a task that still runs.
type consumeSession struct {
	*connection
	id       uint64
	channel  *amqp.Channel
	acks     *acks
	pumps    sync.WaitGroup
	findings findings // of what was declared last

	// turn is held for each question to the broker on the channel, such as to start or cancel a consumer: the library takes the
	// answer to one for that to another.
	turn      sync.Mutex
	incoming  []incoming // before attend
	pump      func(incoming)
	cancelled bool
	started   int

	mu   sync.Mutex
	tags map[*subscription]string // of the consumers
	// heard is closed by the next question that the broker answers; nil if nobody waits for that.
	heard chan struct{}

	inspecting sync.Mutex // held while the broker is asked for attributes
	attributes attributes

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

// incoming are the deliveries of one queue. They come to the inbox; the library gets none, and says only when there are no more.
type incoming struct {
	*subscription
	*inbox
	ended <-chan amqp.Delivery
}

func newConsumeSession(conn *connection, id uint64) *consumeSession {
	s := &consumeSession{connection: conn, id: id, tags: make(map[*subscription]string)}
	s.ctx, s.finish = context.WithCancelCause(context.Background())
	return s
}

// end ends the session; the first reason stands.
func (s *consumeSession) end(reason error) { s.finish(reason) }

// over says whether the session has ended.
func (s *consumeSession) over() bool { return s.ctx.Err() != nil }

// openChannel opens the channel, and watches it and the connection: any news ends the session.
func (s *consumeSession) openChannel() error {
	ch, id, err := s.openChannelID()
	if err != nil {
		return err
	}
	s.channel, s.acks = ch, newAcks(id, s.writes)
	s.frames.watch(id, s.acks)
	// A buffer or a reader takes all that can come, so that the library never waits for us.
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	cancels := ch.NotifyCancel(make(chan string, 1))
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
		for range cancels { // until the channel is closed
		}
	}()
	return nil
}

// consume starts one consumer. Prefetch counts for each consumer: quorum queues allow nothing
// else, and it stays as it is for the life of the consumer.
func (s *consumeSession) consume(sub *subscription, worker string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.cancelled {
		return nil
	}
	if err := s.channel.Qos(min(max(sub.Prefetch, 1), 1<<16-1), 0, false); err != nil {
		return err
	}
	tag := fmt.Sprintf("%s.%d", worker, s.started)
	s.started++
	in := incoming{subscription: sub, inbox: new(inbox)}
	s.frames.take(tag, in.inbox)
	var err error
	if in.ended, err = s.channel.Consume(sub.Queue, tag, false, false, false, false, nil); err != nil {
		return err
	}
	s.mu.Lock()
	s.tags[sub] = tag
	s.mu.Unlock()
	if s.pump == nil {
		s.incoming = append(s.incoming, in)
	} else {
		s.pumps.Go(func() { s.pump(in) })
	}
	return nil
}

// attend has a goroutine hand out the deliveries of each consumer, of those started later too.
func (s *consumeSession) attend(pump func(incoming)) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.pump = pump
	for _, in := range s.incoming {
		s.pumps.Go(func() { pump(in) })
	}
	s.incoming = nil
}

// consumes says whether a subscription has a consumer.
func (s *consumeSession) consumes(sub *subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tags[sub] != ""
}

// serves says whether the queues of all subscriptions have a consumer.
func (s *consumeSession) serves(subs []*subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	served := map[string]bool{}
	for sub := range s.tags {
		served[sub.Queue] = true
	}
	return !slices.ContainsFunc(subs, func(sub *subscription) bool { return !served[sub.Queue] })
}

// consumed are the subscriptions that have a consumer.
func (s *consumeSession) consumed() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.tags))
}

// cancel ends the consumers; what was delivered can still be settled. None is started any more.
func (s *consumeSession) cancel() {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.cancelled = true
	for _, sub := range s.consumed() {
		s.cancelOne(sub)
	}
}

// cancelOne ends one consumer. The caller holds s.turn.
func (s *consumeSession) cancelOne(sub *subscription) {
	s.mu.Lock()
	tag := s.tags[sub]
	delete(s.tags, sub)
	s.mu.Unlock()
	if tag == "" || s.over() {
		return
	}
	if err := s.channel.Cancel(tag, false); err != nil {
		s.end(fmt.Errorf("can't cancel consumer %s: %w", tag, err))
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
