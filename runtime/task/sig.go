package task

import (
	"context"
	"fmt"
	"slices"
)

// Sig is a call that has not been sent, with a result of type R: a task with all its arguments, or several
// put together by [Chain], [Group] and [Chord]. (Celery: a signature.) The method Sig of a generated task makes one.
type Sig[R any] struct {
	plan *plan
	// open finds the call of the frozen signature whose result it is.
	open func(*Client, *signature) *Call[R]
}

// Step is a call that lacks its first argument, of type In: the result of the task before it. The method
// Step of a generated task makes one.
type Step[In, R any] struct{ sig Sig[R] }

// Sig returns the call with these arguments. Generated tasks have a method of this name with plain parameters.
func (t Task[A, R]) Sig(args *A) Sig[R] {
	return Sig[R]{plan: t.plan(func(f fields) { t.def.visit(args, f) }), open: t.open}
}

// NewStep returns the call with these arguments but the first, which comes with the result before it. It is for generated code;
// any value of the first one's type tells In.
func NewStep[In, A, R any](t Task[A, R], args *A, _ In) Step[In, R] {
	return Step[In, R]{Sig[R]{plan: t.plan(allButFirst(func(f fields) { t.def.visit(args, f) })), open: t.open}}
}

// Ignore makes a step of a call that has all its arguments: it runs when its turn comes, whatever the result before
// it. (Celery: an immutable signature.)
func Ignore[In, R any](s Sig[R]) Step[In, R] {
	own := *s.plan
	own.immutable = true
	return Step[In, R]{Sig[R]{plan: &own, open: s.open}}
}

// With returns the call with more options. Those that a chain, group or chord can have are Link and LinkError.
func (s Sig[R]) With(options ...Option) Sig[R] {
	own := *s.plan
	own.options = append(slices.Clip(own.options), options...)
	return Sig[R]{plan: &own, open: s.open}
}

// With returns the step with more options, as [Sig.With] does.
func (s Step[In, R]) With(options ...Option) Step[In, R] { return Step[In, R]{s.sig.With(options...)} }

// Delay sends the call; a nil error means that the broker has it. If only some tasks of a group could be
// sent the error is a [*BatchError], and the call is that of the whole.
//
// [Immediate] has no effect here.
func (s Sig[R]) Delay(ctx context.Context) (*Call[R], error) {
	client, err := clientFor(ctx, s.plan.name)
	if err != nil {
		return nil, err
	}
	b, err := client.begin(ctx, s.plan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.plan.name, err)
	}
	whole, err := b.whole(s.plan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.plan.name, err)
	}
	if err := b.publish(ctx, s.plan.name); err != nil {
		if _, some := err.(*BatchError); !some { //nolint:errorlint // made there
			return nil, err
		}
		return s.open(client, whole.end()), err
	}
	return s.open(client, whole.end()), nil
}

// open is the call of a signature of the task.
func (t Task[A, R]) open(c *Client, s *signature) *Call[R] {
	ignored, _ := s.delivery.headers["ignore_result"].(bool)
	return &Call[R]{ID: s.id, task: s.task, client: c, result: t.def.result, ignored: ignored}
}
