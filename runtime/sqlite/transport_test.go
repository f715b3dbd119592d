package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// limit is how long anything in these tests may take before it counts as hung.
const limit = time.Minute

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// newURL returns the URL of a database of the test's own.
func newURL(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "queue.db")
}

func open(t testing.TB, url string) *sqlite.Transport {
	t.Helper()
	transport, err := sqlite.Open(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func message(queue string) *task.Message {
	return &task.Message{ID: newID(), Task: "demo.add", Queue: queue, ContentType: "application/json", Body: []byte(`[1,2]`)}
}

func publish(t testing.TB, to *sqlite.Transport, ms ...*task.Message) {
	t.Helper()
	for _, m := range ms {
		if err := to.Publish(within(t), m); err != nil {
			t.Fatal(err)
		}
	}
}

// A worker is a consumer whose deliveries a test takes one by one.
type worker struct {
	task.Consumer
	t          testing.TB
	deliveries chan *task.Delivery
}

func consume(t testing.TB, from *sqlite.Transport, prefetch int, queues ...string) *worker {
	t.Helper()
	w := &worker{t: t, deliveries: make(chan *task.Delivery, 10_000)}
	config := task.ConsumeConfig{Worker: "worker@test", Deliver: func(d *task.Delivery) { w.deliveries <- d }}
	for _, q := range queues {
		config.Subscriptions = append(config.Subscriptions, task.Subscription{Queue: q, Prefetch: prefetch})
	}
	var err error
	if w.Consumer, err = from.Consume(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func (w *worker) next() *task.Delivery {
	w.t.Helper()
	select {
	case d := <-w.deliveries:
		return d
	case <-time.After(limit):
		w.t.Fatal("no delivery")
		return nil
	}
}

func (w *worker) settle(d *task.Delivery, o task.Outcome) {
	w.t.Helper()
	if err := w.Settle(within(w.t), d, o); err != nil {
		w.t.Fatal(err)
	}
}

func TestPublishConsumeSettleResult(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	m := message("q")
	publish(t, transport, m)
	w := consume(t, transport, 1, "q")
	d := w.next()
	if d.Message.ID != m.ID || string(d.Message.Body) != string(m.Body) || d.Redelivered || d.Attempts != 0 {
		t.Fatalf("%+v of %+v", d, d.Message)
	}
	w.settle(d, task.Outcome{Result: &task.Result{ID: m.ID, State: task.Success, Body: []byte("3")}})
	r, err := transport.AwaitResult(within(t), m.ID)
	if err != nil || r.State != task.Success || string(r.Body) != "3" {
		t.Fatalf("%+v %v", r, err)
	}
	if n, err := transport.Purge(within(t), "q"); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}
