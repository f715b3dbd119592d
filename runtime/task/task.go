package task

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/taskgen/taskgen/runtime/codec"
)

// None is the result of a task that has none.
type None = struct{}

// Task is a defined task with its types: A are the arguments, R the result.
// Generated stubs embed it and add the methods that take plain parameters.
type Task[A, R any] struct {
	def     *definition[A, R]
	options []Option
}

type definition[A, R any] struct {
	spec   Spec
	visit  func(*A, codec.Fields)
	result func(codec.Value, *R)
}

// Define makes a task. Generated code calls it; result visits the result, as in
// [codec.Int] or [codec.Nothing].
func Define[A, R any, P interface {
	*A
	Visit(codec.Fields)
}](spec Spec, result func(codec.Value, *R)) Task[A, R] {
	return Task[A, R]{def: &definition[A, R]{
		spec:   spec,
		visit:  func(a *A, f codec.Fields) { P(a).Visit(f) },
		result: result,
	}}
}

// Name is the registered name.
func (t Task[A, R]) Name() string { return t.def.spec.Name }

// Spec is what the task's directives say.
func (t Task[A, R]) Spec() Spec { return t.def.spec }

// With returns the task with more options for its calls.
func (t Task[A, R]) With(options ...Option) Task[A, R] {
	t.options = append(slices.Clip(t.options), options...)
	return t
}

// Send sends the task with the client of ctx. A nil error means that the broker
// has it on disk, in a queue; the errors are those of [Transport.Publish].
func (t Task[A, R]) Send(ctx context.Context, args *A) (*Call[R], error) {
	client, err := clientFor(ctx, t.def.spec.Name)
	if err != nil {
		return nil, err
	}
	o, err := t.callOptions()
	if err != nil {
		return nil, err
	}
	m, err := t.message(ctx, client, o, args)
	if err != nil {
		return nil, err
	}
	if err := client.publish(ctx, m); err != nil {
		return nil, fmt.Errorf("sending task %s to %s: %w", t.def.spec.Name, m.destination(), err)
	}
	return t.call(client, m), nil
}

// DelayMany sends one task for each element of args, pipelined: far faster than
// a loop of Delay. If some can't be sent the error is a [*BatchError], and
// their calls are nil.
func (t Task[A, R]) DelayMany(ctx context.Context, args []A) ([]*Call[R], error) {
	client, err := clientFor(ctx, t.def.spec.Name)
	if err != nil || len(args) == 0 {
		return nil, err
	}
	o, err := t.callOptions()
	if err != nil {
		return nil, err
	}
	messages := make([]*Message, len(args))
	for i := range args {
		if messages[i], err = t.message(ctx, client, o, &args[i]); err != nil {
			return nil, fmt.Errorf("element %d, nothing sent: %w", i, err)
		}
	}
	failed := client.publishMany(ctx, messages)
	calls := make([]*Call[R], len(args))
	for i, m := range messages {
		if failed == nil || failed[i] == nil {
			calls[i] = t.call(client, m)
		}
	}
	if failed != nil {
		return calls, &BatchError{Task: t.def.spec.Name, Errors: failed}
	}
	return calls, nil
}

// Again is the error with which a running task asks to run again with these
// arguments, after the task's retry delay or [In]. The cause, which may be nil, is
// what callers see meanwhile, and in the end if the retries are used up.
func (t Task[A, R]) Again(ctx context.Context, cause error, args *A) error {
	run := runningFrom(ctx)
	if run == nil {
		return errors.Join(fmt.Errorf("task %s: Retry called outside of a running task", t.def.spec.Name), cause)
	}
	if name := run.info().Name; name != t.def.spec.Name {
		return errors.Join(fmt.Errorf("task %s: Retry called by task %s: a task can only retry itself; use Delay to start another", t.def.spec.Name, name), cause)
	}
	return &retryError{cause: cause, options: t.options, visit: func(f codec.Fields) { t.def.visit(args, f) }}
}

// CallByID returns the call with that id, made by any process, for its status
// and result.
func (t Task[A, R]) CallByID(ctx context.Context, id string) (*Call[R], error) {
	client, err := clientFor(ctx, t.def.spec.Name)
	if err != nil {
		return nil, err
	}
	return &Call[R]{ID: id, task: t.def.spec.Name, client: client, result: t.def.result}, nil
}

func (t Task[A, R]) callOptions() (*callOptions, error) {
	o, err := newCallOptions(&t.def.spec, t.options)
	if err == nil {
		err = o.checkLinks(reflect.TypeFor[R]())
	}
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", t.def.spec.Name, err)
	}
	return o, nil
}

func (t Task[A, R]) message(ctx context.Context, client *Client, o *callOptions, args *A) (*Message, error) {
	m, err := client.message(ctx, o, func(f codec.Fields) { t.def.visit(args, f) })
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", t.def.spec.Name, err)
	}
	return m, nil
}

func (t Task[A, R]) call(client *Client, m *Message) *Call[R] {
	ignored, _ := m.Headers["ignore_result"].(bool)
	return &Call[R]{ID: m.ID, task: m.Task, client: client, result: t.def.result, ignored: ignored, destination: m.destination()}
}

// BatchError says which elements of a DelayMany were not sent.
type BatchError struct {
	Task string
	// Errors has one entry for each element, nil where it was sent.
	Errors []error
}

func (e *BatchError) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e.Errors {
		if err != nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	return fmt.Sprintf("task %s: %d of %d not sent, the first: %v", e.Task, failed, len(e.Errors), first)
}

// Unwrap returns the errors that are not nil.
func (e *BatchError) Unwrap() []error {
	var out []error
	for _, err := range e.Errors {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
