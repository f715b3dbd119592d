package builtin_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// args are the arguments of the user's task in these tests.
type args struct {
	Text   string
	Number int64
}

func (a *args) Visit(f codec.Fields) {
	codec.String(f.Field("text"), &a.Text)
	codec.Int(f.Field("number"), &a.Number)
}

type testTask = task.Task[args, string]

func define(spec task.Spec) testTask { return task.Define[args](spec, codec.String[string]) }

var (
	echo    = define(task.Spec{Name: "users.echo", Queue: "mail", Secret: []string{"text"}})
	refuse  = define(task.Spec{Name: "users.refuse", Queue: "mail"})
	explode = define(task.Spec{Name: "users.explode", Queue: "mail"})
	// again asks for a retry the first time.
	again = define(task.Spec{Name: "users.again", Queue: "mail"})
)

var errRefused = errors.New("refused")

// userTasks is what a user registers.
func userTasks() *task.Registry {
	r := task.NewRegistry()
	echo.Handle(r, func(_ context.Context, a *args) (string, error) { return a.Text, nil })
	refuse.Handle(r, func(context.Context, *args) (string, error) { return "", errRefused })
	explode.Handle(r, func(context.Context, *args) (string, error) { panic("boom") })
	again.Handle(r, func(ctx context.Context, a *args) (string, error) {
		if task.InfoFrom(ctx).Retries == 0 {
			return "", again.With(task.In(time.Millisecond)).Again(ctx, errRefused, &args{Text: "new"})
		}
		return a.Text, nil
	})
	return r
}

// start runs a worker that has tasks of the user's and the built-in ones. The context has a client of its broker.
func start(t *testing.T, r *task.Registry, h *builtin.HTTP) context.Context {
	t.Helper()
	if err := builtin.Register(r, h); err != nil {
		t.Fatal(err)
	}
	transport := memory.New()
	worker, err := task.NewWorker(transport, r, task.WorkerConfig{Name: "w1@box", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		transport.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return task.WithClient(ctx, task.NewClient(transport, task.ClientConfig{}))
}

// get waits for the result of a call that was just sent.
func get[R any](t *testing.T, ctx context.Context) func(call *task.Call[R], err error) (R, error) {
	t.Helper()
	return func(call *task.Call[R], err error) (R, error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return call.Get(ctx)
	}
}
