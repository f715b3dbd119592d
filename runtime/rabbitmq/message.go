package rabbitmq

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// maxBody is what RabbitMQ takes at most by default (before version 4; 16 MiB since). The
// broker closes the channel of who sends more, with all that is on its way there.
const maxBody = 128 << 20

// publishing is a message on its way out: where to, and what it needs there.
type publishing struct {
	task.Message
	exchange, key string
	delayed       bool
	queue         queueKind // of Message.Queue, if it must be created
	properties    amqp.Publishing
	headerSize    int
}

// newPublishing checks a message and translates it. strict refuses header types
// that only some clients read; a message that came from elsewhere may have them.
func newPublishing(m *task.Message, now time.Time, strict bool) (*publishing, error) {
	p := &publishing{Message: *m, queue: quorumQueue}
	switch {
	case m.Foreign:
		p.queue = foreignQueue
	case m.Prioritized:
		p.queue = priorityQueue
	}
	p.aim(now)
	if err := p.checkAim(strict); err != nil {
		return nil, p.invalid(err)
	}
	headers := m.Headers
	if m.Exchange != "" && ladderSeconds(m.ETA, now) > 0 {
		headers = withDetour(headers, m.ETA, m.Exchange, m.RoutingKey)
	}
	p.properties = amqp.Publishing{
		Headers:         toTable(headers),
		ContentType:     m.ContentType,
		ContentEncoding: m.ContentEncoding,
		DeliveryMode:    amqp.Persistent,
		Priority:        m.Priority,
		CorrelationId:   m.ID,
		ReplyTo:         m.ReplyTo,
		Body:            m.Body,
	}
	if strict {
		if err := checkHeaders(m.Headers); err != nil {
			return nil, p.invalid(err)
		}
	}
	if err := p.check(); err != nil {
		return nil, p.invalid(err)
	}
	return p, nil
}

// aim decides where the message goes if it leaves now: later, less of its
// delay is left for the ladder, or none.
func (p *publishing) aim(now time.Time) {
	p.exchange, p.key, p.delayed = p.Exchange, p.RoutingKey, false
	if p.exchange == "" {
		p.key = p.Queue
	}
	if seconds := ladderSeconds(p.ETA, now); seconds > 0 && p.Exchange == "" {
		p.exchange, p.key, p.delayed = ladderEntry(seconds), ladderKey(seconds, p.rung()), true
	}
}

// rung is the end of the ladder's key, which leads to the queue.
func (p *publishing) rung() string {
	if p.Existing {
		return ownRung(p.Queue)
	}
	return p.Queue
}

// checkAim refuses what says too little, or the contrary, of where the message goes.
func (p *publishing) checkAim(strict bool) error {
	switch {
	case p.Queue == "" && p.Exchange == "":
		return errors.New("it names neither a queue nor an exchange")
	case p.Queue == "" && p.Bind:
		return fmt.Errorf("it names no queue to bind to exchange %s", p.Exchange)
	case p.Exchange != "":
		return routing.Check(p.Exchange, p.ExchangeType)
	case !p.delayed:
		return nil
	case p.Existing && strict:
		return fmt.Errorf("queue %s belongs to one consumer, which may be gone when it is due", p.Queue)
	}
	return checkLadderKey(p.Queue)
}

// check refuses what the library or the broker would answer by closing the
// connection, with everybody's messages on it.
func (p *publishing) check() error {
	for _, short := range []struct{ what, text string }{
		{"task id", p.ID}, {"queue", p.Queue}, {"exchange", p.exchange}, {"routing key", p.key},
		{"reply queue", p.ReplyTo}, {"content type", p.ContentType}, {"content encoding", p.ContentEncoding},
	} {
		if len(short.text) > math.MaxUint8 {
			return fmt.Errorf("its %s is longer than 255 bytes", short.what)
		}
	}
	for name := range p.properties.Headers {
		if len(name) > math.MaxUint8 {
			return errors.New("the name of a header is longer than 255 bytes")
		}
	}
	if err := p.properties.Headers.Validate(); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if p.headerSize = tableSize(p.properties.Headers); p.headerSize > maxHeaders {
		return fmt.Errorf("its headers take %d bytes; at most %d fit", p.headerSize, maxHeaders)
	}
	if len(p.Body) > maxBody {
		return fmt.Errorf("its body has %d bytes; at most %d can be sent", len(p.Body), maxBody)
	}
	return nil
}

func (p *publishing) invalid(err error) error {
	return fmt.Errorf("rabbitmq: task %s (%s) can't be sent: %w", p.ID, p.Task, err)
}

// wrap names the message in an error.
func (p *publishing) wrap(err error) error {
	return fmt.Errorf("rabbitmq: %s: %w", p, err)
}

// mandatory says whether the broker is to return the message if no queue takes it.
func (p *publishing) mandatory() bool { return p.Mandatory || p.Existing }

// unroutable says why no queue took the message, and what to do. kind is the actual type of its
// exchange, "" if that is not known.
func (p *publishing) unroutable(kind string, mode declareMode) error {
	switch {
	case p.Exchange != "":
		return routing.Unroutable(task.Binding{Exchange: p.Exchange, Type: p.ExchangeType, RoutingKey: p.RoutingKey}, kind)
	case p.Existing:
		return fmt.Errorf("%w: the consumer that the queue belongs to has gone", task.ErrUnroutable)
	case mode == declareNothing:
		return fmt.Errorf("%w: it is missing, and declare=never (-declare never) makes none: create it (the worker's command topology "+
			"prints what is needed), or use declare=create", task.ErrUnroutable)
	}
	return fmt.Errorf("%w: somebody deletes it as soon as it is made", task.ErrUnroutable)
}

// size estimates the bytes on the wire.
func (p *publishing) size() int64 {
	return int64(len(p.Body) + p.headerSize + 512)
}

// String says which message goes where, for errors.
func (p *publishing) String() string {
	to := "queue " + p.Queue
	if p.Exchange != "" {
		to = fmt.Sprintf("exchange %s, routing key %q", p.Exchange, p.RoutingKey)
	}
	return fmt.Sprintf("task %s (%s) to %s", p.ID, p.Task, to)
}

// newDelivery translates a message that has arrived from a queue.
func newDelivery(d *amqp.Delivery, queue string, session uint64) *task.Delivery {
	attempts := attempts(d.Headers, d.Redelivered)
	headers := map[string]any(d.Headers) // it is ours
	for name, value := range headers {
		switch value.(type) {
		case amqp.Table, []any:
			headers[name] = fromField(value)
		}
		if byBroker(name) {
			delete(headers, name)
		}
	}
	name, _ := headers["task"].(string)
	id, _ := headers["id"].(string)
	if id == "" || len(id) > math.MaxUint8 { // one that is too long could not be sent on, not even to the dead letters
		id = d.CorrelationId
	}
	var both struct { // in one piece of memory
		task.Delivery
		task.Message
	}
	m := &both.Message
	*m = task.Message{
		ID: id, Task: name,
		Queue: queue, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
		Priority: d.Priority, ReplyTo: d.ReplyTo,
		ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
		Headers: headers, Body: d.Body,
	}
	if strings.HasPrefix(d.Exchange, ladderPrefix) {
		// Who sends it on must not climb the ladder again.
		m.Exchange, m.RoutingKey = "", stripLadder(d.RoutingKey)
	}
	readDetour(m)
	both.Delivery = task.Delivery{Message: m, Redelivered: d.Redelivered, Attempts: attempts, Tag: d.DeliveryTag, Session: session}
	both.MessageID, both.Unique = identity(d, id)
	return &both.Delivery
}

// identity is what a message is recognised by. Those of this package's publishers have an id that is unique to a publish; of
// others, a call's id and number of retries have to do.
func identity(d *amqp.Delivery, id string) (messageID string, unique bool) {
	if ofPublisher(d.MessageId) {
		return d.MessageId, true
	}
	if id == "" {
		return "", false
	}
	return fmt.Sprint(id, "/", d.Headers["retries"], "/", d.MessageId), false
}

// ofPublisher says whether a message id is one of [publisher.messageID]: a UUID, a dash and a number.
func ofPublisher(messageID string) bool {
	const dash = len("01234567-0123-0123-0123-0123456789ab")
	return len(messageID) > dash+1 && messageID[dash] == '-' && uuid.Validate(messageID[:dash]) == nil
}

// attempts counts the earlier deliveries: quorum queues tell, classic ones say only whether there was one.
func attempts(headers map[string]any, redelivered bool) int {
	if n, ok := headers[deliveryCountHeader].(int64); ok && n > 0 {
		return int(n)
	}
	if redelivered {
		return 1
	}
	return 0
}
