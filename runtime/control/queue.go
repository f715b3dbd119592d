package control

import (
	"cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

// QueueInfo is a queue that a worker takes from (kombu: Queue.as_dict). Flower wants every key.
type QueueInfo struct {
	Name              string         `json:"name"`
	Exchange          ExchangeInfo   `json:"exchange"`
	RoutingKey        string         `json:"routing_key"`
	QueueArguments    map[string]any `json:"queue_arguments"`
	BindingArguments  map[string]any `json:"binding_arguments"`
	ConsumerArguments *struct{}      `json:"consumer_arguments"`
	Durable           bool           `json:"durable"`
	Exclusive         bool           `json:"exclusive"`
	AutoDelete        bool           `json:"auto_delete"`
	NoAck             bool           `json:"no_ack"`
	Alias             *string        `json:"alias"`
	// Bindings are those besides the one to Exchange.
	Bindings  []BindingInfo `json:"bindings"`
	NoDeclare *bool         `json:"no_declare"`
	// What follows is in QueueArguments too. The times are in seconds.
	Expires        *Seconds `json:"expires"`
	MessageTTL     *Seconds `json:"message_ttl"`
	MaxLength      *int64   `json:"max_length"`
	MaxLengthBytes *int64   `json:"max_length_bytes"`
	MaxPriority    *int64   `json:"max_priority"`
}

// BindingInfo leads to a queue (kombu: binding.as_dict).
type BindingInfo struct {
	Exchange        ExchangeInfo   `json:"exchange"`
	RoutingKey      string         `json:"routing_key"`
	Arguments       map[string]any `json:"arguments"`
	UnbindArguments *struct{}      `json:"unbind_arguments"`
}

// ExchangeInfo is the exchange of a queue.
type ExchangeInfo struct {
	Name         string    `json:"name"`
	Type         string    `json:"type"`
	Arguments    *struct{} `json:"arguments"`
	Durable      bool      `json:"durable"`
	Passive      bool      `json:"passive"`
	AutoDelete   bool      `json:"auto_delete"`
	DeliveryMode *int      `json:"delivery_mode"`
	NoDeclare    bool      `json:"no_declare"`
}

func (s *Server) activeQueues(*request) (any, error) {
	out := []QueueInfo{}
	for _, q := range s.worker.Queues() {
		// One without bindings gets its messages by its name, which Celery says like this.
		bindings := []BindingInfo{bindingInfo(task.Binding{Exchange: q.Name, RoutingKey: q.Name})}
		for i, b := range q.Bindings {
			if i == 0 {
				bindings = nil
			}
			bindings = append(bindings, bindingInfo(b))
		}
		first := bindings[0]
		info := QueueInfo{
			Name: q.Name, Exchange: first.Exchange, RoutingKey: first.RoutingKey, BindingArguments: first.Arguments, Bindings: bindings[1:], Durable: true,
		}
		if a := s.worker.QueueAttributes(q.Name); a != nil {
			info.describe(a)
		}
		out = append(out, info)
	}
	return out, nil
}

func bindingInfo(b task.Binding) BindingInfo {
	info := BindingInfo{
		Exchange:   ExchangeInfo{Name: b.Exchange, Type: cmp.Or(b.Type, task.Direct), Durable: true},
		RoutingKey: b.RoutingKey,
	}
	switch info.Exchange.Type {
	case task.Fanout:
		info.RoutingKey = ""
	case task.Headers:
		info.RoutingKey, info.Arguments = "", map[string]any{"x-match": "all", "task": b.Task}
	}
	return info
}

// describe adds what a queue was made with.
func (q *QueueInfo) describe(a *task.QueueAttributes) {
	q.Durable, q.AutoDelete = a.Durable, a.AutoDelete
	if len(a.Arguments) == 0 {
		return
	}
	q.QueueArguments = a.Arguments
	number := func(name string) *int64 {
		switch n := a.Arguments[name].(type) {
		case int32:
			return new(int64(n))
		case int64:
			return &n
		}
		return nil
	}
	seconds := func(name string) *Seconds {
		if ms := number(name); ms != nil {
			return new(Seconds(float64(*ms) / 1e3)) //nolint:mnd // milliseconds
		}
		return nil
	}
	q.Expires, q.MessageTTL = seconds("x-expires"), seconds("x-message-ttl")
	q.MaxLength, q.MaxLengthBytes, q.MaxPriority = number("x-max-length"), number("x-max-length-bytes"), number("x-max-priority")
}
