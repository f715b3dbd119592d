package worker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestParseBinding(t *testing.T) {
	t.Parallel()
	tasks := newCatalog(testTasks())
	for text, want := range map[string]task.QueueConfig{
		"eu=orders/x":                     {Name: "eu", Bindings: []task.Binding{{Exchange: "orders", Type: task.Direct, RoutingKey: "x"}}},
		"eu=orders:direct/x":              {Name: "eu", Bindings: []task.Binding{{Exchange: "orders", Type: task.Direct, RoutingKey: "x"}}},
		"site-eu=orders:topic/eu.#":       {Name: "site-eu", Bindings: []task.Binding{{Exchange: "orders", Type: task.Topic, RoutingKey: "eu.#"}}},
		"eu=orders:topic/*.a=b/c:d":       {Name: "eu", Bindings: []task.Binding{{Exchange: "orders", Type: task.Topic, RoutingKey: "*.a=b/c:d"}}},
		"eu=orders/":                      {Name: "eu", Bindings: []task.Binding{{Exchange: "orders", Type: task.Direct}}},
		"audit=events:fanout":             {Name: "audit", Bindings: []task.Binding{{Exchange: "events", Type: task.Fanout}}},
		"audit=calls:headers/echo":        {Name: "audit", Bindings: []task.Binding{{Exchange: "calls", Type: task.Headers, Task: echo.Name()}}},
		"audit=calls:headers/users.echo":  {Name: "audit", Bindings: []task.Binding{{Exchange: "calls", Type: task.Headers, Task: echo.Name()}}},
		"a%3Db=c%3Ad%2Fe%25:topic/100%25": {Name: "a=b", Bindings: []task.Binding{{Exchange: "c:d/e%", Type: task.Topic, RoutingKey: "100%"}}},
		"a:b=c%3Atopic/k":                 {Name: "a:b", Bindings: []task.Binding{{Exchange: "c:topic", Type: task.Direct, RoutingKey: "k"}}},
		"grün=füchse/ü":                   {Name: "grün", Bindings: []task.Binding{{Exchange: "füchse", Type: task.Direct, RoutingKey: "ü"}}},
	} {
		queue, b, err := parseBinding(text, tasks)
		if diff := cmp.Diff(want, task.QueueConfig{Name: queue, Bindings: []task.Binding{b}}); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", text, err, diff)
		}
	}
	for text, want := range map[string]string{
		"":                        "there is no queue",
		"eu":                      "there is no exchange",
		"=orders/x":               "there is no queue",
		"eu=/x":                   "there is no exchange",
		"eu=:topic/x":             "there is no exchange",
		"eu=orders":               "there is no /KEY",
		"eu=orders:topic":         "there is no /KEY",
		"eu=orders:fanout/x":      "leads everything",
		"eu=orders:headers":       "the name of a task",
		"eu=orders:headers/ecko":  `there is no task "ecko"`,
		"eu=orders:Topic/x":       "there is no exchange type Topic",
		"eu=orders:/x":            "there is no exchange type",
		"eu=a:b/x":                "a colon in a name is written as %3A",
		"eu=orders/100%":          "a percent sign is written as %25",
		"eu=orders/" + long("k"):  "at most 255 bytes",
		"eu=" + long("o") + "/k":  "at most 255 bytes",
		long("q") + "=orders/key": "at most 255 bytes",
	} {
		if queue, b, err := parseBinding(text, tasks); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v, %v; want an error with %q", text, queue, b, err, want)
		}
	}
}

// long is a name that is too long.
func long(s string) string { return strings.Repeat(s, 256) }
