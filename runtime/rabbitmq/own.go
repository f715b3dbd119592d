package rabbitmq

import (
	"errors"
	"fmt"
	"maps"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// A queue that belongs to one consumer ([task.Subscription.Own]) outlives it by ownQueueExpiry, and
// what lies in it by no more than [task.OwnQueueTTL]. The broker moves that to the heir at least
// once: a message leaves the queue when the heir has confirmed it. A queue that expires takes its
// messages with it, so nothing may be sent to one whose end is near: who publishes has seen its
// consumer no longer than consumerSeen ago, and what is sent then has 40 s left to move.
const (
	ownQueueExpiry = time.Minute
	consumerSeen   = 10 * time.Second
)

// ownArguments are those of a queue of one consumer.
func ownArguments(heir string) amqp.Table {
	arguments := amqp.Table{
		"x-queue-type":  "classic",
		"x-expires":     int32(ownQueueExpiry.Milliseconds()),
		"x-message-ttl": int32(task.OwnQueueTTL.Milliseconds()),
	}
	if heir != "" {
		arguments["x-queue-type"] = "quorum"
		arguments["x-overflow"] = "reject-publish" // at-least-once needs it
		arguments["x-dead-letter-exchange"] = ""
		arguments["x-dead-letter-routing-key"] = heir
		arguments["x-dead-letter-strategy"] = "at-least-once"
	}
	return arguments
}

// consumed looks whether a queue has a consumer.
func (t *topology) consumed(name string) error {
	var queue amqp.Queue
	err := t.try(func(ch *amqp.Channel) (err error) {
		queue, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
	if code(err) == amqp.NotFound || err == nil && queue.Consumers == 0 {
		return fmt.Errorf("%w: the consumer that the queue belongs to has gone", task.ErrUnroutable)
	}
	return wrapDeclare("queue "+name, err)
}

// bequeath hands on what is in the consumer's own queues when it is closed. Queues without an heir are
// deleted. One with an heir is left to expire: RabbitMQ can't delete a quorum queue only if it
// is empty, and what comes in the last moment moves to the heir when its time is over.
func (c *consumer) bequeath(s *consumeSession) {
	c.gate.RLock()
	own := maps.Clone(c.own)
	c.gate.RUnlock()
	if len(own) == 0 || !s.alive() {
		return
	}
	// A broker that does not answer ends with the connection.
	timer := time.AfterFunc(closeTimeout, s.sever)
	defer timer.Stop()
	_ = s.channel.Close() // what is unsettled goes back to its queue
	t := topology{connection: s.connection}
	defer t.close()
	for queue, heir := range own {
		err := t.try(func(ch *amqp.Channel) error {
			if heir != "" {
				return evict(ch, queue)
			}
			_, err := ch.QueueDelete(queue, false, false, false)
			return err
		})
		if err != nil && code(err) != amqp.NotFound && !errors.Is(err, amqp.ErrClosed) {
			c.log.Warn("a queue of the consumer's own is left to expire", "queue", queue, "error", err)
		}
	}
}

// evict has the broker move the messages of a queue to the heir now, as if their time were over.
func evict(ch *amqp.Channel, queue string) error {
	for {
		d, more, err := ch.Get(queue, false)
		if err != nil || !more {
			return err
		}
		if err := d.Reject(false); err != nil {
			return err
		}
	}
}

// succeed says where a message that is to be kept for a queue of this consumer goes: with an
// heir, there; else back, for as long as the queue is there.
func (c *consumer) succeed(m *task.Message) *task.Message {
	c.gate.RLock()
	heir, own := c.own[m.Queue]
	c.gate.RUnlock()
	if !own || m.Exchange != "" {
		return m
	}
	next := *m
	if next.Existing = heir == ""; !next.Existing {
		next.Queue = heir
	}
	return &next
}
