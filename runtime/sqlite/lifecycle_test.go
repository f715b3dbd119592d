package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// goroutinesOf returns the stacks of this package's goroutines.
func goroutinesOf() []string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var ours []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "runtime/sqlite.(*") {
			ours = append(ours, stack)
		}
	}
	return ours
}

// Not parallel: it counts goroutines.
func TestCloseLeavesNothingBehind(t *testing.T) {
	url := newURL(t)
	transport, err := sqlite.Open(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, transport, message("q"), message("q"))
	w := consume(t, transport, 2, "q")
	w.next()
	go func() { _, _ = transport.AwaitResult(within(t), "never") }()
	w.next()
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "no goroutine is left", func() bool { return len(goroutinesOf()) == 0 })
	if files, err := os.ReadDir(filepath.Join(path(url)+"-locks", "w")); len(files) != 0 || err != nil {
		t.Errorf("lock files: %v %v", files, err)
	}
	if _, err := os.Stat(path(url) + "-wal"); err == nil {
		t.Error("the last to close has left the log")
	}
	got := inspect(t, url, `SELECT (SELECT count(*) FROM proc), (SELECT count(*) FROM msg WHERE state = 0)`)
	if got[0][0] != "0" || got[0][1] != "2" {
		t.Errorf("%s processes, %s ready messages", got[0][0], got[0][1])
	}
}

func TestAProcessThatOnlySendsHasNoPresence(t *testing.T) {
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"))
	if n := len(goroutinesOf()); n != 1 {
		t.Errorf("%d goroutines, want the writer alone:\n%s", n, strings.Join(goroutinesOf(), "\n\n"))
	}
	if files, err := os.ReadDir(filepath.Join(path(url)+"-locks", "w")); len(files) != 0 || err != nil {
		t.Errorf("lock files: %v %v", files, err)
	}
	if got := inspect(t, url, `SELECT count(*) FROM proc`); got[0][0] != "0" {
		t.Errorf("%s processes", got[0][0])
	}
}

// A process may be known to the others before it has a name.
func TestAProcessHasItsName(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := transport.AwaitResult(ended, newID()); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	listen(t, transport, 1, "q")
	var got [][]string
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if got = inspect(t, url, `SELECT worker FROM proc`); len(got) == 1 && got[0][0] == "listener@test" {
			return
		}
	}
	t.Errorf("the names of processes are %q", got)
}

func TestAClosedTransport(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	w := consume(t, transport, 1, "q")
	publish(t, transport, message("q"))
	d := w.next()
	for range 2 {
		if err := transport.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, resultErr := transport.Result(within(t), "x")
	_, awaitErr := transport.AwaitResult(within(t), "x")
	_, purgeErr := transport.Purge(within(t), "q")
	_, consumeErr := transport.Consume(task.ConsumeConfig{
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 1}}, Deliver: func(*task.Delivery) {},
	})
	for what, err := range map[string]error{
		"Publish":     transport.Publish(within(t), message("q")),
		"StoreResult": transport.StoreResult(within(t), &task.Result{ID: "x"}),
		"Result":      resultErr,
		"AwaitResult": awaitErr,
		"Purge":       purgeErr,
		"Consume":     consumeErr,
	} {
		if !errors.Is(err, task.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.Settle(within(t), d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("Settle: %v", err)
	}
	if w.Ready() {
		t.Error("the consumer says it is ready")
	}
}

func TestCloseInsideDeliver(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	closed := make(chan error, 1)
	_, err := transport.Consume(task.ConsumeConfig{
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 1}},
		Deliver:       func(*task.Delivery) { closed <- transport.Close() },
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, transport, message("q"))
	select {
	case <-closed:
	case <-time.After(limit):
		t.Fatal("it hangs")
	}
}
