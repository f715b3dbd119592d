package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Limits on what is sent and what is read.
const (
	// DefaultMaxBody bounds a message body on the wire, in bytes.
	DefaultMaxBody = 16 << 20
	// DefaultMaxDecompressed bounds a body after decompression, in bytes.
	DefaultMaxDecompressed = 64 << 20
	// DefaultMaxResult bounds the message of a result, in bytes.
	DefaultMaxResult = 16 << 20
)

// timeFormat is how Celery writes times: at most six digits of fraction, which
// is all that Celery 5.2 reads, and an offset rather than Z.
const timeFormat = "2006-01-02T15:04:05.000000-07:00"

// message builds the message of a call: Celery's protocol 2, with no header that
// a Celery worker can do without.
func (c *Client) message(ctx context.Context, o *callOptions, visit func(codec.Fields)) (*Message, error) {
	if err := checkName(o.spec.Name); err != nil {
		return nil, fmt.Errorf("the name of the task: %w", err)
	}
	name := or(o.serializer, or(c.config.Serializer, DefaultSerializer))
	serializer, ok := codec.ByName(name)
	if !ok {
		return nil, fmt.Errorf("serializer %q is not registered (registered: %s)", name, strings.Join(codec.Names(), ", "))
	}
	follows, err := c.embed(o, serializer)
	if err != nil {
		return nil, err
	}
	body, err := encodeCall(serializer, o.spec, visit, follows)
	if err != nil {
		return nil, fmt.Errorf("encoding the arguments as %s: %w", name, err)
	}
	id := o.id
	if id == "" {
		unique, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("making a task id: %w", err)
		}
		id = unique.String()
	}
	var boxed any = id // once, for both
	headers := map[string]any{
		"lang":    "go",
		"task":    o.spec.Name,
		"id":      boxed,
		"root_id": boxed,
		"retries": int32(0),
		"origin":  c.config.Origin,
	}
	if run := runningFrom(ctx); run != nil {
		info := run.info()
		headers["root_id"], headers["parent_id"] = info.RootID, info.ID
	}
	m := &Message{
		ID:              id,
		Task:            o.spec.Name,
		ContentType:     serializer.ContentType(),
		ContentEncoding: serializer.ContentEncoding(),
		ReplyTo:         c.transport.ReplyTo(),
		Headers:         headers,
	}
	if o.ignoreResult || o.spec.IgnoreResult {
		headers["ignore_result"] = o.ignoreResult
	}
	if o.timeout > 0 {
		headers["timelimit"] = []any{o.timeout.Seconds(), nil}
	}
	if c.config.ShowArguments {
		headers["argsrepr"], headers["kwargsrepr"] = shownArguments(o.spec, visit)
	}
	if c.config.SendEvents {
		m.shown = codec.Repr(visit, o.spec.Secret, maxRepr)
	}
	if err := o.route(m, visit, time.Now()); err != nil {
		return nil, err
	}
	if err := o.setImmediate(c, m); err != nil {
		return nil, err
	}
	if err := addHeaders(headers, o.headers); err != nil {
		return nil, err
	}
	if m.Body, err = compress(or(o.compression, c.config.Compression), body, headers); err != nil {
		return nil, err
	}
	if len(m.Body) > c.config.MaxBody {
		return nil, fmt.Errorf("the message has %d bytes, more than the limit of %d: pass a reference instead, or raise ClientConfig.MaxBody and WorkerConfig.MaxBody", len(m.Body), c.config.MaxBody)
	}
	return m, nil
}

// encodeCall writes the body of a call: arguments by name, unless the task's function takes them by position.
func encodeCall(serializer codec.Serializer, spec *Spec, visit func(codec.Fields), embed []byte) ([]byte, error) {
	if !spec.Positional {
		return serializer.EncodeCall(visit, embed)
	}
	positional, ok := serializer.(codec.PositionalEncoder)
	if !ok {
		return nil, errors.New("the task takes its arguments by position, which this serializer can't write: use another one, or let it have the method EncodePositional")
	}
	return positional.EncodePositional(visit, embed)
}

// shownArguments are the headers argsrepr and kwargsrepr.
func shownArguments(spec *Spec, visit func(codec.Fields)) (args, kwargs string) {
	if spec.Positional {
		return codec.ReprArgs(visit, spec.Secret, maxRepr), "{}"
	}
	return "()", codec.Repr(visit, spec.Secret, maxRepr)
}

// addHeaders adds those that a caller has chosen.
func addHeaders(headers, own map[string]any) error {
	if len(own) == 0 {
		return nil
	}
	for name := range own {
		if err := checkName(name); err != nil {
			return fmt.Errorf("the name of a header: %w", err)
		}
	}
	maps.Copy(headers, own)
	return checkHeaders(headers)
}

// maxRepr is where Celery cuts the text of arguments.
const maxRepr = 1024

// route sets what the options say of destination and time.
func (o *callOptions) route(m *Message, visit func(codec.Fields), now time.Time) error {
	m.Queue, m.Mandatory, m.Foreign = o.queue, o.mandatory, o.spec.Extern
	m.Priority, m.Prioritized = o.wirePriority(), o.priority != nil
	key, err := expandRoutingKey(o.routingKey, visit)
	switch {
	case err != nil:
		return err
	case o.exchange != "":
		m.Exchange, m.ExchangeType, m.RoutingKey = o.exchange, o.exchangeType, or(key, o.queue)
		// A key that was chosen for this call is nothing that the task's queue is for.
		m.Bind = o.routingKey == o.spec.RoutingKey && !perCall(o.routingKey)
		if err := checkName(o.exchange); err != nil {
			return fmt.Errorf("exchange: %w", err)
		}
		if err := checkName(m.RoutingKey); err != nil {
			return fmt.Errorf("routing key: %w", err)
		}
	case o.routingKey != "":
		if err := checkQueueName(key); err != nil {
			return fmt.Errorf("routing key without an exchange: %w", err)
		}
		m.Queue = key
	default:
		if err := checkQueueName(m.Queue); err != nil {
			return err
		}
	}
	delete(m.Headers, "eta")
	if m.ETA = o.due(now); !m.ETA.IsZero() {
		if err := checkYear(m.ETA.Year()); err != nil {
			return fmt.Errorf("task.At(%s): %w", m.ETA, err)
		}
		m.Headers["eta"] = m.ETA.Format(timeFormat)
	}
	if !o.expires.IsZero() {
		if err := checkYear(o.expires.Year()); err != nil {
			return fmt.Errorf("task.ExpiresAt(%s): %w", o.expires, err)
		}
		m.Headers["expires"] = o.expires.Format(timeFormat)
	}
	return nil
}

// setImmediate makes the message immediate, if that is asked for and possible.
func (o *callOptions) setImmediate(c *Client, m *Message) error {
	_, eager := c.transport.(*eagerTransport)
	switch {
	case !o.immediate || eager:
		return nil
	case m.Exchange != "":
		return errors.New("an immediate task can't go through an exchange: it goes to a worker of one queue")
	case !m.ETA.IsZero():
		return errors.New("an immediate task can't be for later: leave out In and At, or add task.Immediate(false)")
	}
	m.immediate = true
	return nil
}

// expandRoutingKey replaces each {param} by that argument.
func expandRoutingKey(key string, visit func(codec.Fields)) (string, error) {
	var out strings.Builder
	for rest := key; ; {
		before, after, found := strings.Cut(rest, "{")
		out.WriteString(before)
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("routing key %q: { without }", key)
		}
		value, ok := codec.Lookup(visit, name)
		if !ok {
			return "", fmt.Errorf("routing key %q: {%s} is not an argument with a text, a number or a boolean", key, name)
		}
		if value == "" {
			return "", fmt.Errorf("routing key %q: the argument %s is empty", key, name)
		}
		out.WriteString(value)
		rest = tail
	}
	if out.Len() > maxName {
		return "", fmt.Errorf("the routing key has more than %d bytes", maxName)
	}
	return out.String(), nil
}

// compress compresses a body, and says so in the headers.
func compress(name string, body []byte, headers map[string]any) ([]byte, error) {
	if name == "" {
		return body, nil
	}
	out, header, err := codec.Compress(name, body)
	if err != nil {
		return nil, fmt.Errorf("compressing the body with %s: %w", name, err)
	}
	headers["compression"] = header
	return out, nil
}
