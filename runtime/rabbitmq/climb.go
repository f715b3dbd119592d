package rabbitmq

import (
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// A client of Celery 5.5 or newer sends a message for later, if it is for an exchange that is not direct, up the ladder with the
// routing key behind the digits, and trusts that whoever consumes leads it from the ladder's end to that exchange, and there to the
// queue. If nobody does, it is stuck there, see [withDetour]. So a subscription makes these bindings. Celery's
// begin with "#.", and take the messages of each key that ends in theirs; ours count the digits.

// lead is route, for messages that come from the ladder's end too.
func (t *topology) lead(queue string, own bool, b task.Binding) (kind string, err error) {
	kind, err = t.route(queue, own, b)
	if err != nil || own || !climbs(kind, b.RoutingKey) {
		return kind, err
	}
	if _, err := t.exchange(ladderDelivery, amqp.ExchangeTopic); err != nil {
		return "", err
	}
	key := ladderBinding(b.RoutingKey)
	if err := t.bindExchange(b.Exchange, ladderDelivery, key); err != nil {
		return "", err
	}
	if kind == task.Topic {
		err = t.bind(queue, b.Exchange, key, nil)
	}
	return kind, err
}

// climbs says whether messages with a routing key may come from the ladder to an exchange. A key that takes
// everything would take what is for other exchanges, and straight for queues.
func climbs(kind, key string) bool {
	if kind != task.Topic && kind != task.Fanout || len(ladderBinding(key)) > 255 {
		return false
	}
	for word := range strings.SplitSeq(key, ".") {
		if word != "*" && word != "#" && word != "" {
			return true
		}
	}
	return false
}

// isStray says whether a message from the ladder is a copy that these bindings have led astray: it is for the queue
// that its key names, which has it too. This package sends nothing else up the ladder; of others, nobody can tell.
func isStray(d *amqp.Delivery, queue string) bool {
	return strings.HasPrefix(d.Exchange, ladderPrefix) && ofPublisher(d.MessageId) && stripLadder(d.RoutingKey) != queue
}
