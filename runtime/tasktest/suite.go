// Package tasktest holds the conformance suite that every [task.Transport] passes:
// what it promises, tested through the transport itself and through clients and workers on
// top of it.
package tasktest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

// Broker is a transport under test.
type Broker struct {
	// Open connects to the same broker each time, as another process would. The
	// suite closes what it opens.
	Open func(t testing.TB) task.Transport
	// StoresResults says that results are kept by task id until they expire, not sent to the caller.
	StoresResults bool
	// Delete deletes queues and exchanges that a test has made, if there are such. nil where they go with
	// the broker of the test.
	Delete func(t testing.TB, queues, exchanges []string)
}

// Run runs the whole suite. open makes the broker of one test.
func Run(t *testing.T, open func(t *testing.T) Broker) {
	for name, test := range map[string]map[string]func(*testing.T, *world){
		"Transport": transportTests,
		"Worker":    workerTests,
		"Guide":     guideTests,
		"Exchange":  exchangeTests,
		"Queues":    queuesTests,
		"Broadcast": broadcastTests,
	} {
		t.Run(name, func(t *testing.T) {
			for name, test := range test {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					w := &world{T: t, Broker: open(t), ctx: ctx, queue: "conformance-" + uuid.NewString()}
					if w.Delete != nil {
						// Before the test's own cleanups are added: so it runs after them.
						t.Cleanup(func() { w.Delete(t, append(w.queues, w.queue), w.exchanges) })
					}
					test(t, w)
				})
			}
		})
	}
}

const (
	// patience is how long a test waits for what must come.
	patience = 60 * time.Second
	// quiet is how long a test looks whether something comes that must not. It can only miss a
	// fault, never invent one.
	quiet = 150 * time.Millisecond
)

// world is what one test works in.
type world struct {
	*testing.T
	Broker
	ctx   context.Context
	queue string // nobody else's
	// queues and exchanges are others of the test's own.
	queues, exchanges []string
}

// open opens a transport that is closed when the test ends.
func (w *world) open() task.Transport {
	w.Helper()
	t := w.Open(w)
	w.Cleanup(func() {
		if err := t.Close(); err != nil {
			w.Errorf("closing the transport: %v", err)
		}
	})
	return t
}

// check fails the test at once if err is not nil.
func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// message makes a message for the test's queue.
func (w *world) message(body string) *task.Message {
	id := uuid.Must(uuid.NewV7()).String()
	return &task.Message{
		ID: id, Task: "conformance.task", Queue: w.queue, Mandatory: true,
		ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: map[string]any{"task": "conformance.task", "id": id},
		Body:    []byte(body),
	}
}

func (w *world) publish(t task.Transport, bodies ...string) {
	w.Helper()
	for _, body := range bodies {
		w.check(t.Publish(w.ctx, w.message(body)))
	}
}

// inbox is a consumer whose deliveries a test takes one by one.
type inbox struct {
	task.Consumer
	w          *world
	queue      string
	deliveries chan *task.Delivery
}

func (w *world) consume(t task.Transport, s task.Subscription) *inbox {
	w.Helper()
	if s.Queue == "" {
		s.Queue = w.queue
	}
	in := &inbox{w: w, queue: s.Queue, deliveries: make(chan *task.Delivery, 10_000)}
	if s.Prefetch == 0 {
		s.Prefetch = 100
	}
	c, err := t.Consume(task.ConsumeConfig{
		Worker: "conformance@test", Subscriptions: []task.Subscription{s},
		Deliver: func(d *task.Delivery) { in.deliveries <- d },
	})
	w.check(err)
	in.Consumer = c
	w.Cleanup(func() { c.Close() })
	return in
}

// next waits for the next delivery.
func (in *inbox) next() *task.Delivery {
	in.w.Helper()
	select {
	case d := <-in.deliveries:
		return d
	case <-in.w.ctx.Done():
		in.w.Fatal("no delivery came")
		return nil
	}
}

// none fails if a delivery comes.
func (in *inbox) none(why string) {
	in.w.Helper()
	select {
	case d := <-in.deliveries:
		in.w.Fatalf("%s, but %q was delivered", why, d.Message.Body)
	case <-time.After(quiet):
	}
}

func (in *inbox) settle(d *task.Delivery, o task.Outcome) {
	in.w.Helper()
	in.w.check(in.Settle(in.w.ctx, d, o))
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

func bodies(deliveries []*task.Delivery) string {
	var out []string
	for _, d := range deliveries {
		out = append(out, string(d.Message.Body))
	}
	return strings.Join(out, " ")
}
