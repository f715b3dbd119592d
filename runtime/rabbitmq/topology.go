package rabbitmq

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// queueKind says how a queue is created if it is missing. One that exists is taken as it is.
type queueKind int

const (
	quorumQueue queueKind = iota
	// priorityQueue is classic: quorum queues know no priorities before RabbitMQ 4.
	priorityQueue
	// replyQueue takes the results for one process, and goes when that has been gone for a while.
	replyQueue
)

// maxPriority is the largest priority on the wire, see [task.Message].
const maxPriority = 9

// replyQueueTTL is how long a reply queue outlives its process.
const replyQueueTTL = 30 * 60 * 1000 // ms

// arguments has nothing but what can't be had by a policy: arguments are for ever, and who declares
// the queue with others is refused.
func (k queueKind) arguments() amqp.Table {
	switch k {
	case priorityQueue:
		return amqp.Table{"x-queue-type": "classic", "x-max-priority": int32(maxPriority)}
	case replyQueue:
		return amqp.Table{"x-queue-type": "classic", "x-expires": int32(replyQueueTTL)}
	default:
		return amqp.Table{"x-queue-type": "quorum"}
	}
}

// topology declares exchanges, queues and bindings over one connection. An
// exception closes the channel it happens on, so it uses its own, and opens
// another one when it needs it. Not safe for concurrent use.
type topology struct {
	connection *connection
	channel    *amqp.Channel
}

func (t *topology) close() {
	if t.channel != nil {
		_ = t.channel.Close()
	}
}

// try runs one call on a channel that is open.
func (t *topology) try(call func(*amqp.Channel) error) error {
	if t.channel == nil || t.channel.IsClosed() {
		var err error
		if t.channel, err = t.connection.Channel(); err != nil {
			return err
		}
	}
	return call(t.channel)
}

// ensure looks whether something exists, and creates it if it doesn't. What
// somebody else has created in the meantime is taken as it is too.
func (t *topology) ensure(what string, look, create func(*amqp.Channel) error) error {
	err := t.try(look)
	if code(err) != amqp.NotFound {
		return wrapDeclare(what, err)
	}
	err = t.try(create)
	if code(err) == amqp.PreconditionFailed && t.try(look) == nil {
		return nil
	}
	return wrapDeclare(what, err)
}

func wrapDeclare(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rabbitmq: can't declare %s: %w", what, err)
}

func (t *topology) queue(name string, arguments amqp.Table) error {
	return t.ensure("queue "+name, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	}, func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, arguments)
		return err
	})
}

func (t *topology) exchange(name, kind string) error {
	return t.ensure("exchange "+name, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, kind, true, false, false, false, nil)
	}, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, kind, true, false, false, false, nil)
	})
}

func (t *topology) bind(queue, exchange, key string) error {
	return wrapDeclare(fmt.Sprintf("binding %q of queue %s to exchange %s", key, queue, exchange),
		t.try(func(ch *amqp.Channel) error { return ch.QueueBind(queue, key, exchange, false, nil) }))
}

func (t *topology) bindExchange(destination, source, key string) error {
	return wrapDeclare(fmt.Sprintf("binding %q of exchange %s to exchange %s", key, destination, source),
		t.try(func(ch *amqp.Channel) error { return ch.ExchangeBind(destination, key, source, false, nil) }))
}

// route leads an exchange to a queue; both are created if missing.
func (t *topology) route(exchange, key, queue string) error {
	if err := t.exchange(exchange, amqp.ExchangeDirect); err != nil {
		return err
	}
	return t.bind(queue, exchange, key)
}
