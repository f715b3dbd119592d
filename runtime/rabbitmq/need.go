package rabbitmq

// need is something that a message needs at the broker.
type need struct {
	what                 needed
	queue, exchange, key string
	kind                 queueKind
}

type needed int

const (
	needQueue    needed = iota // queue, kind
	needExchange               // exchange
	needRoute                  // exchange, key, queue
	needLadder                 // of all delayed messages
	needDelay                  // queue, bound to the ladder's end
	needChannel                // a channel to publish to exchange
)

// needs lists what a message needs, in order.
func (p *publishing) needs(list []need) []need {
	if p.Queue != "" {
		list = append(list, need{what: needQueue, queue: p.Queue, kind: p.queue})
	}
	switch {
	case p.delayed:
		list = append(list, need{what: needLadder}, need{what: needDelay, queue: p.Queue})
	case p.Exchange == "":
	case p.Queue == "":
		list = append(list, need{what: needExchange, exchange: p.Exchange})
	default:
		list = append(list, need{what: needRoute, exchange: p.Exchange, key: p.RoutingKey, queue: p.Queue})
	}
	return list
}
