package celery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/test/celery/gotasks"
)

// client opens a Go client, and returns a context with it that ends after some time.
func (w *world) client(t *testing.T, timeout time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	transport, err := rabbitmq.Open(ctx, w.url)
	if err != nil {
		t.Fatal(err)
	}
	client := task.NewClient(transport, task.ClientConfig{})
	t.Cleanup(func() { _ = client.Close() })
	return task.WithClient(ctx, client)
}

// Go calls the tasks of a real Celery worker by typed stubs.
func TestGoCallsPython(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startPython(t)
	ctx := w.client(t, patience)
	py := task.Queue(w.pyQueue)
	for _, c := range []struct {
		area, name string
		run        func(t *testing.T)
	}{
		{"arguments", "by name", func(t *testing.T) {
			for _, serializer := range []string{"json", "msgpack", "yaml"} {
				is(t, 5, sent(gotasks.PyAdd.With(py, task.UseSerializer(serializer)).Delay(ctx, 2, 3)).value(ctx, t))
			}
			is(t, "moin ada 2", sent(gotasks.PyGreet.With(py).Delay(ctx, "ada", 2, "moin")).value(ctx, t))
		}},
		{"arguments", "by position", func(t *testing.T) {
			is(t, 5, sent(gotasks.PyAddByPosition.With(py).Delay(ctx, 2, 3)).value(ctx, t))
		}},
		{"arguments", "defaults of Python", func(t *testing.T) {
			is(t, "hello ada 1", sent(gotasks.BriefGreet.With(py).Delay(ctx, "ada")).value(ctx, t))
			is(t, "open None False en {}", sent(gotasks.PyAnnounce.With(py).Delay(ctx, "open", nil)).value(ctx, t))
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			is(t, "open 2026-01-02T03:04:05+00:00 False en {}", sent(gotasks.PyAnnounce.With(py).Delay(ctx, "open", &at)).value(ctx, t))
		}},
		{"arguments", "by keyword only", func(t *testing.T) {
			is(t, "open None True de+fr {}", sent(gotasks.BriefAnnounce.With(py).Delay(ctx, "open", true, "de", "fr")).value(ctx, t))
		}},
		{"arguments", "compressed", func(t *testing.T) {
			text := strings.Repeat("größer", 1000)
			is(t, text, sent(gotasks.PyEchoString.With(py, task.UseCompression("gzip")).Delay(ctx, text)).value(ctx, t))
		}},
		{"arguments", "big", func(t *testing.T) {
			text := strings.Repeat("größer", 200_000)
			is(t, text, sent(gotasks.PyEchoString.With(py).Delay(ctx, text)).value(ctx, t))
		}},
		{"results", "none", func(t *testing.T) {
			is(t, task.None{}, sent(gotasks.PyNothing.With(py).Delay(ctx)).value(ctx, t))
		}},
		{"results", "an exception", func(t *testing.T) {
			failure := sent(gotasks.PyFail.With(py).Delay(ctx, "größer")).failure(ctx, t)
			is(t, "builtins.ValueError: größer", failure.Module+"."+failure.Type+": "+failure.Message)
			is(t, task.Failure, failure.State)
			is(t, true, strings.Contains(failure.Traceback, "ValueError: größer") && strings.Contains(failure.Traceback, "pytasks.py"))
		}},
		{"results", "an exception with arguments", func(t *testing.T) {
			failure := sent(gotasks.PyFail.With(py).Delay(ctx, "custom")).failure(ctx, t)
			is(t, "pytasks.CardError: card declined, 402", failure.Module+"."+failure.Type+": "+failure.Message)
		}},
		{"results", "a task that nobody has", func(t *testing.T) {
			is(t, "NotRegistered", sent(gotasks.PyMissing.With(py).Delay(ctx)).failure(ctx, t).Type)
		}},
		{"results", "a task of another signature", func(t *testing.T) {
			is(t, "TypeError", sent(gotasks.PyAdd.With(py, task.Header("task", "pytasks.greet")).Delay(ctx, 1, 2)).failure(ctx, t).Type)
		}},
		{"results", "the state on the way", func(t *testing.T) {
			call, err := gotasks.PyFlaky.With(py).Delay(ctx, 3)
			if err != nil {
				t.Fatal(err)
			}
			for {
				status, err := call.Status(ctx)
				if err != nil || status.State == task.Success {
					t.Fatalf("RETRY was never seen: %v, %v", status, err)
				}
				if status.State == task.Retried {
					is(t, "CardError", status.Err.Type)
					break
				}
				time.Sleep(time.Millisecond)
			}
			is(t, 4, sent(call, nil).value(ctx, t))
		}},
		{"retries", "until it succeeds", func(t *testing.T) {
			is(t, 3, sent(gotasks.PyFlaky.With(py).Delay(ctx, 2)).value(ctx, t))
		}},
		{"retries", "until they are used up", func(t *testing.T) {
			failure := sent(gotasks.PyFlaky.With(py).Delay(ctx, 99)).failure(ctx, t)
			is(t, "CardError: try 3", failure.Type+": "+failure.Message)
		}},
		{"identity", "id, root, parent, headers", func(t *testing.T) {
			m := sent(gotasks.PyAbout.With(py, task.ID("größer-"+w.pyQueue), task.Header("tenant", "t1")).Delay(ctx)).value(ctx, t)
			is(t, "größer-"+w.pyQueue, m.ID)
			is(t, m.ID, m.Root)
			is(t, true, m.Parent == nil && m.Tenant != nil && *m.Tenant == "t1")
		}},
		{"identity", "priority", func(t *testing.T) {
			is(t, 8, sent(gotasks.PyAbout.With(py, task.Priority(1)).Delay(ctx)).value(ctx, t).Priority)
		}},
		{"times", "a delay that the broker holds", func(t *testing.T) {
			before := time.Now()
			m := sent(gotasks.PyAbout.With(py, task.In(2*time.Second)).Delay(ctx)).value(ctx, t)
			is(t, true, time.Since(before) >= 2*time.Second && m.ETA != nil)
		}},
		{"times", "a delay of a moment", func(t *testing.T) {
			before := time.Now()
			is(t, true, sent(gotasks.PyAbout.With(py, task.In(300*time.Millisecond)).Delay(ctx)).value(ctx, t).ETA != nil)
			is(t, true, time.Since(before) >= 300*time.Millisecond)
		}},
		{"times", "a time that has passed", func(t *testing.T) {
			sent(gotasks.PyAbout.With(py, task.At(time.Now().Add(-time.Hour))).Delay(ctx)).value(ctx, t)
		}},
		{"times", "expires in time", func(t *testing.T) {
			m := sent(gotasks.PyAbout.With(py, task.Expires(time.Hour)).Delay(ctx)).value(ctx, t)
			is(t, true, m.Expires != nil)
		}},
		{"times", "expires too early", func(t *testing.T) {
			call, err := gotasks.PyAbout.With(py, task.In(2*time.Second), task.Expires(100*time.Millisecond)).Delay(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call.Get(ctx); !errors.Is(err, task.ErrRevoked) {
				t.Errorf("got %v", err)
			}
		}},
		{"times", "a time limit", func(t *testing.T) {
			m := sent(gotasks.PyAbout.With(py, task.Timeout(90*time.Second)).Delay(ctx)).value(ctx, t)
			is(t, true, len(m.TimeLimit) == 2 && m.TimeLimit[0] != nil && *m.TimeLimit[0] == 90 && m.TimeLimit[1] == nil)
		}},
		{"results", "ignored", func(t *testing.T) {
			call, err := gotasks.PyAdd.With(py, task.IgnoreResult(true)).Delay(ctx, 1, 2)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := call.Get(ctx); !errors.Is(err, task.ErrNoResult) {
				t.Errorf("got %v", err)
			}
		}},
	} {
		check(t, "Go → Python: "+c.area, c.name, c.run)
	}
	testGoValues(ctx, t, w.pyQueue)
	testEcho(ctx, t, w.pyQueue)
}

// sent is a call that was sent, or why it wasn't.
func sent[R any](call *task.Call[R], err error) outcome[R] { return outcome[R]{call, err} }

type outcome[R any] struct {
	call *task.Call[R]
	err  error
}

// get waits for the result.
func (o outcome[R]) get(ctx context.Context) (value R, err error) {
	if o.err != nil {
		return value, o.err
	}
	return o.call.Get(ctx)
}

// gives says what is wrong with the result, if anything is.
func (o outcome[R]) gives(ctx context.Context, want string) error {
	got, err := o.get(ctx)
	if err == nil && fmt.Sprint(got) != want {
		err = fmt.Errorf("got %v, want %s", got, want)
	}
	return err
}

// value is the result of a call that must succeed.
func (o outcome[R]) value(ctx context.Context, t *testing.T) R {
	t.Helper()
	value, err := o.get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// failure is that of a call that must fail.
func (o outcome[R]) failure(ctx context.Context, t *testing.T) *task.TaskError {
	t.Helper()
	value, err := o.get(ctx)
	failure, ok := errors.AsType[*task.TaskError](err)
	if !ok {
		t.Fatalf("got %v, %v", value, err)
	}
	return failure
}

func is[T comparable](t *testing.T, want, got T) {
	t.Helper()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
