package task

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Hooks are called in the worker when a run has ended, before its message is
// settled, in the slot of the run: a hook that takes long keeps the next task waiting. Their context
// is the worker's with the run's [Info], [LoggerFrom] and client. A panic in a hook is logged; neither it nor
// anything else that a hook does changes how the run ends. A nil hook is left out.
//
// They are Celery's handlers (on_success, on_failure, on_retry, after_return). A run that the shutdown
// interrupts has not ended.
type Hooks struct {
	// OnSuccess: the run returned no error.
	OnSuccess func(context.Context, *Attempt)
	// OnRetry: there will be another attempt.
	OnRetry func(context.Context, *Attempt)
	// OnFailure: there will be none, or the arguments were wrong.
	OnFailure func(context.Context, *Attempt)
	// AfterReturn is called last, whatever the state.
	AfterReturn func(context.Context, *Attempt)

	problem error
}

// A struct whose methods are tasks has hooks for them by having these methods, its own or those of a
// struct that it embeds.
type (
	// SuccessHook has a method that becomes [Hooks.OnSuccess].
	SuccessHook interface {
		OnSuccess(ctx context.Context, a *Attempt)
	}
	// RetryHook has one that becomes [Hooks.OnRetry].
	RetryHook interface {
		OnRetry(ctx context.Context, a *Attempt)
	}
	// FailureHook has one that becomes [Hooks.OnFailure].
	FailureHook interface {
		OnFailure(ctx context.Context, a *Attempt)
	}
	// ReturnHook has one that becomes [Hooks.AfterReturn].
	ReturnHook interface {
		AfterReturn(ctx context.Context, a *Attempt)
	}
)

// HooksOf returns the hooks that v has as methods. A method with the name of a hook
// and another signature is an error of the registry that the hooks are used in.
func HooksOf(v any) Hooks {
	var h Hooks
	if hook, ok := v.(SuccessHook); ok {
		h.OnSuccess = hook.OnSuccess
	}
	if hook, ok := v.(RetryHook); ok {
		h.OnRetry = hook.OnRetry
	}
	if hook, ok := v.(FailureHook); ok {
		h.OnFailure = hook.OnFailure
	}
	if hook, ok := v.(ReturnHook); ok {
		h.AfterReturn = hook.AfterReturn
	}
	t := reflect.TypeOf(v)
	// The names are constants: else the linker would keep every method of the program.
	check := func(m reflect.Method, found bool) {
		if found && !isHook(m.Type) {
			h.problem = errors.Join(h.problem, fmt.Errorf("%s.%s is no hook: want %s(context.Context, *task.Attempt)", t, m.Name, m.Name))
		}
	}
	check(t.MethodByName("OnSuccess"))
	check(t.MethodByName("OnRetry"))
	check(t.MethodByName("OnFailure"))
	check(t.MethodByName("AfterReturn"))
	return h
}

// isHook says whether a method, its receiver included, has the signature of a hook.
func isHook(method reflect.Type) bool {
	return method.NumIn() == 3 && method.NumOut() == 0 && !method.IsVariadic() &&
		method.In(1) == reflect.TypeFor[context.Context]() && method.In(2) == reflect.TypeFor[*Attempt]()
}

// Attempt is one run of a task that has ended.
type Attempt struct {
	// Info is what the task knew of itself.
	Info Info
	// Spec is what the task's directives say.
	Spec Spec
	// State is Success, Failure or Retried.
	State State
	// Args points to the arguments, such as a *users.CreateUserArgs. nil if they can't be read.
	Args any
	// Result is what the task returned, nil unless State is Success. It is a
	// [None] if the task returns nothing.
	Result any
	// Err is why the run failed, nil after Success.
	Err error
	// Took is how long the run lasted.
	Took time.Duration
	// Delay is the wait before the next attempt, if State is Retried.
	Delay time.Duration

	invocation invocation
}

// Arguments shows the arguments as text, at most 1,024 characters, with the secret ones as ***.
func (a *Attempt) Arguments() string {
	if a.invocation == nil {
		return ""
	}
	return codec.Repr(a.invocation.visit, a.Spec.Secret, maxRepr)
}

// Traceback is the stack of a panic, or that of an error which has one; or else the
// errors that Err wraps, a line each. "" after Success.
func (a *Attempt) Traceback() string {
	if a.Err == nil {
		return ""
	}
	return traceback(a.Err)
}

// TaskError is Err as the caller of the task sees it: with the name of its type, and a
// text even if its Error method panics. nil after Success.
func (a *Attempt) TaskError() *TaskError {
	if a.Err == nil {
		return nil
	}
	e := describe(a.Err)
	e.Task, e.ID, e.State = a.Info.Name, a.Info.ID, a.State
	return e
}

// tells says whether anybody wants to know how a run has ended.
func (e *executor) tells(r *request) bool {
	return len(r.entry.hooks) > 0 || len(e.hooks) > 0 || e.stages.observer.Load() != nil
}

// ended calls the hooks of the task and those of the worker.
func (e *executor) ended(ctx context.Context, r *request, a *Attempt) {
	a.Info, a.Spec = InfoFrom(ctx), *r.entry.spec
	for _, hooks := range [][]Hooks{r.entry.hooks, e.hooks} {
		for i := range hooks {
			h := &hooks[i]
			switch a.State {
			case Success:
				e.hook(ctx, r, "OnSuccess", h.OnSuccess, a)
			case Retried:
				e.hook(ctx, r, "OnRetry", h.OnRetry, a)
			case Failure:
				e.hook(ctx, r, "OnFailure", h.OnFailure, a)
			}
			e.hook(ctx, r, "AfterReturn", h.AfterReturn, a)
		}
	}
}

func (e *executor) hook(ctx context.Context, r *request, name string, hook func(context.Context, *Attempt), a *Attempt) {
	if hook == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			e.logger.Error("a hook panicked", "hook", name, "task", r.name, "id", r.id, "error", fmt.Sprint(v), "stack", string(taskStack(debug.Stack())))
		}
	}()
	hook(ctx, a)
}
