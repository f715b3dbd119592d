package builtin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	names := func(r *task.Registry, builtIn bool) []string {
		var out []string
		for _, e := range r.Entries() {
			if e.BuiltIn() == builtIn {
				out = append(out, e.Name())
			}
		}
		return out
	}
	own := task.NewRegistry()
	echo.Handle(own, nil)
	define(task.Spec{Name: "taskgen.ping", Queue: "own"}).Handle(own, nil)
	if err := builtin.Register(own, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"taskgen.delete_expired_results", "taskgen.http", "taskgen.map", "taskgen.run", "taskgen.stats"}
	if diff := cmp.Diff(want, names(own, true)); diff != "" {
		t.Errorf("built-in tasks, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"taskgen.ping", "users.echo"}, names(own, false)); diff != "" {
		t.Errorf("the user's tasks, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"mail", "own"}, own.Queues()); diff != "" {
		t.Errorf("the queues must be those of the user's tasks, -want +got:\n%s", diff)
	}
	if err := own.Err(); err != nil {
		t.Error(err)
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	ctx := start(t, userTasks(), nil)
	if got, err := get[string](t, ctx)(builtin.Ping.With(task.Queue("mail")).Delay(ctx)); got != "pong" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	ctx := start(t, userTasks(), nil)
	for _, send := range []testTask{echo, refuse} {
		call, err := send.Send(ctx, &args{})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = call.Get(ctx)
	}
	got, err := get[task.Stats](t, ctx)(builtin.Stats.With(task.Queue("mail")).Delay(ctx))
	if err != nil || got.Worker != "w1@box" || got.Running < 0 || got.Started.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	// A run counts once the broker has its outcome, which may be later than its caller has.
	for _, s := range got.Tasks {
		if s.Name == echo.Name() && s.Succeeded != 1 || s.Name == refuse.Name() && s.Failed != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestDeleteExpiredResults(t *testing.T) {
	t.Parallel()
	ctx := start(t, userTasks(), nil)
	transport := task.ClientFrom(ctx).Transport().(*memory.Transport)
	for _, id := range []string{"a", "b"} {
		if err := transport.StoreResult(ctx, &task.Result{ID: id, State: task.Success, TTL: time.Nanosecond}); err != nil {
			t.Fatal(err)
		}
	}
	if err := transport.StoreResult(ctx, &task.Result{ID: "c", State: task.Success}); err != nil {
		t.Fatal(err)
	}
	got, err := get[int](t, ctx)(builtin.DeleteExpiredResults.With(task.Queue("mail")).Delay(ctx))
	if got != 2 || err != nil {
		t.Errorf("%d deleted, %v; want 2", got, err)
	}
	if kept, err := transport.Result(ctx, "c"); kept == nil || err != nil {
		t.Errorf("the result that had time left: %v, %v", kept, err)
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	ctx := start(t, userTasks(), nil)
	run := func(name, arguments string) (string, error) {
		t.Helper()
		got, err := get[json.RawMessage](t, ctx)(builtin.ByNameRun.With(task.Queue("mail")).Delay(ctx, name, json.RawMessage(arguments)))
		return string(got), err
	}
	for arguments, want := range map[string]string{
		`["ada", 1]`:                     `"ada"`,
		`{"number": 1, "text": "grace"}`: `"grace"`,
	} {
		if got, err := run("users.echo", arguments); got != want || err != nil {
			t.Errorf("%s: %s, %v", arguments, got, err)
		}
	}
	if got, err := run("users.again", `["old", 1]`); got != `"old"` || err != nil {
		t.Errorf("a task that asks for a retry: %s, %v; want its second run, with the arguments of taskgen.run", got, err)
	}
	for name, want := range map[string]string{
		"users.refuse":   "refused",
		"users.explode":  "boom",
		"users.ecko":     "did you mean users.echo?",
		"accounts.echo":  "did you mean users.echo?",
		"unheard.of":     `no task "unheard.of" is registered at this worker`,
		"taskgen.run":    "can't be run by one that does",
		"taskgen.map":    "can't be run by one that does",
		"users.echo2345": "did you mean users.echo?",
	} {
		if _, err := run(name, `["", 1]`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	_, err := run("users.echo", `["s3cret", "s3cret"]`)
	if err == nil || !strings.Contains(err.Error(), "number") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong arguments: %v; want the name of the argument, and no value", err)
	}
}

func TestMap(t *testing.T) {
	t.Parallel()
	ctx := start(t, userTasks(), nil)
	got, err := get[[]string](t, ctx)(echo.Map(ctx, []args{{Text: "ada"}, {Text: "grace"}, {Text: "joan"}}))
	if diff := cmp.Diff([]string{"ada", "grace", "joan"}, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	got, err = get[[]string](t, ctx)(echo.Map(ctx, nil))
	if len(got) != 0 || err != nil {
		t.Errorf("over nothing: %v, %v", got, err)
	}
	items := []json.RawMessage{json.RawMessage(`{"text": "a", "number": 1}`), json.RawMessage(`["b", 2]`)}
	raw, err := get[[]json.RawMessage](t, ctx)(builtin.ByNameRunAll.With(task.Queue("mail")).Delay(ctx, "users.echo", items))
	if len(raw) != 2 || string(raw[0]) != `"a"` || string(raw[1]) != `"b"` || err != nil {
		t.Errorf("untyped: %s, %v", raw, err)
	}
	for name, want := range map[string]string{
		"users.refuse":  "item 1 of 2: refused",
		"users.explode": "item 1 of 2: panic: boom",
		"users.nobody":  `no task "users.nobody"`,
		"taskgen.map":   "can't be run by one that does",
	} {
		_, err := get[[]json.RawMessage](t, ctx)(builtin.ByNameRunAll.With(task.Queue("mail")).Delay(ctx, name, items))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
	}
	items[1] = json.RawMessage(`["b", "s3cret"]`)
	_, err = get[[]json.RawMessage](t, ctx)(builtin.ByNameRunAll.With(task.Queue("mail")).Delay(ctx, "users.echo", items))
	if err == nil || !strings.Contains(err.Error(), "item 2 of 2") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("wrong arguments: %v; want the index and no value", err)
	}
}

// A list whose time is over ends between two items.
func TestMapStops(t *testing.T) {
	t.Parallel()
	r := task.NewRegistry()
	var runs int
	echo.Handle(r, func(ctx context.Context, _ *args) (string, error) {
		runs++
		<-ctx.Done()
		return "", nil // heeds its context only in that it returns
	})
	ctx := start(t, r, nil)
	call, err := echo.With(task.Timeout(time.Second)).Map(ctx, make([]args, 3))
	_, err = get[[]string](t, ctx)(call, err)
	if err == nil || !strings.Contains(err.Error(), "stopped before item 2 of 3") || runs != 1 {
		t.Errorf("%v after %d runs", err, runs)
	}
}
