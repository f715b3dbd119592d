package rabbitmq

import "github.com/taskgen/taskgen/runtime/task"

// need is something that a message needs at the broker.
type need struct {
	what  needed
	queue string
	kind  queueKind
	task.Binding
}

type needed int

const (
	needQueue    needed = iota // queue, of a kind
	needConsumer               // queue, which belongs to a consumer
	needExchange               // exchange, of a type
	needRoute                  // queue, bound to an exchange
	needLadder                 // of all delayed messages
	needDelay                  // queue, bound to the ladder's end by a routing key
	needChannel                // a channel to publish to exchange
)

// needs lists what a message needs, in order.
func (p *publishing) needs(list []need) []need {
	route := task.Binding{Exchange: p.Exchange, Type: p.ExchangeType}
	switch {
	case p.Exchange != "" && !p.Bind:
		return append(list, need{what: needExchange, Binding: route})
	case p.Exchange != "":
		route.RoutingKey, route.Task = p.RoutingKey, p.Task
		return append(list,
			need{what: needQueue, queue: p.Queue, kind: p.queue},
			need{what: needRoute, queue: p.Queue, Binding: route})
	case p.Existing:
		list = append(list, need{what: needConsumer, queue: p.Queue})
	case p.Queue != "":
		list = append(list, need{what: needQueue, queue: p.Queue, kind: p.queue})
	}
	if p.delayed {
		list = append(list, need{what: needLadder},
			need{what: needDelay, queue: p.Queue, Binding: task.Binding{RoutingKey: p.rung()}})
	}
	return list
}

// creates says whether declaring anew what the message needs can lead it to a queue.
func (p *publishing) creates() bool {
	return p.Queue != "" && !p.Existing && (p.Exchange == "" || p.Bind)
}

// channelNeed is the need of a channel for an exchange.
func channelNeed(exchange string) need {
	return need{what: needChannel, Binding: task.Binding{Exchange: exchange}}
}
