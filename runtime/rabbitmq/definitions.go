package rabbitmq

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// Definitions are queues, exchanges and bindings in the form that rabbitmqctl import_definitions and the
// management plugin read.
type Definitions struct {
	Exchanges []Exchange `json:"exchanges"`
	Queues    []Queue    `json:"queues"`
	Bindings  []Binding  `json:"bindings"`

	vhost string
}

// Exchange is an exchange of Definitions.
type Exchange struct {
	Name       string     `json:"name"`
	VHost      string     `json:"vhost"`
	Type       string     `json:"type"`
	Durable    bool       `json:"durable"`
	AutoDelete bool       `json:"auto_delete"`
	Internal   bool       `json:"internal"`
	Arguments  amqp.Table `json:"arguments"`
}

// Queue is a queue of Definitions.
type Queue struct {
	Name       string     `json:"name"`
	VHost      string     `json:"vhost"`
	Durable    bool       `json:"durable"`
	AutoDelete bool       `json:"auto_delete"`
	Arguments  amqp.Table `json:"arguments"`
}

// Binding is a binding of Definitions.
type Binding struct {
	Source          string     `json:"source"`
	VHost           string     `json:"vhost"`
	Destination     string     `json:"destination"`
	DestinationType string     `json:"destination_type"` // queue or exchange
	RoutingKey      string     `json:"routing_key"`
	Arguments       amqp.Table `json:"arguments"`
}

// Definitions returns what a worker with these subscriptions, and who sends to their queues, need at the broker: the queues with
// those of their dead letters, exchanges and bindings, and what delayed messages go through. It has what the transport
// makes with declare=create, of the queue_type of its URL, and leaves out what belongs to one process.
func (t *Transport) Definitions(subscriptions []task.Subscription) (*Definitions, error) {
	address := t.dialer.address
	d := &Definitions{vhost: address.vhost}
	r := topology{declaring: address.declaring, record: d}
	if err := declareLadder(&r); err != nil {
		return nil, err
	}
	if err := declareDrop(&r); err != nil {
		return nil, err
	}
	for _, s := range subscriptions {
		if err := checkSubscription(s); err != nil {
			return nil, fmt.Errorf("rabbitmq: %w", err)
		}
		if err := define(&r, s); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func define(r *topology, s task.Subscription) error {
	for _, b := range s.Bindings {
		if _, err := r.lead(s.Queue, s.Own, b); err != nil {
			return err
		}
	}
	if s.Own {
		return nil
	}
	kind := quorumQueue
	if s.Prioritized {
		kind = priorityQueue
	}
	if err := r.taskQueue(s.Queue, kind, 0); err != nil {
		return err
	}
	if checkLadderKey(s.Queue) == nil {
		if err := r.bind(s.Queue, ladderDelivery, ladderBinding(s.Queue), nil); err != nil {
			return err
		}
	}
	if strings.HasSuffix(s.Queue, task.ProbationQueue("")) {
		return nil // its dead letters are those of the queue it is for
	}
	return r.taskQueue(s.Queue+deadSuffix, quorumQueue, 0)
}

func (d *Definitions) addQueue(name string, arguments amqp.Table) {
	if !slices.ContainsFunc(d.Queues, func(q Queue) bool { return q.Name == name }) {
		d.Queues = append(d.Queues, Queue{Name: name, VHost: d.vhost, Durable: true, Arguments: arguments})
	}
}

func (d *Definitions) addExchange(name, kind string) {
	if !slices.ContainsFunc(d.Exchanges, func(e Exchange) bool { return e.Name == name }) {
		d.Exchanges = append(d.Exchanges, Exchange{Name: name, VHost: d.vhost, Type: kind, Durable: true, Arguments: amqp.Table{}})
	}
}

func (d *Definitions) addBinding(b Binding) {
	b.VHost = d.vhost
	if b.Arguments == nil {
		b.Arguments = amqp.Table{}
	}
	d.Bindings = append(d.Bindings, b)
}

// String is the definitions for people, a line each.
func (d *Definitions) String() string {
	var text strings.Builder
	for _, e := range d.Exchanges {
		fmt.Fprintf(&text, "exchange %s: %s, durable\n", e.Name, e.Type)
	}
	for _, q := range d.Queues {
		fmt.Fprintf(&text, "queue %s: durable%s\n", q.Name, plainTable(q.Arguments))
	}
	for _, b := range d.Bindings {
		fmt.Fprintf(&text, "binding of %s %s to exchange %s: routing key %q%s\n", b.DestinationType, b.Destination, b.Source, b.RoutingKey, plainTable(b.Arguments))
	}
	return text.String()
}

func plainTable(table amqp.Table) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprintf(&text, ", %s=%v", name, table[name])
	}
	return text.String()
}
