package rabbitmq

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// topology declares exchanges, queues and bindings over one connection. An
// exception closes the channel it happens on, so it uses its own, and opens
// another one when it needs it. Not safe for concurrent use.
type topology struct {
	connection *connection
	channel    *amqp.Channel
	declaring  declaring
	record     *Definitions // not nil: what would be declared goes there, and there is no connection
}

func newTopology(c *connection) topology { return topology{connection: c, declaring: c.declaring} }

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
	switch argument, _, current := inequivalent(err); {
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
	if _, ours := errors.AsType[*declareError](err); ours {
		return true
	}
	return slices.Contains([]int{amqp.PreconditionFailed, amqp.AccessRefused, amqp.ResourceLocked}, code(err))
}

// taskQueue is queue for one of tasks, or their dead letters. longest is the longest time limit of its tasks.
func (t *topology) taskQueue(name string, kind queueKind, longest time.Duration) error {
	arguments := t.declaring.arguments(kind)
	if t.record == nil && t.declaring.compares() && kind != foreignQueue {
		if err := t.compare(name, arguments); err != nil {
			return err
		}
	}
	if t.record == nil {
		t.connection.consumerTimeout(arguments, longest)
	}
	return t.queue(name, arguments)
}

// compare says how a queue that exists differs from what it would be made as. The broker compares when it is asked to make it.
func (t *topology) compare(name string, arguments amqp.Table) error {
	if t.passive(name) != nil {
		return nil //nolint:nilerr // that it is missing is another matter
	}
	err := t.declareQueue(name, arguments)
	argument, received, current := inequivalent(err)
	if argument == "x-max-priority" && current != "none" {
		return nil // one that knows priorities, which is classic, does for tasks that have none, or others
	}
	if argument != "" && argument != "x-consumer-timeout" {
		return t.declaring.mismatch(name, argument, received, current, err)
	}
	return nil // who may not make queues can't compare them either
}

func (t *topology) declareQueue(name string, arguments amqp.Table) error {
	return t.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, arguments)
		return err
	})
}

func (t *topology) passive(name string) error {
	return t.try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
}

// queue looks whether a queue exists, and creates it if it doesn't, as far as that is wanted. What
// somebody else has created in the meantime is taken as it is too.
func (t *topology) queue(name string, arguments amqp.Table) error {
	switch {
	case t.record != nil:
		t.record.addQueue(name, arguments)
		return nil
	case t.declaring.mode == declareNothing:
		return nil
	}
	err := t.passive(name)
	if code(err) == amqp.NotFound {
		if t.declaring.mode == declareVerify {
			return t.declaring.missing("queue", name, err)
		}
		return t.create(name, arguments)
	}
	return wrapDeclare("queue "+name, err)
}

// create makes a queue, whatever is wanted otherwise: the queues of one process can't be there before it.
func (t *topology) create(name string, arguments amqp.Table) error {
	err := t.declareQueue(name, arguments)
	if code(err) == amqp.PreconditionFailed && t.passive(name) == nil {
		return nil
	}
	return wrapDeclare("queue "+name, err)
}

// priorityQueue is taskQueue for one that is to know priorities. flat says that one exists that doesn't: the
// refusal to declare it tells, unless the queue has yet other arguments that are compared first.
func (t *topology) priorityQueue(name string) (flat bool, err error) {
	if t.record != nil || t.declaring.mode != declareCreate {
		return false, t.taskQueue(name, priorityQueue, 0)
	}
	err = t.declareQueue(name, t.declaring.arguments(priorityQueue))
	if err == nil {
		return false, nil
	}
	switch argument, _, current := inequivalent(err); argument {
	case "x-max-priority":
		flat = current == "none"
	case "x-queue-type":
		// Quorum queues have priorities, without being asked, since RabbitMQ 4.
		flat = current != "none" && !t.connection.atLeast(4, 0)
	}
	return flat, t.taskQueue(name, priorityQueue, 0)
}

// exchange creates an exchange if it is missing, as far as that is wanted, and returns its type, "" if that can't be
// told: one that exists is taken as it is.
func (t *topology) exchange(name, kind string) (string, error) {
	kind = cmp.Or(kind, task.Direct)
	passive := func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(name, kind, true, false, false, false, nil)
	}
	switch {
	case t.record != nil:
		t.record.addExchange(name, kind)
		return kind, nil
	case t.declaring.mode == declareNothing:
		return "", nil
	case t.declaring.mode == declareVerify:
		err := t.try(passive)
		if code(err) == amqp.NotFound {
			return "", t.declaring.missing("exchange", name, err)
		}
		return "", wrapDeclare("exchange "+name, err)
	}
	err := t.try(func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare(name, kind, true, false, false, false, nil)
	})
	switch code(err) {
	case amqp.PreconditionFailed:
		return currentType(err, kind), nil
	case amqp.AccessRefused:
		// Who may create nothing may still use what is there.
		if t.try(passive) == nil {
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
	argument, _, current := inequivalent(refusal)
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
func inequivalent(refusal error) (argument, received, current string) {
	reply, ok := errors.AsType[*amqp.Error](refusal)
	if !ok || reply.Code != amqp.PreconditionFailed {
		return "", "", ""
	}
	_, text, _ := strings.Cut(reply.Reason, "inequivalent arg '")
	argument, text, _ = strings.Cut(text, "'")
	const before = " but current is "
	if at := strings.LastIndex(text, before); at >= 0 {
		text, current = text[:at], text[at+len(before):]
	}
	_, received, _ = strings.Cut(text, ": received ")
	return argument, received, current
}

// bind leads messages to a queue. Nobody can ask whether a binding is there, so who makes none assumes that it is.
func (t *topology) bind(queue, exchange, key string, arguments amqp.Table) error {
	switch {
	case t.record != nil:
		t.record.addBinding(Binding{Source: exchange, Destination: queue, DestinationType: "queue", RoutingKey: key, Arguments: arguments})
		return nil
	case t.declaring.mode != declareCreate:
		return nil
	}
	return t.bindOwn(queue, exchange, key, arguments)
}

// bindOwn is bind for a queue of one process.
func (t *topology) bindOwn(queue, exchange, key string, arguments amqp.Table) error {
	return wrapDeclare(fmt.Sprintf("binding %q of queue %s to exchange %s", key, queue, exchange),
		t.try(func(ch *amqp.Channel) error { return ch.QueueBind(queue, key, exchange, false, arguments) }))
}

func (t *topology) bindExchange(destination, source, key string) error {
	switch {
	case t.record != nil:
		t.record.addBinding(Binding{Source: source, Destination: destination, DestinationType: "exchange", RoutingKey: key})
		return nil
	case t.declaring.mode != declareCreate:
		return nil
	}
	return wrapDeclare(fmt.Sprintf("binding %q of exchange %s to exchange %s", key, destination, source),
		t.try(func(ch *amqp.Channel) error { return ch.ExchangeBind(destination, key, source, false, nil) }))
}

// route binds a queue to an exchange, which is created if it is missing, in the
// way of its actual type: without the header's name a headers exchange would lead everything here. It
// returns that type, "" if it can't be told.
func (t *topology) route(queue string, own bool, b task.Binding) (kind string, err error) {
	if kind, err = t.exchange(b.Exchange, b.Type); err != nil {
		return "", err
	}
	bind := t.bind
	switch {
	case own && t.record != nil:
		return kind, nil
	case own:
		bind = t.bindOwn
	}
	switch cmp.Or(kind, b.Type) {
	case task.Fanout:
		return kind, bind(queue, b.Exchange, "", nil)
	case task.Headers:
		return kind, bind(queue, b.Exchange, "", amqp.Table{"x-match": "all", "task": b.Task})
	default:
		return kind, bind(queue, b.Exchange, b.RoutingKey, nil)
	}
}
