package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

// pair is what the tasks of these tests take.
type pair struct{ A, B string }

func (p *pair) Visit(f codec.Fields) {
	codec.String(f.Field("a"), &p.A)
	codec.String(f.Field("b"), &p.B)
}

// BoomError is what tasks fail with.
type BoomError struct{ text string }

func (e *BoomError) Error() string { return e.text }

// Every event that a Go worker sends has the form that Celery gives it.
func TestEventsAreCelerys(t *testing.T) {
	onBrokers(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		define := func(name string) task.Task[pair, string] {
			return task.Define[pair](task.Spec{
				Name: "test." + name, Queue: w.queue, Secret: []string{"b"}, DefaultRetryDelay: new(time.Duration), Serializer: "json",
			}, codec.String[string])
		}
		join, fail, again, parent, stay := define("join"), define("fail"), define("again"), define("parent"), define("stay")
		staying := make(chan struct{})
		r := task.NewRegistry()
		ctx := w.client(url)
		join.Handle(r, func(_ context.Context, p *pair) (string, error) { return p.A + p.B, nil })
		fail.Handle(r, func(_ context.Context, p *pair) (string, error) { return "", &BoomError{p.A} })
		again.Handle(r, func(ctx context.Context, p *pair) (string, error) {
			if task.InfoFrom(ctx).Retries == 0 {
				return "", again.Again(ctx, &BoomError{p.A}, p)
			}
			return p.A, nil
		})
		parent.Handle(r, func(run context.Context, p *pair) (string, error) {
			call, err := join.Send(task.WithClient(run, task.ClientFrom(ctx)), p)
			if err != nil {
				return "", err
			}
			return call.ID, nil
		})
		stay.Handle(r, func(ctx context.Context, _ *pair) (string, error) {
			close(staying)
			<-ctx.Done()
			return "", ctx.Err()
		})
		w.run(r, events.Config{Tasks: true, Interval: 100 * time.Millisecond})

		send := func(which task.Task[pair, string], options ...task.Option) string {
			call, err := which.With(options...).Send(ctx, &pair{"one", "s3cret"})
			w.check(err)
			return call.ID
		}
		w.as("worker-online", w.awaitKind("worker-online"))
		w.as("worker-heartbeat", w.awaitKind("worker-heartbeat"))
		w.dispatcher.Heartbeat()
		w.as("worker-heartbeat-forced", w.await("a forced heartbeat", func(e told) bool { return e.kind() == "worker-heartbeat" && e.event["loadavg"] == nil }))

		id := send(join)
		sent := w.awaitTask("task-sent", id)
		w.as("task-sent", sent)
		got := w.awaitTask("task-received", id)
		w.as("task-received", got)
		for _, e := range []told{sent, got} {
			if e.text("args") != "()" || e.text("kwargs") != "{'a': 'one', 'b': '***'}" {
				t.Errorf("%s: args=%s kwargs=%s", e.kind(), e.text("args"), e.text("kwargs"))
			}
		}
		w.as("task-started", w.awaitTask("task-started", id))
		done := w.awaitTask("task-succeeded", id)
		w.as("task-succeeded", done)
		if done.text("result") != "'ones3cret'" {
			t.Errorf("result: %s", done.text("result"))
		}

		id = send(join, task.In(50*time.Millisecond), task.Expires(time.Hour))
		w.as("task-sent-eta", w.awaitTask("task-sent", id))
		w.as("task-received-eta", w.awaitTask("task-received", id))
		w.as("task-succeeded-eta", w.awaitTask("task-succeeded", id))

		id = send(fail)
		failed := w.awaitTask("task-failed", id)
		w.as("task-failed", failed)
		if failed.text("exception") != "BoomError('one')" {
			t.Errorf("exception: %s", failed.text("exception"))
		}

		id = send(again)
		retried := w.awaitTask("task-retried", id)
		w.as("task-retried", retried)
		if retried.text("exception") != "Retry(Retry(...), BoomError('one'), 0)" {
			t.Errorf("exception: %s", retried.text("exception"))
		}
		w.awaitTask("task-succeeded", id)

		id = send(parent)
		child := strings.Trim(w.awaitTask("task-succeeded", id).text("result"), "'")
		w.as("task-sent-parent", w.awaitTask("task-sent", child))
		w.as("task-received-parent", w.awaitTask("task-received", child))
		if e := w.awaitTask("task-received", child); e.text("parent_id") != id || e.text("root_id") != id {
			t.Errorf("parent %s, root %s; want %s", e.text("parent_id"), e.text("root_id"), id)
		}

		id = send(define("nobody"))
		unknown := w.awaitTask("task-failed", id)
		w.as("task-failed-unknown", unknown)
		if !strings.HasPrefix(unknown.text("exception"), "NotRegistered(") {
			t.Errorf("exception: %s", unknown.text("exception"))
		}

		id = send(join, task.ExpiresAt(time.Now().Add(-time.Hour)))
		w.as("task-revoked-expired", w.awaitTask("task-revoked", id))

		id = send(stay)
		<-staying
		w.stop()
		w.as("task-rejected", w.awaitTask("task-rejected", id))
		w.as("worker-offline", w.awaitKind("worker-offline"))
		w.clocksGrow()
		_, _ = w.transport.Purge(w.ctx, w.queue)
	})
}

// clocksGrow fails if the events of the worker don't come in the order of its clock.
func (w *world) clocksGrow() {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	last := int64(0)
	for _, e := range w.told {
		if e.kind() == "task-sent" {
			continue // another process, by rights
		}
		clock, err := number(e.event["clock"])
		if err != nil || clock <= last {
			w.Errorf("%s has clock %d after %d: %v", e.kind(), clock, last, err)
		}
		last = clock
	}
}

func number(v any) (int64, error) {
	n, ok := v.(interface{ Int64() (int64, error) })
	if !ok {
		return 0, errors.New("no number")
	}
	return n.Int64()
}

// While nobody wants events of tasks, none are sent, and nothing is worked out for them.
func TestNothingIsToldOfTasksUnasked(t *testing.T) {
	onBrokers(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		join := task.Define[pair](task.Spec{Name: "test.join", Queue: w.queue}, codec.String[string])
		r := task.NewRegistry()
		join.Handle(r, func(_ context.Context, p *pair) (string, error) { return p.A + p.B, nil })
		w.run(r, events.Config{})
		ctx := task.WithClient(w.ctx, task.NewClient(w.open(url), task.ClientConfig{Origin: w.name}))
		run := func() string {
			call, err := join.Send(ctx, &pair{"a", uuid.NewString()})
			w.check(err)
			_, err = call.Get(ctx)
			w.check(err)
			return call.ID
		}
		w.awaitKind("worker-online")
		for range 20 {
			run()
		}
		if !w.dispatcher.Enable() || w.dispatcher.Enable() {
			t.Error("Enable once is a change, twice is none")
		}
		last := run()
		w.awaitTask("task-succeeded", last)
		if !w.dispatcher.Disable() || w.dispatcher.Disable() {
			t.Error("Disable once is a change, twice is none")
		}
		run()
		w.stop()
		w.awaitKind("worker-offline")
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.told {
			if id := e.text("uuid"); id != "" && id != last {
				t.Errorf("%s was told", e.kind())
			}
		}
	})
}
