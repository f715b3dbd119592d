package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
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

// wrapDeclare says what can't be declared, and what helps.
func wrapDeclare(what string, err error) error {
	advice := ""
	switch argument, current := inequivalent(err); {
	case err == nil:
		return nil
	case code(err) == amqp.AccessRefused:
		advice = " (create it for this user, or allow him to configure it)"
	case code(err) == amqp.ResourceLocked:
		advice = " (another connection has it for itself: use another name)"
	case argument != "":
		advice = fmt.Sprintf(" (there is one already, with %s %s, which can't be changed: use another name, or drain it and delete it)", argument, cmp.Or(current, "otherwise"))
	}
	return fmt.Errorf("rabbitmq: can't declare %s: %w%s", what, err, advice)
}

// refusesDeclare says that the broker is connected and won't have what was declared, unless somebody changes something.
func refusesDeclare(err error) bool {
	if _, dialling := errors.AsType[*dialError](err); dialling {
		return false
	}
	return slices.Contains([]int{amqp.PreconditionFailed, amqp.AccessRefused, amqp.ResourceLocked}, code(err))
}

// queue looks whether a queue exists, and creates it if it doesn't. What
// somebody else has created in the meantime is taken as it is too.
func (t *topology) queue(name string, arguments amqp.Table) error {
	look := func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	}
	err := t.try(look)
	if code(err) == amqp.NotFound {
		err = t.try(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(name, true, false, false, false, arguments)
			return err
		})
		if code(err) == amqp.PreconditionFailed && t.try(look) == nil {
			return nil
		}
	}
	return wrapDeclare("queue "+name, err)
}

// priorityQueue is queue for one that is to know priorities. flat says that one exists that doesn't: the
// refusal to declare it tells, unless the queue has yet other arguments that are compared first.
func (t *topology) priorityQueue(name string) (flat bool, err error) {
	err = t.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, priorityQueue.arguments())
		return err
	})
	if err == nil {
		return false, nil
	}
	switch argument, current := inequivalent(err); argument {
	case "x-max-priority":
		flat = current == "none"
	case "x-queue-type":
		// Quorum queues have priorities, without being asked, since RabbitMQ 4.
		flat = current != "none" && !t.connection.atLeast(4, 0)
	}
	return flat, t.queue(name, priorityQueue.arguments())
}

// exchange creates an exchange if it is missing, and returns its type, "" if that can't be told: one that
// exists is taken as it is.
func (t *topology) exchange(name, kind string) (string, error) {
	kind = cmp.Or(kind, task.Direct)
	err := t.try(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, kind, true, false, false, false, nil)
	})
	switch code(err) {
	case amqp.PreconditionFailed:
		return currentType(err, kind), nil
	case amqp.AccessRefused:
		// Who may create nothing may still use what is there.
		if t.try(func(ch *amqp.Channel) error {
			return ch.ExchangeDeclarePassive(name, kind, true, false, false, false, nil)
		}) == nil {
			return "", nil
		}
	}
	if err != nil {
		return "", wrapDeclare("exchange "+name, err)
	}
	return kind, nil
}

// currentType is the type of an exchange that could not be declared, "" if the refusal does not tell.
// The type is the first that the broker compares: if it complains of something else, the type is as declared.
func currentType(refusal error, declared string) string {
	argument, current := inequivalent(refusal)
	switch argument {
	case "":
		return ""
	case "type":
		quoted, found := strings.CutPrefix(current, "'")
		kind, closed := strings.CutSuffix(quoted, "'")
		if !found || !closed {
			return ""
		}
		return kind
	}
	return declared
}

// inequivalent reads the refusal to declare what exists with another argument, and that argument's current value. Only the
// text has them, which the broker cuts off at 255 bytes: "inequivalent arg 'type' for exchange 'x'
// in vhost '/': received 'direct' but current is 'topic'". What it does not tell is "".
func inequivalent(refusal error) (argument, current string) {
	reply, ok := errors.AsType[*amqp.Error](refusal)
	if !ok || reply.Code != amqp.PreconditionFailed {
		return "", ""
	}
	_, text, _ := strings.Cut(reply.Reason, "inequivalent arg '")
	argument, text, _ = strings.Cut(text, "'")
	const before = " but current is "
	if at := strings.LastIndex(text, before); at >= 0 {
		current = text[at+len(before):]
	}
	return argument, current
}

func (t *topology) bind(queue, exchange, key string, arguments amqp.Table) error {
	return wrapDeclare(fmt.Sprintf("binding %q of queue %s to exchange %s", key, queue, exchange),
		t.try(func(ch *amqp.Channel) error { return ch.QueueBind(queue, key, exchange, false, arguments) }))
}

func (t *topology) bindExchange(destination, source, key string) error {
	return wrapDeclare(fmt.Sprintf("binding %q of exchange %s to exchange %s", key, destination, source),
		t.try(func(ch *amqp.Channel) error { return ch.ExchangeBind(destination, key, source, false, nil) }))
}

// route binds a queue to an exchange, which is created if it is missing, in the
// way of its actual type: without the header's name a headers exchange would lead everything here. It
// returns that type, "" if it can't be told.
func (t *topology) route(queue string, b task.Binding) (kind string, err error) {
	if kind, err = t.exchange(b.Exchange, b.Type); err != nil {
		return "", err
	}
	switch cmp.Or(kind, b.Type) {
	case task.Fanout:
		return kind, t.bind(queue, b.Exchange, "", nil)
	case task.Headers:
		return kind, t.bind(queue, b.Exchange, "", amqp.Table{"x-match": "all", "task": b.Task})
	default:
		return kind, t.bind(queue, b.Exchange, b.RoutingKey, nil)
	}
}
