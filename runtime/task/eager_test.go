package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

type greetArgs struct {
	Name  string
	Times int
}

func (a *greetArgs) Visit(f codec.Fields) {
	codec.String(f.Field("name"), &a.Name)
	codec.Int(f.Field("times"), &a.Times)
}

func ExampleEager() {
	greet := task.Define[greetArgs](task.Spec{Name: "example.greet"}, codec.String[string])
	r := task.NewRegistry()
	greet.Handle(r, func(_ context.Context, a *greetArgs) (string, error) { return "hello, " + a.Name, nil })

	ctx := task.WithClient(context.Background(), task.Eager(r))
	call, err := greet.Send(ctx, &greetArgs{Name: "ada"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Get(ctx))
	// Output: hello, ada <nil>
}

// eager makes a task that runs at once, and the context to send it with.
func eager(t *testing.T, spec task.Spec, run func(context.Context, *greetArgs) (string, error)) (context.Context, task.Task[greetArgs, string]) {
	t.Helper()
	spec.Name = "example.greet"
	greet := task.Define[greetArgs](spec, codec.String[string])
	r := task.NewRegistry()
	greet.Handle(r, run)
	return task.WithClient(t.Context(), task.Eager(r)), greet
}

func TestEagerRetries(t *testing.T) {
	t.Parallel()
	var greet task.Task[greetArgs, string]
	ctx, greet := eager(t, task.Spec{DefaultRetryDelay: new(time.Hour)}, func(ctx context.Context, a *greetArgs) (string, error) {
		info := task.InfoFrom(ctx)
		if !info.IsEager {
			t.Error("the task does not know that it is eager")
		}
		if info.Retries < 2 {
			return "", greet.Again(ctx, errors.New("not yet"), &greetArgs{Name: a.Name + "!", Times: a.Times})
		}
		return fmt.Sprint(a.Name, info.Retries), nil
	})
	call, err := greet.Send(ctx, &greetArgs{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := call.Get(ctx); got != "x!!2" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestEagerFailure(t *testing.T) {
	t.Parallel()
	ctx, greet := eager(t, task.Spec{MaxRetries: new(1)}, func(context.Context, *greetArgs) (string, error) {
		return "", task.RetryIn(time.Hour, errors.New("never"))
	})
	call, err := greet.Send(ctx, &greetArgs{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = call.Get(ctx)
	failure, ok := errors.AsType[*task.TaskError](err)
	if !ok || failure.State != task.Failure || failure.Message != "never" {
		t.Errorf("got %v", err)
	}
}

// TestEagerUsesTheCodec: an argument that no worker could read is found in an eager run too.
func TestEagerUsesTheCodec(t *testing.T) {
	t.Parallel()
	ctx, _ := eager(t, task.Spec{}, func(context.Context, *greetArgs) (string, error) { return "", nil })
	other := task.Define[otherArgs](task.Spec{Name: "example.greet"}, codec.String[string])
	call, err := other.Send(ctx, &otherArgs{Name: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Get(ctx); err == nil || !strings.Contains(err.Error(), "TypeError") {
		t.Errorf("got %v, want a TypeError", err)
	}
}

type otherArgs struct{ Name int }

func (a *otherArgs) Visit(f codec.Fields) { codec.Int(f.Field("name"), &a.Name) }

func TestEagerTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	ctx, greet := eager(t, task.Spec{Serializer: "nosuch"}, func(context.Context, *greetArgs) (string, error) { return "", nil })
	if _, err := greet.Send(ctx, &greetArgs{}); err == nil || !strings.Contains(err.Error(), `"nosuch"`) {
		t.Errorf("an unregistered serializer: %v", err)
	}
	if _, err := greet.Send(t.Context(), &greetArgs{}); !errors.Is(err, task.ErrNoClient) {
		t.Errorf("no client: %v", err)
	}
	stranger := task.Define[otherArgs](task.Spec{Name: "example.stranger"}, codec.String[string])
	if _, err := stranger.Send(ctx, &otherArgs{}); err == nil || !strings.Contains(err.Error(), "not registered") {
		t.Errorf("an unregistered task: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	ctx, greet = eager(t, task.Spec{}, func(context.Context, *greetArgs) (string, error) { return "", nil })
	if _, err := greet.Send(task.WithClient(ended, task.ClientFrom(ctx)), &greetArgs{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

func TestRetryOutsideOfItsTask(t *testing.T) {
	t.Parallel()
	ctx, greet := eager(t, task.Spec{}, func(context.Context, *greetArgs) (string, error) { return "", nil })
	cause := errors.New("cause")
	if err := greet.Again(ctx, cause, &greetArgs{}); !errors.Is(err, cause) || !strings.Contains(err.Error(), "outside of a running task") {
		t.Errorf("outside: %v", err)
	}
	other := task.NewContext(ctx, task.Info{Name: "example.other"})
	if err := greet.Again(other, cause, &greetArgs{}); !errors.Is(err, cause) || !strings.Contains(err.Error(), "can only retry itself") {
		t.Errorf("inside of another: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	ctx, greet := eager(t, task.Spec{}, func(context.Context, *greetArgs) (string, error) { return "", nil })
	for want, option := range map[string]task.Option{
		"task.Priority(10)":           task.Priority(10),
		`task.ID("a b")`:              task.ID("a b"),
		`"my queue" is no name`:       task.Queue("my queue"),
		`serializer "x" is not`:       task.UseSerializer("x"),
		"compressing the body with x": task.UseCompression("x"),
		"more than 255 bytes":         task.RoutingKey(strings.Repeat("k", 256)),
		"{nosuch}":                    task.RoutingKey("{nosuch}"),
		"{ without }":                 task.RoutingKey("{name"),
	} {
		if _, err := greet.With(option).Send(ctx, &greetArgs{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestRegistryTellsOfDuplicates(t *testing.T) {
	t.Parallel()
	greet := task.Define[greetArgs](task.Spec{Name: "example.greet"}, codec.String[string])
	r := task.NewRegistry()
	run := func(context.Context, *greetArgs) (string, error) { return "", nil }
	greet.Handle(r, run)
	greet.Handle(r, run)
	if _, err := task.NewWorker(nil, r, task.WorkerConfig{}); err == nil || !strings.Contains(err.Error(), "registered twice") {
		t.Errorf("got %v", err)
	}
}
