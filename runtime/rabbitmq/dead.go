package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// ownHeaders begins the names of all headers that this package adds to a message.
const ownHeaders = "x-taskgen-"

const (
	// renewAfter is how often a kept message is given back before it is parked anew instead. Each time
	// counts as a delivery on quorum queues, and RabbitMQ 4 deletes what was delivered more than 20
	// times: dead letters would vanish from being looked at. Policies may set a lower limit.
	renewAfter = 4
	// returnPatience bounds the wait until kept messages are in sight again.
	returnPatience = time.Second
	// returnBatch is how many are given back at a time.
	returnBatch = 16
)

// DeadLetters implements [task.Transport]. A visited message is out of sight of others until the
// visit ends, or for as long as the broker lets a consumer take (30 minutes by default): a longer visit is an error.
//
// Kept messages are given back in their order. They come in front of those that were not visited if the queue has a
// delivery limit, as quorum queues have by default since RabbitMQ 4, else behind them. Each time counts as a delivery on
// quorum queues, so every few visits they are parked anew, and are behind the others then.
//
// If the connection is lost, or ctx ends, all that were not ended are given back. One that was replayed or dropped
// in the last moment may be among them.
func (t *Transport) DeadLetters(ctx context.Context, queue string, visit func(*task.DeadMessage) (task.DeadAction, error)) error {
	v := &deadVisit{transport: t, queue: queue}
	if queue == "" || len(queue)+len(deadSuffix) > math.MaxUint8 {
		return v.failed(fmt.Errorf("%q is no name of a queue that has some (1 to %d bytes)", queue, math.MaxUint8-len(deadSuffix)))
	}
	var err error
	if v.session, err = t.publisher.connected(ctx); errors.Is(err, task.ErrRefused) {
		return err // whatever the queue is
	}
	if err != nil {
		return v.failed(err)
	}
	err = v.visitAll(ctx, visit)
	if end := v.end(ctx); err == nil && end != nil {
		err = v.failed(end)
	}
	return err
}

// deadVisit is one visit to the dead letters of a queue, on a channel of its own: what is unsettled
// on that goes back whatever ends it.
type deadVisit struct {
	transport *Transport
	session   *publishSession
	queue     string

	mu      sync.Mutex // held during each call to the broker
	channel *amqp.Channel
	kept    []uint64 // tags of what is not settled, oldest first
	over    bool
}

func (v *deadVisit) visitAll(ctx context.Context, visit func(*task.DeadMessage) (task.DeadAction, error)) error {
	n, err := v.open(ctx)
	if err != nil {
		return v.failed(err)
	}
	for ; n > 0; n-- {
		d, err := v.next(ctx)
		if err != nil {
			return v.failed(err)
		}
		if d == nil {
			return nil // somebody else has taken the rest
		}
		if err := v.visitOne(ctx, d, visit); err != nil {
			return err
		}
	}
	return nil
}

func (v *deadVisit) visitOne(ctx context.Context, d *amqp.Delivery, visit func(*task.DeadMessage) (task.DeadAction, error)) error {
	returned := attempts(d.Headers, d.Redelivered)
	dead := newDeadMessage(d, v.queue)
	shown, message := *dead, *dead.Message
	message.Headers = maps.Clone(message.Headers)
	shown.Message = &message
	action, err := visit(&shown)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return v.failed(context.Cause(ctx))
	}
	if action == task.KeepDead && returned < renewAfter {
		return nil
	}
	if err := v.carryOut(ctx, dead, action); err != nil {
		return fmt.Errorf("rabbitmq: task %s (%s) stays in the dead letters of queue %s: %w",
			dead.Message.ID, dead.Message.Task, v.queue, err)
	}
	if err := v.ack(ctx, d.DeliveryTag); err != nil {
		return v.failed(fmt.Errorf("task %s may come again: %w", dead.Message.ID, err))
	}
	return nil
}

// carryOut does what must be done before the dead letter is acked.
func (v *deadVisit) carryOut(ctx context.Context, dead *task.DeadMessage, action task.DeadAction) error {
	switch action {
	case task.KeepDead:
		return v.transport.park(ctx, dead.Message, &dead.DeadLetter)
	case task.ReplayDead:
		again := *dead.Message
		// Only counts if the queue is gone and must be made.
		again.Prioritized = again.Priority > 0
		return v.transport.replace(ctx, []*task.Message{&again})
	case task.DropDead:
		return nil
	}
	return fmt.Errorf("there is no action %d", action)
}

// open opens the channel and counts the messages. A queue that is missing has none.
func (v *deadVisit) open(ctx context.Context) (int, error) {
	var n int
	err := v.call(ctx, func() (err error) {
		if v.channel, err = v.session.Channel(); err != nil {
			return err
		}
		n, err = v.count()
		if code(err) == amqp.NotFound {
			v.channel = nil // the broker has closed it
			return nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// count says how many messages wait. Its answer also tells that all that was sent before has arrived.
func (v *deadVisit) count() (int, error) {
	q, err := v.channel.QueueDeclarePassive(v.queue+deadSuffix, true, false, false, false, nil)
	return q.Messages, err
}

// next takes the oldest message, nil if there is none.
func (v *deadVisit) next(ctx context.Context) (*amqp.Delivery, error) {
	var got *amqp.Delivery
	err := v.call(ctx, func() error {
		d, more, err := v.channel.Get(v.queue+deadSuffix, false)
		if more {
			v.kept = append(v.kept, d.DeliveryTag)
			got = &d
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return got, nil
}

// ack deletes the message that was taken last.
func (v *deadVisit) ack(ctx context.Context, tag uint64) error {
	return v.call(ctx, func() error {
		v.kept = v.kept[:len(v.kept)-1]
		return v.channel.Ack(tag, false)
	})
}

// end gives back what is kept, and closes the channel. It does so even if ctx has ended, but then nobody
// waits for it.
func (v *deadVisit) end(ctx context.Context) error {
	return v.call(ctx, func() error {
		v.over = true
		if v.channel == nil {
			return nil
		}
		defer func() { _ = v.channel.Close() }()
		return v.giveBack()
	})
}

// giveBack gives back what is kept, in its order. To close the channel would do, but RabbitMQ shuffles what it finds
// unsettled then, and all that a quorum queue has not confirmed to it inside: about 32 at a time.
func (v *deadVisit) giveBack() error {
	before, err := v.count()
	patience := time.Now().Add(returnPatience)
	for n := 0; n < len(v.kept) && err == nil; {
		for range min(returnBatch, len(v.kept)-n) {
			if err := v.channel.Nack(v.kept[n], false, true); err != nil {
				return err
			}
			n++
		}
		err = v.awaitCount(before+n, patience)
	}
	return err
}

// awaitCount waits until that many messages are in sight, so that the next visit sees them: the broker
// answers no nack. If others take them meanwhile it can't be told, so there is a limit.
func (v *deadVisit) awaitCount(want int, patience time.Time) error {
	for wait := time.Millisecond; ; wait *= 2 {
		n, err := v.count()
		if err != nil || n >= want || time.Now().After(patience) {
			return err
		}
		time.Sleep(wait)
	}
}

// call runs calls to the broker beside the caller, since none heeds a context. What do finds out
// may be read only if call returns no error.
func (v *deadVisit) call(ctx context.Context, do func() error) error {
	answer := make(chan error, 1)
	go func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.over {
			answer <- amqp.ErrClosed
			return
		}
		answer <- do()
	}()
	select {
	case err := <-answer:
		return v.explain(err)
	case <-ctx.Done():
		return v.session.explain(context.Cause(ctx))
	}
}

// explain says why the connection was lost, where the library says only that it was.
func (v *deadVisit) explain(err error) error {
	if errors.Is(err, amqp.ErrClosed) && !v.session.alive() {
		return fmt.Errorf("connection lost: %w", v.session.cause)
	}
	return err
}

func (v *deadVisit) failed(err error) error {
	return fmt.Errorf("rabbitmq: can't visit the dead letters of queue %s: %w", v.queue, err)
}

// newDeadMessage translates a dead letter. Its message is as it came to the queue, but where the headers
// were too large to stay.
func newDeadMessage(d *amqp.Delivery, queue string) *task.DeadMessage {
	dead := &task.DeadMessage{DeadLetter: readDeadLetter(d.Headers)}
	m := newDelivery(d, queue, 0).Message
	m.Exchange, m.RoutingKey, m.ETA = "", "", time.Time{}
	maps.DeleteFunc(m.Headers, func(name string, _ any) bool {
		return strings.HasPrefix(name, ownHeaders) && name != task.UnreadableHeader
	})
	dead.Message = m
	return dead
}

// readDeadLetter reads what park has written, or else what the broker has when it was told, by
// somebody's policy, to move dead letters here.
func readDeadLetter(headers amqp.Table) task.DeadLetter {
	text := func(name string) string {
		s, _ := headers[name].(string)
		return s
	}
	dead := task.DeadLetter{
		Reason: text(reasonHeader), Error: text(errorHeader), Stack: text(stackHeader), Worker: text(workerHeader),
	}
	if died, err := time.Parse(time.RFC3339Nano, text(diedHeader)); err == nil {
		dead.Time = died
	}
	if dead.Reason != "" {
		return dead
	}
	reason, died := lastDeath(headers)
	if dead.Reason = text(firstDeathPrefix + "reason"); dead.Reason == "" {
		dead.Reason = reason
	}
	if dead.Time.IsZero() {
		dead.Time = died
	}
	return dead
}

// lastDeath says why and when the broker itself moved a message, as far as it tells.
func lastDeath(headers amqp.Table) (reason string, died time.Time) {
	deaths, _ := headers[deathHeader].([]any)
	if len(deaths) == 0 {
		return "", time.Time{}
	}
	last, _ := deaths[0].(amqp.Table)
	reason, _ = last["reason"].(string)
	died, _ = last["time"].(time.Time)
	return reason, died
}
