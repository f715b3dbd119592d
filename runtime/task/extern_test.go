package task_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// published is a transport that keeps the last message.
type published struct {
	task.Transport
	last *task.Message
}

func (p *published) Publish(_ context.Context, m *task.Message) error {
	p.last = m
	return nil
}

// TestExtern checks what a message says to a worker that has never seen the task's Spec.
func TestExtern(t *testing.T) {
	t.Parallel()
	transport := &published{Transport: memory.New()}
	t.Cleanup(func() { _ = transport.Close() })
	client := task.NewClient(transport, task.ClientConfig{ShowArguments: true, Serializer: "msgpack"})
	ctx := task.WithClient(t.Context(), client)
	spec := task.Spec{Name: "billing.greet", Serializer: "json", Timeout: 90 * time.Second, Secret: []string{"name"}, Extern: true}
	greet := task.Define[greetArgs](spec, codec.String[string])
	send := func(greet task.Task[greetArgs, string]) map[string]any {
		t.Helper()
		if _, err := greet.Send(ctx, &greetArgs{Name: "ada", Times: 2}); err != nil {
			t.Fatal(err)
		}
		h := transport.last.Headers
		return map[string]any{"body": string(transport.last.Body), "timelimit": h["timelimit"], "args": h["argsrepr"], "kwargs": h["kwargsrepr"]}
	}
	want := map[string]any{
		"body": `[[],{"name":"ada","times":2},{}]`, "timelimit": []any{90.0, nil},
		"args": "()", "kwargs": "{'name': '***', 'times': 2}",
	}
	if diff := cmp.Diff(want, send(greet)); diff != "" {
		t.Errorf("by name (-want +got):\n%s", diff)
	}
	if got := send(greet.With(task.Timeout(time.Second)))["timelimit"]; !cmp.Equal(got, []any{1.0, nil}) {
		t.Errorf("the call's own timeout: %v", got)
	}

	spec.Positional, spec.Timeout = true, 0
	want = map[string]any{
		"body": `[["ada",2],{},{}]`, "timelimit": nil,
		"args": "('***', 2)", "kwargs": "{}",
	}
	if diff := cmp.Diff(want, send(task.Define[greetArgs](spec, codec.String[string]))); diff != "" {
		t.Errorf("by position (-want +got):\n%s", diff)
	}
}

// TestExternStandIn checks that a test can have a stand-in run what others run.
func TestExternStandIn(t *testing.T) {
	t.Parallel()
	spec := task.Spec{Extern: true, Positional: true, Serializer: "json"}
	ctx, greet := eager(t, spec, func(_ context.Context, a *greetArgs) (string, error) { return "hello, " + a.Name, nil })
	call, err := greet.Send(ctx, &greetArgs{Name: "ada", Times: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := call.Get(ctx); err != nil || got != "hello, ada" {
		t.Errorf("got %q, %v", got, err)
	}
}
