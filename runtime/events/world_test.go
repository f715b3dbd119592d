package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// world is a broker with one worker, and what is told there.
type world struct {
	*testing.T
	ctx         context.Context
	transport   task.Transport
	queue, name string
	worker      *task.Worker
	dispatcher  *events.Dispatcher
	stop        func()

	mu      sync.Mutex
	told    []told
	changed chan struct{}
}

// told is one event as it came, alone or in a list.
type told struct {
	*task.Broadcast
	event map[string]any // with json.Number
}

func (e told) kind() string { return e.text("type") }

func (e told) text(key string) string {
	text, _ := e.event[key].(string)
	return text
}

// onBrokers runs a test on every broker that there is.
func onBrokers(t *testing.T, test func(t *testing.T, url string)) {
	t.Parallel()
	for name, url := range map[string]string{
		"memory": "memory:" + uuid.NewString(), "sqlite": "sqlite:" + t.TempDir(), "rabbitmq": os.Getenv("TASKGEN_TEST_AMQP"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if url == "" {
				t.Skip("needs a RabbitMQ: run `make test`, or set TASKGEN_TEST_AMQP to the URL that scripts/rabbitmq.sh start prints")
			}
			test(t, url)
		})
	}
}

// newWorld listens at a broker.
func newWorld(t *testing.T, url string) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	id := uuid.NewString()
	w := &world{T: t, ctx: ctx, queue: "test.events." + id, name: "go@" + id, changed: make(chan struct{})}
	w.transport = w.open(url)
	t.Cleanup(cancel)
	l, err := w.transport.Listen(task.ListenConfig{
		Queue: "celeryev." + uuid.NewString(), Exchange: task.EventBulletin(), Keys: []string{"#"}, Deliver: w.hear,
	})
	w.check(err)
	t.Cleanup(func() { l.Close() })
	w.check(l.Ready(ctx))
	return w
}

func (w *world) open(url string) task.Transport {
	w.Helper()
	transport, err := broker.Transport(w.ctx, url)
	w.check(err)
	w.Cleanup(func() {
		if err := transport.Close(); err != nil && !errors.Is(err, task.ErrClosed) {
			w.Error(err)
		}
	})
	return transport
}

// check fails the test at once if err is not nil.
func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// hear takes note of the events of this test.
func (w *world) hear(b *task.Broadcast) {
	var list []map[string]any
	d := json.NewDecoder(bytes.NewReader(b.Body))
	d.UseNumber()
	if b.Body[0] == '{' {
		list = make([]map[string]any, 1)
		w.sound(d.Decode(&list[0]))
	} else {
		w.sound(d.Decode(&list))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range list {
		if e["hostname"] == w.name {
			w.told = append(w.told, told{b, e})
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) sound(err error) {
	if err != nil {
		w.Errorf("an event is no JSON: %v", err)
	}
}

// await waits for an event.
func (w *world) await(what string, ok func(told) bool) told {
	w.Helper()
	for {
		w.mu.Lock()
		i := slices.IndexFunc(w.told, ok)
		changed := w.changed
		if i >= 0 {
			defer w.mu.Unlock()
			return w.told[i]
		}
		w.mu.Unlock()
		select {
		case <-changed:
		case <-w.ctx.Done():
			w.Fatalf("%s never came; there are %v", what, w.kinds())
		}
	}
}

// awaitTask waits for an event of a task.
func (w *world) awaitTask(kind, id string) told {
	w.Helper()
	return w.await(kind+" of "+id, func(e told) bool { return e.kind() == kind && e.text("uuid") == id })
}

// awaitKind waits for an event of a type.
func (w *world) awaitKind(kind string) told {
	w.Helper()
	return w.await(kind, func(e told) bool { return e.kind() == kind })
}

// counts says how often an event of a type was told. Locked.
func (w *world) counts(kind string) (n int) {
	for _, e := range w.told {
		if e.kind() == kind {
			n++
		}
	}
	return n
}

// kinds are the types of all that was told.
func (w *world) kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.told {
		out = append(out, e.kind())
	}
	return out
}

// run starts the worker; stop drains it.
func (w *world) run(r *task.Registry, config events.Config) {
	w.Helper()
	w.runWith(r, w.transport, config)
}

func (w *world) runWith(r *task.Registry, b task.Broadcaster, config events.Config) {
	w.Helper()
	worker, err := task.NewWorker(w.transport, r, task.WorkerConfig{Name: w.name, Queues: []task.QueueConfig{{Name: w.queue}}, Drain: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	w.check(err)
	w.worker, w.dispatcher = worker, events.Start(worker, b, config)
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		w.check(<-ended)
		w.dispatcher.Close()
	})
	w.Cleanup(w.stop)
}

// client sends to the worker's queue, and tells of it in the worker's name, so that hear takes it.
func (w *world) client(url string) context.Context {
	w.Helper()
	return task.WithClient(w.ctx, task.NewClient(w.open(url), task.ClientConfig{Origin: w.name, SendEvents: true}))
}

// fixture is a captured event of Celery.
type fixture struct {
	RoutingKey string `json:"routing_key"`
	Properties struct {
		ContentType     string `json:"content_type"`
		ContentEncoding string `json:"content_encoding"`
	}
	Event map[string]any
	Body  []byte `json:"body_base64"`
}

func readFixture(t testing.TB, path string) fixture {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f fixture
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// as compares an event with those of Celery's versions in all but the values.
func (w *world) as(name string, e told) {
	w.Helper()
	found := 0
	for _, dir := range []string{"", "5.2.6"} {
		path := filepath.Join("../../testdata/celery", dir, "event-"+name+".json")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		found++
		f := readFixture(w, path)
		if diff := cmp.Diff(shape(f.Event), shape(e.event)); diff != "" {
			w.Errorf("%s (-Celery's +ours):\n%s", path, diff)
		}
		if f.RoutingKey != e.RoutingKey || f.Properties.ContentType != e.ContentType || f.Properties.ContentEncoding != e.ContentEncoding {
			w.Errorf("%s: %s, %s, %s; ours %s, %s, %s", path, f.RoutingKey, f.Properties.ContentType, f.Properties.ContentEncoding,
				e.RoutingKey, e.ContentType, e.ContentEncoding)
		}
	}
	if found == 0 {
		w.Errorf("there is no fixture of %s", name)
	}
	if e.Headers["hostname"] != w.name {
		w.Errorf("%s: header hostname: %v", name, e.Headers["hostname"])
	}
}

// shape is a value without what differs from event to event. Python tells 2 from 2.0.
func shape(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[key] = shape(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = shape(value)
		}
		return out
	case json.Number:
		if bytes.ContainsAny([]byte(v), ".eE") {
			return "float"
		}
		return "int"
	case string:
		return "text"
	case bool:
		return "bool"
	}
	return "null"
}
