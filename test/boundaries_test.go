// Package test holds the tests of what no single package can promise: what links what, and what
// survives a kill -9.
package test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/taskgen/taskgen/"

// dependencies are all packages that the given ones link, themselves included.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, packages...)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &problems)
	}
	return strings.Fields(string(out))
}

// refuse fails if one of the packages is or is under one of the paths.
func refuse(t *testing.T, packages []string, paths ...string) {
	t.Helper()
	for _, p := range packages {
		if slices.ContainsFunc(paths, func(path string) bool { return p == path || strings.HasPrefix(p, path+"/") }) {
			t.Errorf("%s is linked", p)
		}
	}
}

// A program that sends over RabbitMQ is what it imports: the core, the transport, its tasks.
func TestSenderLinksNoMore(t *testing.T) {
	t.Parallel()
	sender := dependencies(t, module+"runtime/task", module+"runtime/rabbitmq", module+"examples/quickstart/users")
	refuse(t, sender,
		"github.com/ncruces/go-sqlite3", "github.com/spf13", "golang.org/x/tools", "github.com/dave/jennifer",
		module+"runtime/sqlite", module+"runtime/memory", module+"runtime/broker", module+"runtime/worker", module+"runtime/events", module+"runtime/tasktest", "testing",
		module+"runtime/builtin", module+"runtime/control", module+"runtime/mail", "github.com/wneessen/go-mail", module+"runtime/redis", "github.com/redis",
	)
	if !slices.Contains(sender, "github.com/rabbitmq/amqp091-go") {
		t.Error("RabbitMQ's client is not linked: the list is not what this test takes it for")
	}
}

// Redis is for who imports it: no broker, and no worker that was not told to, links it.
func TestRedisIsLinkedWhereWanted(t *testing.T) {
	t.Parallel()
	refuse(t, dependencies(t, module+"runtime/broker", module+"runtime/worker", module+"examples/quickstart/..."), module+"runtime/redis", "github.com/redis")
	if store := dependencies(t, module+"runtime/redis"); !slices.Contains(store, "github.com/redis/go-redis/v9") {
		t.Error("Redis' client is not linked: the list is not what this test takes it for")
	} else {
		refuse(t, store, module+"runtime/broker", module+"runtime/rabbitmq", module+"runtime/sqlite", module+"runtime/worker", "testing")
	}
}

func TestCoreKnowsNoTransport(t *testing.T) {
	t.Parallel()
	core := dependencies(t, module+"runtime/task")
	refuse(t, core,
		module+"runtime/sqlite", module+"runtime/rabbitmq", module+"runtime/memory", module+"runtime/broker", module+"runtime/worker",
		"github.com/rabbitmq", "github.com/ncruces", "github.com/redis", "net/http",
	)
}

// The generator and the runtime have one thing in common, the code between them.
func TestHalvesAreApart(t *testing.T) {
	t.Parallel()
	refuse(t, dependencies(t, module+"runtime/..."), module+"internal", module+"cmd", module+"templates", "golang.org/x/tools", "github.com/dave/jennifer")
	refuse(t, dependencies(t, module+"cmd/...", module+"internal/..."), module+"runtime", "github.com/rabbitmq", "github.com/ncruces", "github.com/spf13")
}
