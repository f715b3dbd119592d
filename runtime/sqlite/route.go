package sqlite

import (
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// A route says which way a message goes.
type route struct {
	queue               string
	exchange, kind, key string
	task                string
	bind, mandatory     bool
	existing            bool
}

// newRoute returns the route of a message. It is an error if there can't be any.
func newRoute(m *task.Message) (route, error) {
	if m.Queue == "" && m.Exchange == "" {
		return route{}, fmt.Errorf("%w: it names neither a queue nor an exchange", task.ErrUnroutable)
	}
	if m.Exchange != "" {
		if err := routing.Check(m.Exchange, m.ExchangeType); err != nil {
			return route{}, err
		}
	}
	return route{
		queue: m.Queue, exchange: m.Exchange, kind: m.ExchangeType, key: m.RoutingKey, task: m.Task,
		bind: m.Bind && m.Queue != "", mandatory: m.Mandatory, existing: m.Existing,
	}, nil
}

// queues returns where the route leads now. If that is nowhere, and
// must not be, the error is a [task.ErrUnroutable].
func (r *route) queues(t *tx) ([]int64, error) {
	if r.exchange == "" {
		queue, err := r.straight(t)
		return []int64{queue}, err
	}
	x, err := t.exchange(r.exchange)
	if err == nil && (x == nil || r.bind) {
		x, err = r.declare(t, x)
	}
	if err != nil {
		return nil, err
	}
	queues := x.leads(r.key, r.task)
	if len(queues) == 0 && r.mandatory {
		return nil, routing.Unroutable(task.Binding{Exchange: r.exchange, Type: r.kind, RoutingKey: r.key}, x.kind)
	}
	return queues, nil
}

// straight is the route to a queue by its name.
func (r *route) straight(t *tx) (int64, error) {
	if !r.existing {
		return t.queue(r.queue)
	}
	queue, _, err := t.findQueue(r.queue)
	if err == nil && queue == 0 {
		err = fmt.Errorf("%w: there is no queue %q", task.ErrUnroutable, r.queue)
	}
	return queue, err
}

// declare makes the exchange x if it is nil, and the sender's binding. It
// writes nothing if both are there.
func (r *route) declare(t *tx, x *exchange) (*exchange, error) {
	if x == nil {
		var err error
		if x, err = t.makeExchange(r.exchange, r.kind); err != nil {
			return nil, err
		}
	}
	if r.bind {
		queue, err := t.queue(r.queue)
		if err != nil {
			return nil, err
		}
		b := task.Binding{Exchange: r.exchange, RoutingKey: r.key, Task: r.task}
		if !slices.Contains(x.bindings, bound{x.pattern(b), queue}) {
			if err := t.bind(x, b, queue); err != nil {
				return nil, err
			}
		}
	}
	return t.exchange(r.exchange)
}
