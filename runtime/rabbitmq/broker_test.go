package rabbitmq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// brokerURL is the URL of the tests' broker.
func brokerURL(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("needs a RabbitMQ: run `make test`, or set TASKGEN_TEST_AMQP to the URL that scripts/rabbitmq.sh start prints")
	}
	return url
}

// world is what one test works in: a queue of its own at the broker.
type world struct {
	testing.TB
	url   string
	ctx   context.Context
	queue string
	admin *amqp.Channel // past the transport
}

func newWorld(t testing.TB, url string) *world {
	t.Helper()
	return newPatientWorld(t, url, patience)
}

func newPatientWorld(t testing.TB, url string, patience time.Duration) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	w := &world{TB: t, url: url, ctx: ctx, queue: "test-" + uuid.NewString()}
	w.connectAdmin()
	t.Cleanup(func() {
		w.connectAdmin()
		w.forget(w.queue)
	})
	return w
}

// forget deletes a queue and its dead letters.
func (w *world) forget(queue string) {
	for _, q := range []string{queue, queue + ".dead", queue + ".probation"} {
		_, _ = w.admin.QueueDelete(q, false, false, false)
	}
}

// named makes a name of the test's own for another queue, which is deleted when the test ends.
func (w *world) named(suffix string) string {
	name := w.queue + "-" + suffix
	w.Cleanup(func() { w.forget(name) })
	return name
}

// exchange makes a name of the test's own for an exchange, which is deleted when the test ends.
func (w *world) exchange(suffix string) string {
	name := w.queue + "-" + suffix
	w.Cleanup(func() { _ = w.admin.ExchangeDelete(name, false, false) })
	return name
}

// connectAdmin opens another admin channel, because the last one ended with an exception.
func (w *world) connectAdmin() {
	w.Helper()
	conn, err := amqp.Dial(w.url)
	w.check(err)
	w.Cleanup(func() { conn.Close() })
	w.admin, err = conn.Channel()
	w.check(err)
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// open opens a transport that is closed when the test ends.
func (w *world) open(url string) *rabbitmq.Transport {
	w.Helper()
	t, err := rabbitmq.Open(w.ctx, url)
	w.check(err)
	w.Cleanup(func() { t.Close() })
	return t
}

func (w *world) message(body string) *task.Message {
	id := uuid.NewString()
	return &task.Message{
		ID: id, Task: "test.task", Queue: w.queue, Mandatory: true,
		ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: map[string]any{"task": "test.task", "id": id, "retries": int32(0)},
		Body:    []byte(body),
	}
}

// through makes a mandatory message that names an exchange and no queue.
func (w *world) through(exchange, kind, key, body string) *task.Message {
	m := w.message(body)
	m.Queue, m.Exchange, m.ExchangeType, m.RoutingKey = "", exchange, kind, key
	return m
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
	deliveries chan *task.Delivery
	log        *lines
}

func (w *world) consume(t task.Transport, change ...func(*task.ConsumeConfig)) *inbox {
	w.Helper()
	in := &inbox{w: w, deliveries: make(chan *task.Delivery, 100_000), log: &lines{}}
	config := task.ConsumeConfig{
		Worker:        "test@here",
		Subscriptions: []task.Subscription{{Queue: w.queue, Prefetch: 100}},
		Deliver:       func(d *task.Delivery) { in.deliveries <- d },
		Logger:        slog.New(slog.NewTextHandler(in.log, nil)),
	}
	for _, c := range change {
		c(&config)
	}
	c, err := t.Consume(config)
	w.check(err)
	in.Consumer = c
	w.Cleanup(func() { c.Close() })
	return in
}

func (in *inbox) next() *task.Delivery {
	in.w.Helper()
	select {
	case d := <-in.deliveries:
		return d
	case <-in.w.ctx.Done():
		in.w.Fatalf("no delivery came; the log:\n%s", in.log)
		return nil
	}
}

// none fails if a delivery comes within a while; it can only miss a fault.
func (in *inbox) none(why string) {
	in.w.Helper()
	select {
	case d := <-in.deliveries:
		in.w.Fatalf("%s, but %q was delivered", why, d.Message.Body)
	case <-time.After(150 * time.Millisecond):
	}
}

func (in *inbox) ack(d *task.Delivery) {
	in.w.Helper()
	in.w.check(in.Settle(in.w.ctx, d, task.Outcome{}))
}

// drain acks what comes until every body has come, and returns how often each did. Deliveries of lost
// sessions come again.
func (in *inbox) drain(bodies ...string) map[string]int {
	in.w.Helper()
	seen := make(map[string]int)
	for missing := len(bodies); missing > 0; {
		d := in.next()
		if err := in.Settle(in.w.ctx, d, task.Outcome{}); err != nil && !errors.Is(err, task.ErrStale) {
			in.w.Fatal(err)
		}
		if seen[string(d.Message.Body)]++; seen[string(d.Message.Body)] == 1 {
			missing--
		}
	}
	return seen
}

// eventually waits until ok is true.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for !ok() {
		select {
		case <-w.ctx.Done():
			w.Fatalf("never happened: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// within fails if do takes longer than limit.
func (w *world) within(limit time.Duration, what string, do func()) {
	w.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > limit {
		w.Errorf("%s took %s, want at most %s", what, took.Round(time.Millisecond), limit)
	}
}

// numbers returns "0" to "n-1".
func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}

// lines is a log that several goroutines write and read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// node is a RabbitMQ of a test's own, to be hurt.
type node struct {
	t        testing.TB
	name     string
	settings []string // what start takes besides the name
	url      string
}

const script = "../../scripts/rabbitmq.sh"

// ownNode starts a node for the tests that hurt one, or need one with settings of its own. They run one after the other.
func ownNode(t testing.TB, settings ...string) *node {
	t.Helper()
	brokerURL(t)
	if testing.Short() {
		t.Skip("starts a RabbitMQ node of its own: not with -short")
	}
	if _, err := os.Stat("/usr/lib/rabbitmq/bin/rabbitmqctl"); err != nil {
		t.Skip("needs an installed RabbitMQ, to start a node of its own: scripts/rabbitmq.sh start")
	}
	n := &node{t: t, name: fmt.Sprintf("chaos-%d", os.Getpid()), settings: settings}
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", n.name).CombinedOutput(); err != nil {
			t.Errorf("stopping the node: %v\n%s", err, out)
		}
	})
	n.start()
	return n
}

func (n *node) start() {
	n.t.Helper()
	out, err := exec.Command(script, append([]string{"start", n.name}, n.settings...)...).Output()
	if err != nil {
		n.t.Fatalf("starting a node: %v", err)
	}
	n.url = strings.TrimSpace(string(out))
}

// ctl runs rabbitmqctl, and returns what it prints.
func (n *node) ctl(args ...string) string {
	n.t.Helper()
	out, err := exec.Command(script, append([]string{"ctl", n.name}, args...)...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (n *node) kill() {
	n.t.Helper()
	if out, err := exec.Command(script, "kill", n.name).CombinedOutput(); err != nil {
		n.t.Fatalf("killing the node: %v\n%s", err, out)
	}
}
