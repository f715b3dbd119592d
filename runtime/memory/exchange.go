package memory

import (
	"cmp"
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
		x = &exchange{kind: cmp.Or(b.Type, task.Direct)}
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
		return t.straight(m)
	}
	queue := ""
	if m.Bind {
		queue = m.Queue
	}
	b := task.Binding{Exchange: m.Exchange, Type: m.ExchangeType, RoutingKey: m.RoutingKey, Task: m.Task}
	if err := t.declare(b, queue); err != nil {
		return nil, fmt.Errorf("task %s (%s) is not queued: %w", m.ID, m.Task, err)
	}
	x := t.exchanges[m.Exchange]
	var queues []string
	for _, bound := range x.bindings {
		if routing.Leads(x.kind, bound.Binding, m.RoutingKey, m.Task) && !slices.Contains(queues, bound.queue) {
			queues = append(queues, bound.queue)
		}
	}
	if len(queues) == 0 && m.Mandatory {
		return nil, fmt.Errorf("task %s (%s) is not queued: %w", m.ID, m.Task, routing.Unroutable(b, x.kind))
	}
	return queues, nil
}

// straight is the route of a message that names no exchange. Locked.
func (t *Transport) straight(m *task.Message) ([]string, error) {
	switch _, there := t.queues[m.Queue]; {
	case m.Queue == "":
		return nil, fmt.Errorf("task %s (%s) is not queued: %w: it names neither a queue nor an exchange", m.ID, m.Task, task.ErrUnroutable)
	case m.Existing && !there:
		return nil, fmt.Errorf("task %s (%s) is not queued: %w: there is no queue %q", m.ID, m.Task, task.ErrUnroutable, m.Queue)
	}
	return []string{m.Queue}, nil
}

// declareAll makes the queues of the subscriptions, and what leads to them. It returns the bindings
// that take an exchange for another than it is. Locked.
func (t *Transport) declareAll(subscriptions []task.Subscription) (mismatches routing.Mismatches, err error) {
	for _, s := range subscriptions {
		t.queue(s.Queue)
		for _, b := range s.Bindings {
			if err := t.declare(b, s.Queue); err != nil {
				return nil, fmt.Errorf("memory: subscription to queue %q: %w", s.Queue, err)
			}
			mismatches.Compare(s.Queue, b, t.exchanges[b.Exchange].kind)
		}
	}
	return mismatches, nil
}

// disown ends a queue that belonged to one consumer: its heir gets what is in it. Locked.
func (t *Transport) disown(queue, heir string) {
	q, there := t.queues[queue]
	if !there {
		return
	}
	delete(t.queues, queue)
	if q.timer != nil {
		q.timer.Stop()
	}
	for _, x := range t.exchanges {
		x.bindings = slices.DeleteFunc(x.bindings, func(b binding) bool { return b.queue == queue })
	}
	if heir == "" {
		return
	}
	for q.ready.Len() > 0 {
		t.put(heap.Pop(&q.ready).(*item).message, heir)
	}
	for _, delayed := range q.delayed {
		t.put(delayed.message, heir)
	}
}
