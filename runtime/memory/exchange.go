package memory

import (
	"container/heap"
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// exchanges are the exchanges of the broker, by name.
type exchanges map[string]*exchange

// exchange leads messages to the queues that are bound to it.
type exchange struct {
	kind     string
	bindings []binding
}

type binding struct {
	task.Binding
	queue string
}

// declare finds or makes the exchange of a binding, and binds the queue to it. One that exists
// keeps its type.
func (e exchanges) declare(b task.Binding, queue string) error {
	if err := routing.Check(b.Exchange, b.Type); err != nil {
		return err
	}
	x := e[b.Exchange]
	if x == nil {
		x = &exchange{kind: b.Type}
		e[b.Exchange] = x
	}
	b.Type = ""
	if bound := (binding{b, queue}); queue != "" && !slices.Contains(x.bindings, bound) {
		x.bindings = append(x.bindings, bound)
	}
	return nil
}

// route returns the queues that the message goes to. Locked.
func (t *Transport) route(m *task.Message) ([]string, error) {
	if m.Exchange == "" {
		return []string{m.Queue}, nil
	}
	queue := ""
	if m.Bind {
		queue = m.Queue
	}
	b := task.Binding{Exchange: m.Exchange, Type: m.ExchangeType, RoutingKey: m.RoutingKey, Task: m.Task}
	if err := t.declare(b, queue); err != nil {
		return nil, err
	}
	x := t.exchanges[m.Exchange]
	var queues []string
	for _, bound := range x.bindings {
		if routing.Leads(x.kind, bound.Binding, m.RoutingKey, m.Task) && !slices.Contains(queues, bound.queue) {
			queues = append(queues, bound.queue)
		}
	}
	if len(queues) == 0 && m.Mandatory {
		return nil, fmt.Errorf("%w: none is bound to exchange %s for routing key %q", task.ErrUnroutable, m.Exchange, m.RoutingKey)
	}
	return queues, nil
}

// bind makes the exchanges and bindings of the subscriptions.
func (t *Transport) bind(subscriptions []task.Subscription) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range subscriptions {
		for _, b := range s.Bindings {
			if err := t.declare(b, s.Queue); err != nil {
				return err
			}
		}
	}
	return nil
}

// disown ends a queue that belonged to one consumer: its heir gets what is in it. Locked.
func (t *Transport) disown(s task.Subscription) {
	q := t.queue(s.Queue)
	delete(t.queues, s.Queue)
	if q.timer != nil {
		q.timer.Stop()
	}
	for _, x := range t.exchanges {
		x.bindings = slices.DeleteFunc(x.bindings, func(b binding) bool { return b.queue == s.Queue })
	}
	if s.Heir == "" {
		return
	}
	for q.ready.Len() > 0 {
		t.put(heap.Pop(&q.ready).(*item).message, s.Heir)
	}
}
