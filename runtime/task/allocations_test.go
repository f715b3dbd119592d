package task_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// credentials are two strings, as the arguments of the benchmarks are.
type credentials struct{ Username, Password string }

func (a *credentials) Visit(f codec.Fields) {
	codec.String(f.Field("username"), &a.Username)
	codec.String(f.Field("password"), &a.Password)
}

// What may be allocated over the broker in memory, that broker's part included. The bounds leave room for one more, and for maps that grow.
const (
	maxPerDelay = 18 // measured: 17.0
	maxPerRun   = 19 // measured: 18.1
)

// A task is sent and run with few allocations. They do not depend on the machine, so this is where a change shows that makes
// tasks slower. It is not parallel, since all of the process is measured.
func TestAllocationsOfTask(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates too: make test runs this without it")
	}
	const tasks = 10_000
	transport := memory.New()
	defer transport.Close()
	ctx := task.WithClient(t.Context(), task.NewClient(transport, task.ClientConfig{}))
	check := task.Define[credentials](task.Spec{Name: "test.check", IgnoreResult: true}, codec.Nothing)
	args := &credentials{"ada.lovelace", "correct horse battery staple"}

	perDelay := allocations(func() {
		for range tasks {
			if _, err := check.Send(ctx, args); err != nil {
				t.Fatal(err)
			}
		}
	}) / tasks
	t.Logf("%.1f allocations for each Delay", perDelay)
	if perDelay > maxPerDelay {
		t.Errorf("%.1f allocations for each Delay, want at most %d", perDelay, maxPerDelay)
	}

	var ran sync.WaitGroup
	ran.Add(tasks)
	r := task.NewRegistry()
	check.Handle(r, func(context.Context, *credentials) (none task.None, err error) {
		ran.Done()
		return none, nil
	})
	w, err := task.NewWorker(transport, r, task.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	working, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	perRun := allocations(func() {
		go func() { ended <- w.Run(working) }()
		ran.Wait()
	}) / tasks
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f allocations for each run", perRun)
	if perRun > maxPerRun {
		t.Errorf("%.1f allocations for each run, want at most %d", perRun, maxPerRun)
	}
}

// allocations is how many the process makes meanwhile.
func allocations(do func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}
