package task

import (
	"context"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Func is a task made by [New], without the generator.
type Func[A, R any] struct {
	Task[FuncArgs[A], R]
	function func(context.Context, A) (R, error)
}

// FuncArgs are the arguments of a [Func].
type FuncArgs[A any] struct{ Value A }

// Visit visits the arguments.
func (a *FuncArgs[A]) Visit(f codec.Fields) { codec.PlainFields(f, &a.Value) }

// New makes a task of a function that can't have directives, since it is another's, or a closure:
//
//	var Upper = task.New("text.upper", func(_ context.Context, s string) (string, error) {
//		return strings.ToUpper(s), nil
//	})
//
// If A is a struct, its exported fields are the task's arguments, by the names of their json tags; else
// there is one argument, called "value". R may be [None]. Both can be all that can travel
// (docs/directives.md); they are visited by reflection. A spec gives the options; its Name is
// set to name. Mistakes are told by [Registry.Err] and by the first call.
func New[A, R any](name string, function func(context.Context, A) (R, error), spec ...Spec) Func[A, R] {
	var s Spec
	if len(spec) > 0 {
		s = spec[0]
	}
	s.Name = name
	return Func[A, R]{Task: Define[FuncArgs[A]](s, codec.Plain[R]), function: function}
}

// Register makes the task known to a worker's registry, with hooks if it has some.
func (f Func[A, R]) Register(r *Registry, hooks ...Hooks) {
	f.Handle(r, func(ctx context.Context, a *FuncArgs[A]) (R, error) { return f.function(ctx, a.Value) }, hooks...)
}

// Delay sends the task; a nil error means that the broker has it.
func (f Func[A, R]) Delay(ctx context.Context, args A) (*Call[R], error) {
	return f.Send(ctx, &FuncArgs[A]{args})
}

// DelayMany sends one task for each element of args, as [Task.DelayMany] does.
func (f Func[A, R]) DelayMany(ctx context.Context, args []A) ([]*Call[R], error) {
	return f.Task.DelayMany(ctx, wrap(args))
}

// Sig is the call, not sent: for [Chain], [Group] and [Chord]. [NewStep] makes one that lacks the first argument.
func (f Func[A, R]) Sig(args A) Sig[R] { return f.Task.Sig(&FuncArgs[A]{args}) }

// Map runs the task on each element of args in one run, as [Task.Map] does.
func (f Func[A, R]) Map(ctx context.Context, args []A) (*Call[[]R], error) {
	return f.Task.Map(ctx, wrap(args))
}

// With returns the task with other options for the next call.
func (f Func[A, R]) With(options ...Option) Func[A, R] {
	f.Task = f.Task.With(options...)
	return f
}

// Retry returns the error with which the running task asks to run again with these
// arguments; cause is what went wrong.
func (f Func[A, R]) Retry(ctx context.Context, cause error, args A) error {
	return f.Again(ctx, cause, &FuncArgs[A]{args})
}

func wrap[A any](args []A) []FuncArgs[A] {
	out := make([]FuncArgs[A], len(args))
	for i, a := range args {
		out[i].Value = a
	}
	return out
}
