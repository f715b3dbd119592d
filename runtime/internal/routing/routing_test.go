package routing_test

import (
	"testing"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// The topic cases are those of RabbitMQ's own documentation, and its corners.
func TestLeads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, pattern, key string
		want               bool
	}{
		{task.Direct, "a.b", "a.b", true},
		{task.Direct, "*", "a", false},
		{"", "a", "a", true},
		{task.Fanout, "x", "y", true},
		{task.Topic, "*.orange.*", "quick.orange.rabbit", true},
		{task.Topic, "*.orange.*", "quick.orange.male.rabbit", false},
		{task.Topic, "lazy.#", "lazy.orange.male.rabbit", true},
		{task.Topic, "lazy.#", "lazy", true},
		{task.Topic, "#", "", true},
		{task.Topic, "*", "", false},
		{task.Topic, "#.b", "b", true},
		{task.Topic, "#.b", "a.b.c", false},
		{task.Topic, "a.#.c.#.e", "a.b.c.d.d.e", true},
		{task.Topic, "a.#.c.#.e", "a.e", false},
		{task.Topic, "a.b", "a.c", false},
	} {
		if got := routing.Leads(c.kind, task.Binding{RoutingKey: c.pattern}, c.key, ""); got != c.want {
			t.Errorf("%s: %q leads %q: %t", c.kind, c.pattern, c.key, got)
		}
	}
	if !routing.Leads(task.Headers, task.Binding{Task: "t"}, "k", "t") || routing.Leads(task.Headers, task.Binding{Task: "t"}, "k", "u") {
		t.Error("a headers exchange leads by the name of the task")
	}
}
