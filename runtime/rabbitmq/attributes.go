package rabbitmq

import (
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// attributes are those of queues that somebody has asked for, in one session: each question costs the broker a line in its log
// for all that is otherwise than guessed.
type attributes map[string]*task.QueueAttributes

// QueueAttributes implements [task.QueueInspector].
func (c *consumer) QueueAttributes(queue string) *task.QueueAttributes {
	s := c.current()
	if s == nil || s.over() || s.declaring.mode == declareNothing {
		return nil
	}
	s.inspecting.Lock()
	defer s.inspecting.Unlock()
	if known, asked := s.attributes[queue]; asked {
		return known
	}
	var found *task.QueueAttributes
	for _, sub := range c.wanted() {
		if sub.Queue == queue {
			t := newTopology(s.connection)
			defer t.close()
			kind := quorumQueue
			if sub.Prioritized {
				kind = priorityQueue
			}
			found = t.attributes(queue, s.declaring.arguments(kind))
		}
	}
	if s.attributes == nil {
		s.attributes = attributes{}
	}
	s.attributes[queue] = found
	return found
}

// maxGuesses is more than a queue has attributes.
const maxGuesses = 30

// attributes finds out how a queue that exists was made, nil if the broker does not tell. Nobody can ask for that, but who
// declares the queue otherwise is told of one difference.
func (t *topology) attributes(name string, guess amqp.Table) *task.QueueAttributes {
	if t.passive(name) != nil {
		return nil // or it would be made
	}
	a := &task.QueueAttributes{Durable: true, Arguments: guess}
	for range maxGuesses {
		err := t.try(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(name, a.Durable, a.AutoDelete, false, false, guess)
			return err
		})
		if err == nil {
			return a
		}
		argument, _, current := inequivalent(err)
		switch argument {
		case "":
			return nil
		case "durable":
			a.Durable = !a.Durable
		case "auto_delete":
			a.AutoDelete = !a.AutoDelete
		default:
			value, ok := valueOf(current)
			if guess[argument] = value; !ok {
				return nil
			}
			if value == nil {
				delete(guess, argument)
			}
		}
	}
	return nil
}

// valueOf reads a value in the broker's words, such as "the value '9' of type 'signedint'" and "none".
func valueOf(text string) (value any, ok bool) {
	if text == "none" {
		return nil, true
	}
	text, found := strings.CutPrefix(text, "the value '")
	at := strings.LastIndex(text, "' of type '")
	if !found || at < 0 || !strings.HasSuffix(text, "'") {
		return nil, false
	}
	text, kind := text[:at], text[at:]
	switch {
	case strings.Contains(kind, "longstr"):
		return text, true
	case strings.Contains(kind, "bool"):
		return text == "true", true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
