package control_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

func (w *world) name() string { return "w-" + uuid.NewString() + "@test" }

// revoked fails unless the call ends as a revoked task, for that reason.
func (w *world) revoked(call *task.Call[string], why string) {
	w.Helper()
	_, err := call.Get(w.ctx)
	failed, ok := errors.AsType[*task.TaskError](err)
	if !ok || !errors.Is(err, task.ErrRevoked) || failed.Message != why || failed.Type != "TaskRevokedError" {
		w.Errorf("%s ends with %v, want it revoked: %s", call.ID, err, why)
	}
}

func TestRevoke(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		name := w.name()
		worker, fleet, ctx := w.serve(name), w.fleet(name), w.client()
		send := func(task string, options ...task.Option) *task.Call[string] {
			call, err := w.task(task).With(options...).Send(ctx, &slowArgs{1, "done"})
			w.check(err)
			return call
		}
		running, deaf := send("py.slow"), send("py.reject")
		w.eventually("two tasks run", func() bool { return len(worker.Active()) == 2 })
		waiting := send("py.add")
		w.eventually("a task waits", func() bool { return len(worker.Reserved()) == 1 })
		said, err := fleet.Revoke(w.ctx, waiting.ID, "later")
		w.check(err)
		if want := "tasks {'later', '" + waiting.ID + "'} flagged as revoked"; len(strings.Split(said[name], "'")) != len(strings.Split(want, "'")) {
			w.Errorf("got %q, want like %q", said[name], want)
		}
		w.revoked(waiting, "revoked")
		w.revoked(send("py.add", task.ID("later")), "revoked")
		said, err = fleet.Terminate(w.ctx, running.ID, deaf.ID, "nosuch")
		w.check(err)
		ids := []string{running.ID, deaf.ID}
		slices.Sort(ids)
		if want := "terminate: " + strings.Join(ids, ", "); said[name] != want {
			w.Errorf("got %q, want %q", said[name], want)
		}
		w.revoked(running, "terminated")
		if value, err := deaf.Get(w.ctx); value != "done" || err != nil {
			w.Errorf("a task that succeeds all the same ends with %q, %v", value, err)
		}
		all, err := fleet.Revoked(w.ctx)
		w.check(err)
		if want := []string{waiting.ID, "later", running.ID, deaf.ID, "nosuch"}; !cmp.Equal(want, all[name]) {
			w.Errorf("-want +got:\n%s", cmp.Diff(want, all[name]))
		}
	})
}

func TestRevokeByStamps(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		name := w.name()
		worker, fleet, ctx := w.serve(name), w.fleet(name), w.client()
		stamped := func(task_, tenant string) *task.Call[string] {
			call, err := w.task(task_).With(task.Header("stamps", map[string]any{"tenant": []any{tenant}}), task.Header("stamped_headers", []any{"tenant"})).
				Send(ctx, &slowArgs{1, "done"})
			w.check(err)
			return call
		}
		running := stamped("py.slow", "t1")
		w.eventually("a task runs", func() bool { return len(worker.Active()) == 1 })
		answers, err := fleet.Ask(w.ctx, "revoke_by_stamped_headers", map[string]any{"headers": map[string]any{"tenant": []string{"t1"}}, "terminate": true})
		w.check(err)
		if len(answers) != 1 || !strings.Contains(string(answers[0].Value), "headers {'tenant': ['t1']} revoked") {
			w.Errorf("%s", answers[0].Value)
		}
		w.revoked(running, "terminated")
		w.revoked(stamped("py.add", "t1"), "revoked")
		if value, err := stamped("py.add", "t2").Get(w.ctx); value != "done" || err != nil {
			w.Errorf("another stamp: %q, %v", value, err)
		}
	})
}

// A worker that starts learns from the others what was revoked.
func TestMingle(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		first := w.serve(w.name())
		first.Revoke("an-id")
		second := w.name()
		late := w.serve(second)
		w.eventually("the second worker knows", func() bool {
			return slices.ContainsFunc(late.Revocations(), func(r task.Revocation) bool { return r.ID == "an-id" })
		})
		late.Revoke("another")
		third := w.serve(w.name())
		w.eventually("the third worker knows", func() bool {
			return slices.ContainsFunc(third.Revocations(), func(r task.Revocation) bool { return r.ID == "another" })
		})
	})
}

func TestTwoWorkers(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		names := []string{w.name(), w.name()}
		slices.Sort(names)
		for _, name := range names {
			w.serve(name)
		}
		got, err := w.fleet(names...).Ping(w.ctx)
		if w.check(err); !cmp.Equal(names, got) {
			w.Errorf("-want +got:\n%s", cmp.Diff(names, got))
		}
		got, err = w.fleet(names[1]).Ping(w.ctx)
		if w.check(err); !cmp.Equal(names[1:], got) {
			w.Errorf("-want +got:\n%s", cmp.Diff(names[1:], got))
		}
	})
}

func TestLimits(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		name := w.name()
		worker, fleet, ctx := w.serve(name), w.fleet(name), w.client()
		_, err := fleet.TimeLimit(w.ctx, "py.slow", time.Hour, time.Millisecond)
		w.check(err)
		call, err := w.task("py.slow").Send(ctx, &slowArgs{1, "x"})
		w.check(err)
		if _, err = call.Get(w.ctx); !errors.Is(err, task.ErrTimeout) {
			w.Errorf("got %v, want a timeout", err)
		}
		_, err = fleet.TimeLimit(w.ctx, "py.slow", 0, 0)
		w.check(err)
		_, err = fleet.RateLimit(w.ctx, "py.add", 10*task.PerMinute)
		w.check(err)
		if rate := worker.RateLimit("py.add").String(); rate != "10/m" {
			w.Errorf("the rate limit is %s", rate)
		}
		if _, err := fleet.Grow(w.ctx, 2); err != nil || worker.Slots() != 4 {
			w.Errorf("%d slots, %v", worker.Slots(), err)
		}
		for range 4 {
			_, err := w.task("py.slow").Send(ctx, &slowArgs{1, "x"})
			w.check(err)
		}
		w.eventually("four tasks run", func() bool { return len(worker.Active()) == 4 })
		if _, err := fleet.Shrink(w.ctx, 3); err != nil || worker.Slots() != 1 {
			w.Errorf("%d slots, %v", worker.Slots(), err)
		}
		w.letGo()
		w.eventually("nothing runs", func() bool { return len(worker.Active()) == 0 })
		for what, n := range map[string]int{"must keep one": -1, "larger prefetch": 1_000_000} {
			if err := worker.Grow(n); err == nil || !strings.Contains(err.Error(), what) {
				w.Errorf("growing by %d: %v", n, err)
			}
		}
	})
}

func TestQueues(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		name, extra := w.name(), w.queue+".extra"
		worker, fleet, ctx := w.serve(name), w.fleet(name), w.client()
		_, err := fleet.AddQueue(w.ctx, extra)
		w.check(err)
		call, err := w.task("py.add").With(task.Queue(extra)).Send(ctx, &slowArgs{1, "there"})
		w.check(err)
		if value, err := call.Get(w.ctx); value != "there" || err != nil {
			w.Errorf("got %q, %v", value, err)
		}
		queues, err := fleet.ActiveQueues(w.ctx)
		if w.check(err); len(queues[name]) != 2 || queues[name][1].Name != extra {
			w.Errorf("the queues are %v", queues[name])
		}
		_, err = fleet.CancelQueue(w.ctx, extra)
		w.check(err)
		if all := worker.Queues(); len(all) != 1 || all[0].Name != w.queue {
			w.Errorf("after it was cancelled the queues are %v", all)
		}
		_, err = fleet.AddQueue(w.ctx, extra)
		w.check(err)
		call, err = w.task("py.add").With(task.Queue(extra)).Send(ctx, &slowArgs{1, "again"})
		w.check(err)
		if value, err := call.Get(w.ctx); value != "again" || err != nil {
			w.Errorf("got %q, %v", value, err)
		}
	})
}

// Requests come in other serializers too; what is no request changes nothing.
func TestRequests(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		name := w.name()
		worker, transport := w.serve(name), w.open()
		tell := func(contentType string, body []byte) {
			w.check(transport.Broadcast(w.ctx, &task.Broadcast{
				Exchange: task.Bulletin{Name: "celery.pidbox", Type: task.Fanout}, ContentType: contentType, Body: body, Headers: map[string]any{"clock": int32(1)},
			}))
		}
		known := func(id string) func() bool {
			return func() bool {
				return slices.ContainsFunc(worker.Revocations(), func(r task.Revocation) bool { return r.ID == id })
			}
		}
		json := []byte(fmt.Sprintf(`{"method": "revoke", "arguments": {"task_id": "in-json"}, "destination": %q}`, name))
		tell("application/json", json)
		w.eventually("revoked in json, with a text for a destination", known("in-json"))
		msgpack, _ := codec.ByName("msgpack")
		for _, other := range []codec.Serializer{msgpack} {
			body, err := other.EncodeMap(func(f codec.Fields) {
				codec.Any(f.Field("method"), new("revoke"))
				codec.Any(f.Field("arguments"), &map[string]any{"task_id": []any{"in-msgpack"}})
				codec.Any(f.Field("destination"), &[]any{name})
			})
			w.check(err)
			tell(other.ContentType(), body)
		}
		tell("application/x-yaml", fmt.Appendf(nil, "{method: revoke, arguments: {task_id: in-yaml}, destination: [%s]}", name))
		for _, bad := range []string{
			`{"method": "revoke"`, `[]`, `null`, `{"method": 1}`, `{"method": "revoke", "arguments": []}`,
			fmt.Sprintf(`{"method": "revoke", "arguments": {"task_id": {}}, "destination": [%q]}`, name),
			fmt.Sprintf(`{"method": "shutdown", "pattern": %q, "matcher": "pcre"}`, strings.Repeat("(a*)*", 1000)),
			`{"method": "shutdown", "pattern": "[", "matcher": "pcre"}`,
		} {
			tell("application/json", []byte(bad))
		}
		tell("application/x-python-serialize", json)
		w.eventually("revoked in msgpack", known("in-msgpack"))
		w.eventually("revoked in yaml", known("in-yaml"))
		// As many ids as a request can have: the last ones are kept.
		ids := make([]string, 200_000)
		for i := range ids {
			ids[i] = fmt.Sprint("id-", i)
		}
		fleet := w.fleet(name)
		_, err := fleet.Revoke(w.ctx, ids...)
		w.check(err)
		if n := len(worker.Revocations()); n != 50_000 || !known("id-199999")() {
			w.Errorf("%d are remembered", n)
		}
	})
}

func TestNobody(t *testing.T) {
	onBrokers(t, func(_ *testing.T, w *world) {
		c := control.NewClient(w.open(), control.ClientConfig{Destination: []string{w.name()}, Timeout: 300 * time.Millisecond})
		defer c.Close()
		if _, err := c.Ping(w.ctx); !errors.Is(err, control.ErrNobody) {
			w.Errorf("got %v", err)
		}
	})
}
