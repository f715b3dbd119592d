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
func (m *publishing) needs(list []need) []need {
	if m.Queue != "" {
		list = append(list, need{what: needQueue, queue: m.Queue, kind: m.queue})
	}
	switch {
	case m.delayed:
		list = append(list, need{what: needLadder}, need{what: needDelay, queue: m.Queue})
	case m.Exchange == "":
	case m.Queue == "":
		list = append(list, need{what: needExchange, exchange: m.Exchange})
	default:
		list = append(list, need{what: needRoute, exchange: m.Exchange, key: m.RoutingKey, queue: m.Queue})
	}
	return list
}
