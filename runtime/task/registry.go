package task

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Registry holds the tasks that a worker can run, by name. Generated
// RegisterTasks functions fill it. It is not safe for concurrent changes; a worker only reads it.
type Registry struct {
	entries map[string]*Entry
	problem error
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry { return &Registry{entries: map[string]*Entry{}} }

// Lookup finds a task by its registered name.
func (r *Registry) Lookup(name string) (*Entry, bool) {
	e, ok := r.entries[name]
	return e, ok
}

// Entries are all tasks, sorted by name.
func (r *Registry) Entries() []*Entry {
	out := make([]*Entry, 0, len(r.entries))
	for _, e := range r.entries {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *Entry) int { return strings.Compare(a.spec.Name, b.spec.Name) })
	return out
}

// AddBuiltIn makes a task known that comes with the runtime, unless there is one of its name. Workers
// don't consume from a queue for its sake.
func (r *Registry) AddBuiltIn(e *Entry) {
	if _, exists := r.entries[e.spec.Name]; exists {
		return
	}
	own := *e
	own.builtIn = true
	r.add(&own)
}

// Queues are the queues that the tasks are sent to, sorted; but those that differ from call
// to call, and those of built-in tasks.
func (r *Registry) Queues() []string {
	var out []string
	for _, e := range r.entries {
		if queue := e.spec.queue(); !e.builtIn && !perCall(queue) {
			out = append(out, queue)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Err tells what is wrong with the registered tasks: names used twice, bad specs.
func (r *Registry) Err() error { return r.problem }

func (r *Registry) add(e *Entry) {
	if _, exists := r.entries[e.spec.Name]; exists {
		r.problem = errors.Join(r.problem, fmt.Errorf("task %q is registered twice", e.spec.Name))
		return
	}
	r.problem = errors.Join(r.problem, e.spec.validate())
	for _, h := range e.hooks {
		if h.problem != nil {
			r.problem = errors.Join(r.problem, fmt.Errorf("task %q: %w", e.spec.Name, h.problem))
		}
	}
	if e.spec.Exchange != "" {
		b := Binding{Exchange: e.spec.Exchange, Type: e.spec.ExchangeType}
		r.problem = errors.Join(r.problem, r.checkExchange(b, "task "+e.spec.Name))
	}
	r.entries[e.spec.Name] = e
}

// checkExchange refuses that whose gives an exchange another type than a task does.
func (r *Registry) checkExchange(b Binding, whose string) error {
	for _, e := range r.Entries() {
		if e.spec.Exchange == b.Exchange && or(e.spec.ExchangeType, Direct) != or(b.Type, Direct) {
			return fmt.Errorf("exchange %q is %s for task %s and %s for %s: it can have one type only", b.Exchange, or(e.spec.ExchangeType, Direct), e.Name(), or(b.Type, Direct), whose)
		}
	}
	return nil
}

// Entry is one registered task, without its types.
type Entry struct {
	spec    *Spec
	prepare func() invocation
	hooks   []Hooks
	call    func(ctx context.Context, arguments []byte, options []Option) (UntypedCall, error)
	calls   func(ctx context.Context, id string) (UntypedCall, error)
	// signature is what Signature returns.
	signature string
	builtIn   bool
}

// Name is the registered name.
func (e *Entry) Name() string { return e.spec.Name }

// BuiltIn says that the task comes with the runtime ([Registry.AddBuiltIn]).
func (e *Entry) BuiltIn() bool { return e.builtIn }

// Queue is the queue that the task is sent to, with a {param} where that differs from call to call.
func (e *Entry) Queue() string { return e.spec.queue() }

// Spec is what the task's directives say.
func (e *Entry) Spec() Spec { return *e.spec }

// Signature is the task's arguments and result, as "(username string) int64".
func (e *Entry) Signature() string { return e.signature }

// Call sends the task with arguments in JSON: a list, or a map by name.
func (e *Entry) Call(ctx context.Context, arguments []byte, options ...Option) (UntypedCall, error) {
	return e.call(ctx, arguments, options)
}

// Run runs the task inside of another one, at once, with arguments in JSON, and returns its
// result as JSON. It is one run in the other's name, with the other's id: a retry that
// the task asks for is an error with which the other asks for its own, after this task's delay.
func (e *Entry) Run(ctx context.Context, arguments []byte) (json.RawMessage, error) {
	i := e.prepare()
	if err := decodeJSON(arguments, i.visit); err != nil {
		return nil, Permanent(fmt.Errorf("%s%s: %w", e.Name(), e.signature, err))
	}
	if err := i.run(as(ctx, e.Name())); err != nil {
		if retry, ok := errors.AsType[*retryError](err); ok {
			delay := In(retryDelay(e.spec, InfoFrom(ctx).Retries, rand.Float64()))
			return nil, &retryError{cause: retry.cause, options: append([]Option{delay}, retry.options...)}
		}
		return nil, err
	}
	return codec.JSONText(i.result)
}

// CallByID returns the call with that id, made by any process.
func (e *Entry) CallByID(ctx context.Context, id string) (UntypedCall, error) {
	return e.calls(ctx, id)
}

// UntypedCall is a [Call] whose result is JSON text.
type UntypedCall struct {
	ID string
	// Destination is the queue, or exchange and routing key, that it was sent to, for people. "" for a call by id.
	Destination string
	// Get waits for the result, as Call.Get does.
	Get func(ctx context.Context) ([]byte, error)
	// Status asks for the state, as Call.Status does.
	Status func(ctx context.Context) (Status, error)
}

// invocation is one run of a task: its arguments, and then its result.
type invocation interface {
	visit(codec.Fields)
	run(ctx context.Context) error
	result(codec.Value)
	// describe tells hooks of the arguments and the result.
	describe(*Attempt)
}

type typedInvocation[A, R any] struct {
	def      *definition[A, R]
	function func(context.Context, *A) (R, error)
	args     A
	value    R
}

func (i *typedInvocation[A, R]) visit(f codec.Fields) { i.def.visit(&i.args, f) }

func (i *typedInvocation[A, R]) run(ctx context.Context) (err error) {
	i.value, err = i.function(ctx, &i.args)
	return err
}

func (i *typedInvocation[A, R]) result(v codec.Value) { i.def.result(v, &i.value) }

func (i *typedInvocation[A, R]) describe(a *Attempt) {
	a.Args = &i.args
	if a.State == Success {
		a.Result = i.value
	}
}

// Handle registers the function that runs the task, and what is called afterwards. Problems,
// such as a second task of the same name, are told by [Registry.Err] and [NewWorker].
func (t Task[A, R]) Handle(r *Registry, function func(context.Context, *A) (R, error), hooks ...Hooks) {
	var args A
	var value R
	signature := t.def.spec.Signature
	if signature == "" {
		signature = "(" + codec.Signature(func(f codec.Fields) { t.def.visit(&args, f) }) + ")"
		if result := resultSignature(func(f codec.Fields) { t.def.result(f.Field(""), &value) }, any(value)); result != "" {
			signature += " " + result
		}
	}
	r.add(&Entry{
		spec:      &t.def.spec,
		prepare:   func() invocation { return &typedInvocation[A, R]{def: t.def, function: function} },
		signature: signature,
		hooks:     hooks,
		call: func(ctx context.Context, arguments []byte, options []Option) (UntypedCall, error) {
			args, err := t.fromJSON(arguments)
			if err != nil {
				return UntypedCall{}, fmt.Errorf("task %s: %w", t.Name(), err)
			}
			c, err := t.With(options...).Send(ctx, args)
			if err != nil {
				return UntypedCall{}, err
			}
			return c.untyped(), nil
		},
		calls: func(ctx context.Context, id string) (UntypedCall, error) {
			c, err := t.CallByID(ctx, id)
			if err != nil {
				return UntypedCall{}, err
			}
			return c.untyped(), nil
		},
	})
}

// resultSignature is the type of a result, "" for None.
func resultSignature(visit func(codec.Fields), value any) string {
	if _, none := value.(None); none {
		return ""
	}
	return strings.TrimSpace(codec.Signature(visit))
}

// fromJSON reads arguments given as a JSON list or map.
func (t Task[A, R]) fromJSON(arguments []byte) (*A, error) {
	args := new(A)
	return args, decodeJSON(arguments, func(f codec.Fields) { t.def.visit(args, f) })
}

// decodeJSON reads arguments given as a JSON list or map, or none.
func decodeJSON(arguments []byte, visit func(codec.Fields)) error {
	body := []byte("[[], {}, {}]")
	text := strings.TrimSpace(string(arguments))
	if text != "" && !json.Valid([]byte(text)) {
		return fmt.Errorf("the arguments are not valid JSON: %w", json.Unmarshal([]byte(text), new(any)))
	}
	switch {
	case strings.HasPrefix(text, "["):
		body = []byte("[" + text + ", {}, {}]")
	case strings.HasPrefix(text, "{"):
		body = []byte("[[], " + text + ", {}]")
	case text != "":
		return errors.New(`want the arguments as a JSON list, such as ["ada", 1], or by name, such as {"username": "ada"}`)
	}
	serializer, _ := codec.ByName("json")
	_, err := serializer.DecodeCall(body, visit)
	return err
}

// untyped returns the call with its result as JSON.
func (c *Call[R]) untyped() UntypedCall {
	return UntypedCall{
		ID: c.ID, Destination: c.destination.String(),
		Get: func(ctx context.Context) ([]byte, error) {
			value, err := c.Get(ctx)
			if err != nil {
				return nil, err
			}
			return codec.JSONText(func(v codec.Value) { c.result(v, &value) })
		},
		Status: c.Status,
	}
}
