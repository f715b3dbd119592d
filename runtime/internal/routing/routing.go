// Package routing says where an exchange leads a message: AMQP's rules, for the
// brokers that are not AMQP servers.
package routing

import (
	"errors"
	"fmt"
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// Check says whether a message or binding may name an exchange of this type. "" is direct.
func Check(exchange, kind string) error {
	if exchange == "" {
		return errors.New("a binding needs the name of an exchange")
	}
	switch kind {
	case "", task.Direct, task.Topic, task.Fanout, task.Headers:
		return nil
	}
	return fmt.Errorf("exchange %q: there is no exchange type %q: there are direct, topic, fanout and headers", exchange, kind)
}

// Leads says whether a binding leads a message with this routing key, of this task, to its queue. kind is the
// type of the exchange.
func Leads(kind string, b task.Binding, key, name string) bool {
	switch kind {
	case task.Fanout:
		return true
	case task.Topic:
		return matches(b.RoutingKey, key)
	case task.Headers:
		return b.Task == name
	default:
		return b.RoutingKey == key
	}
}

// matches says whether a topic pattern matches a key: words between dots, * for one, # for any number.
func matches(pattern, key string) bool {
	if pattern == "#" {
		return true
	}
	// reached[i]: the pattern so far matches the first i words of the key.
	words := strings.Split(key, ".")
	if key == "" {
		words = nil
	}
	reached := make([]bool, len(words)+1)
	reached[0] = true
	for word := range strings.SplitSeq(pattern, ".") {
		next := make([]bool, len(words)+1)
		for i := range reached {
			switch {
			case word == "#":
				next[i] = reached[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = reached[i-1] && (word == "*" || word == words[i-1])
			}
		}
		reached = next
	}
	return reached[len(words)]
}
