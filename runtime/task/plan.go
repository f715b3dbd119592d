package task

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// plan makes the signature of a [Sig] when it is sent.
type plan struct {
	// name is the task's, or what the plan is, for people.
	name    string
	options []Option
	// immutable says that no result comes in front of the arguments.
	immutable bool
	// serializer names that of the message that goes first.
	serializer func(*Client, []Option) (string, error)
	build      func(*builder, *plan) (*signature, error)
}

type fields = codec.Fields

func allButFirst(visit func(fields)) func(fields) { return codec.Rest(visit) }

// builder makes the signatures of one sending.
type builder struct {
	client *Client
	canvas canvas
	specs  map[string]*Spec
}

// begin makes a builder for what is sent with a plan.
func (c *Client) begin(ctx context.Context, p *plan) (*builder, error) {
	name, err := p.serializer(c, p.options)
	if err != nil {
		return nil, err
	}
	s, ok := codec.ByName(name)
	if !ok {
		return nil, fmt.Errorf("serializer %q is not registered", name)
	}
	b := c.builder(s)
	if run := runningFrom(ctx); run != nil {
		info := run.info()
		b.canvas.root, b.canvas.parent = info.RootID, info.ID
	}
	return b, nil
}

func (c *Client) builder(s codec.Serializer) *builder {
	b := &builder{client: c, specs: map[string]*Spec{}}
	b.canvas = canvas{
		serializer: s, lookup: func(name string) *Spec { return b.specs[name] }, origin: c.config.Origin, queue: DefaultQueue,
		maxBody: c.config.MaxBody, now: time.Now(),
	}
	return b
}

// make makes the signature of a plan.
func (b *builder) make(p *plan) (*signature, error) {
	s, err := p.build(b, p)
	if err == nil && p.immutable {
		s.freezeArguments()
	}
	return s, err
}

// freezeArguments makes what would get the result immutable. (Celery: set_immutable.)
func (s *signature) freezeArguments() {
	switch s.kind {
	case kindGroup:
		for _, member := range s.tasks {
			member.freezeArguments()
		}
	case kindChain:
		s.tasks[0].freezeArguments()
	case kindChord:
		s.header.freezeArguments()
	default:
		s.immutable = true
	}
}

// whole makes the signature of all that is sent, and its messages.
func (b *builder) whole(p *plan) (*signature, error) {
	s, err := b.make(p)
	if err == nil {
		err = b.canvas.send(s)
	}
	if err == nil && len(b.canvas.starts) > 0 {
		if _, ok := b.client.transport.(ChordStore); !ok {
			err = errNoChords(b.client.transport)
		}
	}
	return s, err
}

// publish sends the messages.
func (b *builder) publish(ctx context.Context, name string) error {
	c := &b.canvas
	if len(c.messages) == 0 {
		return nil
	}
	if store, ok := b.client.transport.(ChordStore); ok {
		if err := startChords(ctx, store, c.starts); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	errs := b.client.transport.PublishMany(ctx, c.messages)
	switch err := errors.Join(errs...); {
	case err == nil:
		note(ctx, c.children...)
		return nil
	case len(errs) == 1:
		return fmt.Errorf("sending task %s to %s: %w", c.messages[0].Task, c.messages[0].destination(), errs[0])
	}
	return &BatchError{Task: name, Errors: errs}
}

// plan is that of one call of the task.
func (t Task[A, R]) plan(visit func(fields)) *plan {
	spec := &t.def.spec
	return &plan{
		name: "task " + spec.Name, options: t.options,
		serializer: func(c *Client, options []Option) (string, error) {
			o, err := newCallOptions(spec, options)
			return o.serializerOf(c), err
		},
		build: func(b *builder, p *plan) (*signature, error) {
			o, err := newCallOptions(spec, p.options)
			if err == nil {
				err = o.checkLinks(reflect.TypeFor[R]())
			}
			if err != nil {
				return nil, err
			}
			s, err := b.call(o, visit)
			if err != nil {
				return nil, fmt.Errorf("task %s: %w", spec.Name, err)
			}
			return s, nil
		},
	}
}

func (o *callOptions) serializerOf(c *Client) string {
	return or(o.serializer, or(c.config.Serializer, DefaultSerializer))
}

// call makes the signature of a call.
func (b *builder) call(o *callOptions, visit func(fields)) (*signature, error) {
	if err := checkName(o.spec.Name); err != nil {
		return nil, fmt.Errorf("the name of the task: %w", err)
	}
	s := &signature{task: o.spec.Name, id: o.id, replyTo: b.client.transport.ReplyTo(), index: noIndex}
	b.specs[s.task] = o.spec
	name, first := o.serializerOf(b.client), b.canvas.serializer
	if name != first.Name() && (name == gob || first.Name() == gob) {
		return nil, fmt.Errorf("it is sent as %s, and what it is sent with as %s: give both one serializer, as task.UseSerializer does", name, first.Name())
	}
	arguments, err := first.EncodeMap(visit)
	if err == nil {
		err = first.DecodeValue(arguments, func(v codec.Value) { s.kwargs = rawMap(v) })
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the arguments as %s: %w", first.Name(), err)
	}
	options, err := b.options(o, name, visit)
	if err != nil {
		return nil, err
	}
	r := &signatureReader{serializer: first}
	for _, option := range options {
		raw, err := first.EncodeValue(func(v codec.Value) { codec.WriteTree(v, option.value) })
		if err == nil {
			err = r.plain(s, field{option.name, raw})
		}
		if err != nil {
			return nil, fmt.Errorf("option %s: %w", option.name, err)
		}
	}
	return s, b.link(s, o)
}

type option struct {
	name  string
	value any
}

// options are those of Celery's apply_async that say the same.
func (b *builder) options(o *callOptions, serializer string, visit func(fields)) (out []option, err error) {
	set := func(when bool, name string, value any) {
		if when {
			out = append(out, option{name, value})
		}
	}
	at := &Message{Headers: map[string]any{}}
	if err := o.route(at, visit, b.canvas.now); err != nil {
		return nil, err
	}
	if at.Exchange != "" {
		set(true, "exchange", at.Exchange)
		set(at.ExchangeType != "", "exchange_type", at.ExchangeType)
		set(true, "routing_key", at.RoutingKey)
	} else {
		set(true, "queue", at.Queue)
	}
	if o.countdown != nil {
		set(*o.countdown > 0, "countdown", o.countdown.Seconds())
	} else {
		set(!o.eta.IsZero(), "eta", at.Headers["eta"])
	}
	set(!o.expires.IsZero(), "expires", at.Headers["expires"])
	set(o.priority != nil, "priority", int64(o.wirePriority()))
	set(o.timeout > 0, "time_limit", o.timeout.Seconds())
	set(o.ignoreResult || o.spec.IgnoreResult, "ignore_result", o.ignoreResult)
	set(serializer != b.canvas.serializer.Name(), "serializer", serializer)
	compression := or(o.compression, b.client.config.Compression)
	set(compression != "", "compression", compression)
	if len(o.headers) > 0 {
		headers := map[string]any{}
		if err := addHeaders(headers, o.headers); err != nil {
			return nil, err
		}
		set(true, "headers", treeOf(headers))
	}
	return out, nil
}

// treeOf is the tree of headers, whose numbers are of other types.
func treeOf(value any) any {
	switch v := value.(type) {
	case int32:
		return int64(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = treeOf(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = treeOf(v[name])
		}
		return out
	}
	return value
}
