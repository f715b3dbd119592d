package task

import (
	"fmt"
	"time"
)

// Message is a task message on its way to or from a broker. Its Headers and
// Body are Celery's message protocol 2 (docs/wire.md); the other fields are
// what a transport needs to know without reading them.
type Message struct {
	// ID is the task id: header "id" and AMQP correlation id.
	ID string
	// Task is the registered name: header "task".
	Task string
	// Queue is the queue to put the message in, or the one it came from. The
	// transport creates it if it is missing.
	Queue string
	// Exchange routes the message by RoutingKey to the queues that are bound to it,
	// each of which gets a copy. Empty: straight to Queue. The transport creates
	// an exchange that is missing, of ExchangeType: direct if empty.
	Exchange, ExchangeType, RoutingKey string
	// Bind has the sender bind Queue to Exchange by RoutingKey, so that the message is kept
	// before any worker has started. A key that differs from call to call
	// binds nothing: who consumes says which keys are theirs.
	Bind bool
	// Existing says that Queue must be there already, since it is another process's own
	// ([Subscription.Own]): nothing is created, and ErrUnroutable if it is missing.
	Existing bool
	// Foreign says that others than workers of this module consume Queue, such as Celery's: if it is missing it is made as
	// they make it.
	Foreign bool
	// Priority is the order within a queue, 0 to 9, larger first, as on the
	// wire. (Users count the other way: [Priority].)
	Priority uint8
	// Prioritized says that the task asked for a priority, so that Queue should be able to sort by it.
	Prioritized bool
	// ETA is the time before which the broker must not deliver the message.
	// Zero or past: at once.
	ETA time.Time
	// Mandatory makes it an error (ErrUnroutable) if no queue takes the message.
	Mandatory bool
	// ReplyTo is where the result goes; see [Transport.ReplyTo]. Empty on
	// brokers that store results by task id.
	ReplyTo string
	// ContentType and ContentEncoding describe Body, before compression.
	ContentType, ContentEncoding string
	// Headers hold only string, bool, int32, float64, nil, []any and
	// map[string]any: what every AMQP client reads alike. A received message may hold more.
	Headers map[string]any
	Body    []byte

	// immediate: only a worker with a free slot may have it.
	immediate bool
	// shown are the arguments as text, if the event task-sent tells them.
	shown string
}

// UnreadableHeader is the only header of a message whose own headers the transport can't read: it has
// these as they came, in bytes. Such a message is parked.
const UnreadableHeader = "x-taskgen-unreadable"

// destination is where a message goes.
type destination struct{ exchange, routingKey, queue string }

func (m *Message) destination() destination { return destination{m.Exchange, m.RoutingKey, m.Queue} }

// String is the destination for people; "" if it is not known.
func (d destination) String() string {
	switch {
	case d.exchange != "":
		return fmt.Sprintf("exchange %q with routing key %q", d.exchange, d.routingKey)
	case d.queue != "":
		return fmt.Sprintf("queue %q", d.queue)
	}
	return ""
}
