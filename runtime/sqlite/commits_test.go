package sqlite_test

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

type credentials struct{ Username, Password string }

func (a *credentials) Visit(f codec.Fields) {
	codec.String(f.Field("username"), &a.Username)
	codec.String(f.Field("password"), &a.Password)
}

// Tasks share transactions, and so the price of each. How many share one depends on when they come, so there is room in the bounds
// where they come from several goroutines.
func TestCommitsOfTasks(t *testing.T) {
	t.Parallel()
	const tasks = 1000
	url := newURL(t)
	counted := func() (*sqlite.Transport, *atomic.Int64) {
		transport, n := open(t, url), new(atomic.Int64)
		if err := transport.CountCommits(within(t), func() { n.Add(1) }); err != nil {
			t.Fatal(err)
		}
		return transport, n
	}
	bound := func(what string, n *atomic.Int64, most int64) {
		t.Helper()
		commits := n.Swap(0)
		t.Logf("%d transactions for 1,000 tasks %s", commits, what)
		if commits > most {
			t.Errorf("%d transactions for 1,000 tasks %s, want at most %d", commits, what, most)
		}
	}
	sender, sent := counted()
	ctx := task.WithClient(within(t), task.NewClient(sender, task.ClientConfig{}))
	check := task.Define[credentials](task.Spec{Name: "test.check", IgnoreResult: true}, codec.Nothing)
	args := make([]credentials, tasks)
	for i := range args {
		args[i] = credentials{"ada.lovelace", "correct horse battery staple"}
	}

	sent.Store(0)
	for i := range args {
		if _, err := check.Send(ctx, &args[i]); err != nil {
			t.Fatal(err)
		}
	}
	bound("of Delay, one after the other", sent, tasks) // measured: 1,000
	if _, err := check.DelayMany(ctx, args); err != nil {
		t.Fatal(err)
	}
	bound("of DelayMany", sent, 2) // measured: 1

	var senders sync.WaitGroup
	for i := range args {
		senders.Go(func() {
			if _, err := check.Send(ctx, &args[i]); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	bound("of Delay, all at once", sent, 50) // measured: 2 to 6

	var ran sync.WaitGroup
	ran.Add(3 * tasks)
	r := task.NewRegistry()
	check.Handle(r, func(context.Context, *credentials) (none task.None, err error) {
		ran.Done()
		return none, nil
	})
	receiver, received := counted()
	w, err := task.NewWorker(receiver, r, task.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	ran.Wait()
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	received.Store(received.Load() / 3)
	bound("run by a worker", received, 700) // measured: 170 with two threads, 570 with one
}
