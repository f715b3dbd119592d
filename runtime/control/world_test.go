package control_test

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// onBrokers runs a test in memory, with the embedded broker, and with RabbitMQ if there is one.
func onBrokers(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	for _, name := range []string{"memory", "sqlite", "rabbitmq"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			t.Cleanup(cancel)
			w := &world{T: t, ctx: ctx, url: "memory:" + t.Name(), queue: "control-" + uuid.NewString(), released: make(chan struct{})}
			switch name {
			case "sqlite":
				w.url = "sqlite:" + t.TempDir()
			case "rabbitmq":
				if w.url = os.Getenv("TASKGEN_TEST_AMQP"); w.url == "" {
					t.Skip("TASKGEN_TEST_AMQP names no broker")
				}
				t.Cleanup(func() { w.deleteQueues() })
			}
			test(t, w)
		})
	}
}

// world is what one test works in.
type world struct {
	*testing.T
	ctx      context.Context
	url      string
	queue    string // nobody else's
	released chan struct{}
	release  sync.Once
}

func (w *world) deleteQueues() {
	conn, err := amqp.Dial(w.url)
	if err != nil {
		w.Log("the queues stay:", err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	for _, name := range []string{w.queue, w.queue + ".probation", w.queue + ".extra", w.queue + ".extra.probation"} {
		if err == nil {
			_, err = channel.QueueDelete(name, false, false, false)
		}
	}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// eventually waits until ok is true.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for !ok() {
		select {
		case <-w.ctx.Done():
			w.Fatalf("never happened: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *world) open() task.Transport {
	w.Helper()
	t, err := broker.Transport(w.ctx, w.url)
	w.check(err)
	w.Cleanup(func() { t.Close() })
	return t
}

// client sends tasks.
func (w *world) client() context.Context {
	return task.WithClient(w.ctx, task.NewClient(w.open(), task.ClientConfig{}))
}

// fleet gives commands to the workers of these names.
func (w *world) fleet(names ...string) *control.Client {
	c := control.NewClient(w.open(), control.ClientConfig{Destination: names, Timeout: patience})
	w.Cleanup(func() { c.Close() })
	return c
}

// slowArgs are the arguments of tasks that take as long as a test wants.
type slowArgs struct {
	Seconds int64
	Value   string
}

func (a *slowArgs) Visit(f codec.Fields) {
	codec.Int(f.Field("seconds"), &a.Seconds)
	codec.String(f.Field("value"), &a.Value)
}

func define(spec task.Spec) task.Task[slowArgs, string] {
	return task.Define[slowArgs](spec, codec.String[string])
}

// names are the tasks of the captured worker.
var names = []string{
	"py.add", "py.echo", "py.echo_types", "py.fail", "py.identity", "py.ignore", "py.limits", "py.mul", "py.noresult", "py.on_error",
	"py.progress", "py.reject", "py.request", "py.retry", "py.slow", "py.spawn", "py.sum", "py.typed_result",
}

func (w *world) task(name string) task.Task[slowArgs, string] {
	spec := task.Spec{Name: name, Queue: w.queue, IgnoreResult: name == "py.noresult"}
	if name == "py.limits" {
		spec.Timeout = time.Minute
	}
	return define(spec)
}

// registry has the tasks of the captured worker: py.slow runs until the test lets it go or its context
// ends, py.reject though its context ends; the others return at once.
func (w *world) registry() *task.Registry {
	r := task.NewRegistry()
	for _, name := range names {
		w.task(name).Handle(r, func(ctx context.Context, a *slowArgs) (string, error) {
			switch name {
			case "py.slow":
				select {
				case <-w.released:
				case <-ctx.Done():
					return "", ctx.Err()
				}
			case "py.reject":
				<-ctx.Done()
			}
			return a.Value, nil
		})
	}
	return r
}

func (w *world) letGo() { w.release.Do(func() { close(w.released) }) }

// server is a worker that runs and can be controlled.
type server struct {
	*task.Worker
	ended chan error
}

func (w *world) serve(name string, change ...func(*task.WorkerConfig, *control.Config)) *server {
	w.Helper()
	config := task.WorkerConfig{Name: name, Concurrency: 2, Queues: []task.QueueConfig{{Name: w.queue}}, Logger: slog.New(slog.DiscardHandler), Drain: time.Millisecond}
	var served control.Config
	for _, c := range change {
		c(&config, &served)
	}
	worker, err := task.NewWorker(w.open(), w.registry(), config)
	w.check(err)
	served.Worker = worker
	s, err := control.Start(served)
	w.check(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	running := &server{Worker: worker, ended: make(chan error, 1)}
	go func() { running.ended <- worker.Run(ctx) }()
	w.Cleanup(func() {
		w.letGo()
		cancel()
		running.ended <- <-running.ended
		s.Close()
	})
	w.eventually("the worker is ready", worker.Ready)
	if served.Mode != control.Off {
		c := control.NewClient(w.open(), control.ClientConfig{Destination: []string{name}, Timeout: time.Second})
		defer c.Close()
		w.eventually("the worker listens", func() bool {
			_, err := c.Ping(w.ctx)
			return err == nil
		})
	}
	return running
}
