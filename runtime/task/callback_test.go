package task_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// touchyArgs panics where it is told to.
type touchyArgs struct{ Do string }

func (a *touchyArgs) Visit(f codec.Fields) {
	codec.String(f.Field("do"), &a.Do)
	if a.Do == "panic while read" {
		panic("s3cret")
	}
}

// ownError is an error whose methods do what they do.
type ownError struct {
	text   func() string
	unwrap func() error
	is     func(error) bool
	as     func(any) bool
}

func (e *ownError) Error() string {
	if e.text == nil {
		return "own"
	}
	return e.text()
}

func (e *ownError) Unwrap() error {
	if e.unwrap == nil {
		return nil
	}
	return e.unwrap()
}

func (e *ownError) Is(target error) bool { return e.is != nil && e.is(target) }
func (e *ownError) As(target any) bool   { return e.as != nil && e.as(target) }

type stackless struct{ error }

func (stackless) Format(fmt.State, rune) { panic("format") }

// touchyHandler is a log handler that panics on every record.
type touchyHandler struct{ slog.Handler }

func (touchyHandler) Handle(context.Context, slog.Record) error { panic("log") }

// touchy is what a task does, by what it is told to do, and what its caller is told.
var touchy = map[string]struct {
	run  func() (string, error)
	want string
}{
	"panic":              {func() (string, error) { panic("at once") }, "panic: at once"},
	"panic with nil":     {func() (string, error) { panic(nil) }, "panic called with nil"},
	"panic with error":   {func() (string, error) { panic(errors.New("as an error")) }, "as an error"},
	"panic with rudest":  {func() (string, error) { panic(&ownError{text: func() string { panic("no") }}) }, "panic"},
	"panic with much":    {func() (string, error) { panic(strings.Repeat("x", 20<<20)) }, "panic: xxx"},
	"panic in map":       {func() (string, error) { return "", write(nil) }, "nil map"},
	"end goroutine":      {func() (string, error) { runtime.Goexit(); return "", nil }, "has ended its goroutine"},
	"rude error":         {func() (string, error) { return "", &ownError{text: func() string { panic("no") }} }, "whose Error method panics"},
	"long error":         {func() (string, error) { return "", errors.New(strings.Repeat("x", 20<<20)) }, "xxx"},
	"nil error":          {func() (string, error) { var e *ownError; return "", e }, "whose Error method panics"},
	"endless error":      {func() (string, error) { e := new(ownError); e.unwrap = func() error { return e }; return "", e }, "own"},
	"rude Unwrap":        {func() (string, error) { return "", &ownError{unwrap: func() error { panic("no") }} }, "own"},
	"rude Is":            {func() (string, error) { return "", &ownError{is: func(error) bool { panic("no") }} }, "own"},
	"rude As":            {func() (string, error) { return "", &ownError{as: func(any) bool { panic("no") }} }, "own"},
	"rude Format":        {func() (string, error) { return "", stackless{errors.New("formatted")} }, "formatted"},
	"wide error":         {func() (string, error) { return "", errors.Join(make2000()...) }, "one of many"},
	"nil option":         {func() (string, error) { return "", touchyTask.With(nil).Again(nested, nil, &touchyArgs{}) }, "panic"},
	"unsendable retry":   {func() (string, error) { return "", touchyTask.Again(nested, nil, &touchyArgs{Do: "panic while read"}) }, "panic"},
	"result too large":   {func() (string, error) { return strings.Repeat("x", 1<<20), nil }, "more than the limit of 1000"},
	"result that panics": {func() (string, error) { return "panic while written", nil }, "can't be encoded"},
	"panic while read":   {nil, "the decoder panicked (string)"},
	"rude hooks":         {func() (string, error) { return "", errors.New("to the hooks") }, "to the hooks"},
}

func write(m map[int]int) error {
	m[1] = 1
	return nil
}

func make2000() (errs []error) {
	for range 2000 {
		errs = append(errs, errors.New("one of many"))
	}
	return errs
}

// nested is the context of a task that asks for a retry.
var nested = task.NewContext(context.Background(), task.Info{Name: "touchy"})

var touchyTask = task.Define[touchyArgs](task.Spec{Name: "touchy", MaxRetries: new(3)}, func(v codec.Value, p *string) {
	if *p == "panic while written" {
		panic("s3cret")
	}
	codec.String(v, p)
})

// Whatever code of users does, the only slot of the worker goes on, and the caller is told.
func TestTouchyCallbacks(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]slog.Handler{
		"quiet log":  slog.DiscardHandler,
		"touchy log": touchyHandler{slog.NewTextHandler(t.Output(), nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rude := func(hook func()) func(context.Context, *task.Attempt) {
				return func(_ context.Context, a *task.Attempt) {
					if args, ok := a.Args.(*touchyArgs); ok && args.Do == "rude hooks" {
						hook()
					}
				}
			}
			r := task.NewRegistry()
			touchyTask.Handle(r, func(ctx context.Context, a *touchyArgs) (string, error) {
				if do := touchy[a.Do].run; do != nil {
					return do()
				}
				return "good", ctx.Err()
			}, task.Hooks{OnFailure: rude(func() { panic("hook") }), AfterReturn: rude(runtime.Goexit)})
			broker := memory.New()
			w, err := task.NewWorker(broker, r, task.WorkerConfig{Concurrency: 1, MaxResult: 1000, Logger: slog.New(handler)})
			if err != nil {
				t.Fatal(err)
			}
			stop, ended := startWorker(t, w)
			client := task.NewClient(broker, task.ClientConfig{})
			ctx, cancel := context.WithTimeout(task.WithClient(t.Context(), client), 30*time.Second)
			defer cancel()
			run := func(do string) (string, error) {
				if do == "panic while read" { // the sender's own panic is the sender's
					return sendRaw(ctx, broker, client, do)
				}
				call, err := touchyTask.Send(ctx, &touchyArgs{Do: do})
				if err != nil {
					t.Fatal(err)
				}
				return call.Get(ctx)
			}
			for do, expected := range touchy {
				_, err := run(do)
				failure, ok := errors.AsType[*task.TaskError](err)
				if !ok || failure.State != task.Failure || !strings.Contains(failure.Message, expected.want) || len(failure.Message) > 9<<10 || len(failure.Traceback) > 65<<10 {
					t.Errorf("%s: got %.200v", do, err)
				}
				if err != nil && strings.Contains(err.Error(), "s3cret") && do == "panic while read" {
					t.Errorf("%s: the text of a panic is told, and may be a secret", do)
				}
				if got, err := run("nothing"); err != nil || got != "good" {
					t.Fatalf("after %s: %q, %v", do, got, err)
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

func startWorker(t *testing.T, w *task.Worker) (stop func(), ended <-chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- w.Run(ctx) }()
	return cancel, result
}

// sendRaw sends a call of the touchy task whose arguments this process can't write.
func sendRaw(ctx context.Context, broker *memory.Transport, client *task.Client, do string) (string, error) {
	const id = "raw"
	err := broker.Publish(ctx, &task.Message{
		ID: id, Task: "touchy", Queue: task.DefaultQueue, ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: map[string]any{"task": "touchy", "id": id}, Body: fmt.Appendf(nil, `[[%q], {}, {}]`, do),
	})
	if err != nil {
		return "", err
	}
	call, err := touchyTask.CallByID(task.WithClient(ctx, client), id)
	if err != nil {
		return "", err
	}
	return call.Get(ctx)
}
