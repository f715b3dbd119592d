package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/taskgen/taskgen/bench/tasks"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/worker"
)

// RabbitMQ is taskgen on RabbitMQ.
var RabbitMQ = &System{
	Name: "taskgen, RabbitMQ", About: "quorum queue, WAL on disk, confirmed", Server: "rabbitmq", Many: true,
	Prepare: func(ctx context.Context, url string) error { return makeQueue(ctx, url, "quorum") },
	Open:    openTaskgen, Work: workTaskgen,
}

// SQLite is taskgen on its embedded broker.
var SQLite = &System{
	Name: "taskgen, SQLite", About: "committed, fsync", Many: true,
	Prepare: func(_ context.Context, url string) error {
		folder := strings.TrimPrefix(url, "sqlite:")
		return errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o755))
	},
	Open: openTaskgen, Work: workTaskgen,
}

// batch is how many tasks go into one call. What a call holds in memory is bounded by it.
const batch = 10_000

type taskgenSender struct {
	client  *task.Client
	results bool

	mu    sync.Mutex
	calls []*task.Call[int64]
}

func openTaskgen(ctx context.Context, job Job) (Sender, error) {
	client, err := broker.Open(ctx, job.Broker)
	if err != nil {
		return nil, err
	}
	return &taskgenSender{client: client, results: job.Results}, nil
}

func (s *taskgenSender) Send(ctx context.Context) error {
	ctx = task.WithClient(ctx, s.client)
	if !s.results {
		_, err := tasks.Noop.Delay(ctx, User, Stamp())
		return err
	}
	call, err := tasks.Answer.Delay(ctx, User, Stamp())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, call)
	return nil
}

func (s *taskgenSender) SendMany(ctx context.Context, n int) error {
	ctx = task.WithClient(ctx, s.client)
	for ; n > 0; n -= batch {
		args := make([]tasks.NoopArgs, min(n, batch))
		for i := range args {
			args[i] = tasks.NoopArgs{User: User, Stamp: Stamp()}
		}
		if _, err := tasks.Noop.DelayMany(ctx, args); err != nil {
			return err
		}
	}
	return nil
}

// Await implements [Awaiter].
func (s *taskgenSender) Await(ctx context.Context) error {
	for _, call := range s.calls {
		if n, err := call.Get(ctx); err != nil || n != int64(len(User)) {
			return fmt.Errorf("result %d of task %s: %w", n, call.ID, err)
		}
	}
	return nil
}

func (s *taskgenSender) Close() error { return s.client.Close() }

// workTaskgen is what a generated worker does, with the flags that people have.
func workTaskgen(ctx context.Context, job Job, started func(string)) error {
	tasks.Started = func(_, stamp string) { started(stamp) }
	r := task.NewRegistry()
	tasks.RegisterTasks(r)
	os.Args = []string{
		"worker", "-broker", job.Broker, "-hostname", fmt.Sprintf("bench-%d@%%h", os.Getpid()), "-loglevel", "warn",
		"-concurrency", strconv.Itoa(job.Concurrency), "-prefetch", strconv.Itoa(job.Prefetch),
	}
	context.AfterFunc(ctx, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) })
	worker.Main(r, nil) // ends the process
	return nil
}
