package tasktest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

var exchangeTests = map[string]func(*testing.T, *world){
	"direct leads by the key":                            testDirect,
	"topic leads by pattern":                             testTopic,
	"fanout leads a copy to each queue":                  testFanout,
	"headers lead by the task":                           testHeaders,
	"a mandatory message that nothing takes":             testUnroutable,
	"a message that nothing takes and nobody misses":     testUnmissed,
	"a sender's binding keeps messages for workers":      testBind,
	"without a binding the queue gets nothing":           testUnbound,
	"an exchange keeps its type":                         testKeepsType,
	"a message names another type than its exchange has": testMistyped,
	"a binding names another type than its exchange has": testMistypedBinding,
	"a batch of messages that are taken and that aren't": testMixedBatch,
	"delayed through exchanges":                          testDelayedThroughExchanges,
	"bindings survive consumers":                         testBindingsStay,
	"several queues with one key":                        testOneKey,
	"a queue that must exist":                            testExisting,
	"an own queue's messages come to the heir":           testHeir,
	"an own queue without heir takes its messages along": testNoHeir,
	"an own queue's bindings go with it":                 testOwnBindings,
	"expired results are deleted":                        testDeleteExpired,
}

// kinds are the types of exchanges.
var kinds = []string{task.Direct, task.Topic, task.Fanout, task.Headers}

// named makes a name of the test's own for another queue.
func (w *world) named(suffix string) string {
	name := w.queue + "-" + suffix
	w.queues = append(w.queues, name)
	return name
}

// exchange makes a name of the test's own for an exchange.
func (w *world) exchange(suffix string) string {
	name := w.queue + "-" + suffix
	w.exchanges = append(w.exchanges, name)
	return name
}

// through makes a message for the queues that an exchange leads it to. It asks
// for no queue, but must be taken.
func (w *world) through(exchange, kind, key, body string) *task.Message {
	m := w.message(body)
	m.Queue, m.Exchange, m.ExchangeType, m.RoutingKey = "", exchange, kind, key
	return m
}

// ofTask makes a message another task's.
func ofTask(m *task.Message, name string) *task.Message {
	m.Task = name
	m.Headers["task"] = name
	return m
}

// subscribe consumes and waits until the queue and its bindings are there.
func (w *world) subscribe(t task.Transport, s task.Subscription) *inbox {
	w.Helper()
	in := w.consume(t, s)
	w.eventually("the consumer is ready", in.Ready)
	return in
}

// take settles the next n deliveries and returns their bodies, sorted.
func (in *inbox) take(n int) string {
	in.w.Helper()
	var got []string
	for range n {
		d := in.next()
		if d.Message.Queue != in.queue {
			in.w.Errorf("%q came from queue %q, and says %q", d.Message.Body, in.queue, d.Message.Queue)
		}
		got = append(got, string(d.Message.Body))
		in.settle(d, task.Outcome{})
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

// want takes as many deliveries as bodies names, and checks that they are those and no more.
func (in *inbox) want(bodies string) {
	in.w.Helper()
	if got := in.take(len(strings.Fields(bodies))); got != bodies {
		in.w.Errorf("queue %s got %q, want %q", in.queue, got, bodies)
	}
	in.none("nothing more leads to " + in.queue)
}

// unroutable checks that err says that no queue takes the message, and names where it should have gone.
func (w *world) unroutable(err error, names ...string) {
	w.Helper()
	if !errors.Is(err, task.ErrUnroutable) || errors.Is(err, task.ErrUnconfirmed) {
		w.Fatalf("got %v, want ErrUnroutable", err)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), name) {
			w.Errorf("the error %q does not name %q", err, name)
		}
	}
}

func testDirect(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	paris := w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, RoutingKey: "paris"}, {Exchange: x, RoutingKey: "lyon"}}})
	rome := w.subscribe(transport, task.Subscription{Queue: w.named("rome"), Bindings: []task.Binding{{Exchange: x, Type: task.Direct, RoutingKey: "rome"}}})
	for _, key := range []string{"paris", "rome", "lyon"} {
		w.check(transport.Publish(w.ctx, w.through(x, "", key, key)))
	}
	w.unroutable(transport.Publish(w.ctx, w.through(x, "", "*", "star")))
	paris.want("lyon paris")
	rome.want("rome")
}

func testTopic(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	one := w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, Type: task.Topic, RoutingKey: "site.*.mail"}}})
	all := w.subscribe(transport, task.Subscription{Queue: w.named("all"), Bindings: []task.Binding{
		{Exchange: x, Type: task.Topic, RoutingKey: "site.#"}, {Exchange: x, Type: task.Topic, RoutingKey: "#.mail"},
	}})
	for _, key := range []string{"site", "site.paris.mail", "site.paris.x.mail", "mail"} {
		w.check(transport.Publish(w.ctx, w.through(x, task.Topic, key, key)))
	}
	w.unroutable(transport.Publish(w.ctx, w.through(x, task.Topic, "sites.paris", "")))
	one.want("site.paris.mail")
	all.want("mail site site.paris.mail site.paris.x.mail")
}

func testFanout(t *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	bindings := []task.Binding{{Exchange: x, Type: task.Fanout}}
	one := w.subscribe(transport, task.Subscription{Bindings: bindings})
	two := w.subscribe(w.open(), task.Subscription{Queue: w.named("two"), Bindings: bindings})
	m := w.through(x, task.Fanout, "whatever", "news")
	w.check(transport.Publish(w.ctx, m))
	a, b := one.next(), two.next()
	for _, d := range []*task.Delivery{a, b} {
		if d.Message.ID != m.ID || d.Message.Exchange != x || d.Message.RoutingKey != "whatever" {
			t.Errorf("sent %+v, got %+v", m, d.Message)
		}
	}
	one.settle(a, task.Outcome{})
	two.settle(b, task.Outcome{Requeue: true}) // its copy is not touched by what became of the other
	two.want("news")
	one.none("its copy is settled")
}

func testHeaders(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	mail := w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, Type: task.Headers, Task: "conformance.mail"}}})
	spam := w.subscribe(transport, task.Subscription{Queue: w.named("spam"), Bindings: []task.Binding{{Exchange: x, Type: task.Headers, Task: "conformance.spam"}}})
	for _, name := range []string{"mail", "spam"} {
		w.check(transport.Publish(w.ctx, ofTask(w.through(x, task.Headers, "any", name), "conformance."+name)))
	}
	w.unroutable(transport.Publish(w.ctx, ofTask(w.through(x, task.Headers, "any", ""), "conformance.other")))
	mail.want("mail")
	spam.want("spam")
}

func testUnroutable(_ *testing.T, w *world) {
	transport := w.open()
	for _, kind := range kinds {
		x := w.exchange(kind)
		m := w.through(x, kind, "no.such.key", "lost")
		m.Queue = w.queue
		w.unroutable(transport.Publish(w.ctx, m), m.ID, x, "no.such.key")
	}
	w.subscribe(transport, task.Subscription{}).none("nothing is bound to the exchanges")
}

func testUnmissed(_ *testing.T, w *world) {
	transport := w.open()
	for _, kind := range kinds {
		m := w.through(w.exchange(kind), kind, "no.such.key", "lost")
		m.Queue, m.Mandatory = w.queue, false
		w.check(transport.Publish(w.ctx, m))
	}
	w.subscribe(transport, task.Subscription{}).none("nothing is bound to the exchanges")
}

func testBind(_ *testing.T, w *world) {
	transport := w.open()
	for _, kind := range kinds {
		x, queue := w.exchange(kind), w.named("q-"+kind)
		for _, body := range []string{"1", "2"} {
			m := w.through(x, kind, "key", body)
			m.Queue, m.Bind = queue, true
			w.check(transport.Publish(w.ctx, m))
		}
		// The binding serves others, too, even in another process.
		w.check(w.open().Publish(w.ctx, w.through(x, kind, "key", "3")))
		w.subscribe(transport, task.Subscription{Queue: queue}).want("1 2 3")
	}
}

func testUnbound(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	other := w.subscribe(transport, task.Subscription{Queue: w.named("other"), Bindings: []task.Binding{{Exchange: x, RoutingKey: "key"}}})
	in := w.subscribe(transport, task.Subscription{})
	m := w.through(x, task.Direct, "key", "1")
	m.Queue = w.queue
	w.check(transport.Publish(w.ctx, m))
	other.want("1")
	in.none("its queue is not bound")
}

func testKeepsType(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	first := w.through(x, task.Direct, "a.*", "literally")
	first.Queue, first.Bind = w.queue, true
	w.check(transport.Publish(w.ctx, first))
	in := w.subscribe(w.open(), task.Subscription{Bindings: []task.Binding{{Exchange: x, Type: task.Topic, RoutingKey: "#"}}})
	w.check(transport.Publish(w.ctx, w.through(x, task.Topic, "#", "too")))
	w.unroutable(transport.Publish(w.ctx, w.through(x, task.Topic, "a.b", "")))
	w.unroutable(w.open().Publish(w.ctx, w.through(x, task.Fanout, "a.b", "")))
	in.want("literally too")
}

func testMistyped(_ *testing.T, w *world) {
	for _, actual := range kinds {
		x := w.exchange(actual)
		w.subscribe(w.open(), task.Subscription{Bindings: []task.Binding{{Exchange: x, Type: actual, RoutingKey: "bound", Task: "conformance.bound"}}})
		if actual == task.Fanout {
			continue // takes everything
		}
		for _, named := range append(kinds, "") {
			err := w.open().Publish(w.ctx, w.through(x, named, "some.key", "lost"))
			w.unroutable(err, x, actual, "some.key")
			said := cmp.Or(named, task.Direct)
			first := fmt.Sprintf("%v: exchange %q is %s here, the task says %s", task.ErrUnroutable, x, actual, said)
			if got := strings.Contains(err.Error(), first); got == (actual == said) {
				w.Errorf("the exchange is %s, the message says %q: %v", actual, named, err)
			}
		}
	}
}

func testMistypedBinding(t *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	other := w.named("other")
	w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, RoutingKey: "key"}}})
	log := &records{}
	deliveries := make(chan *task.Delivery, 1)
	c, err := transport.Consume(task.ConsumeConfig{
		Worker: "conformance@test", Logger: slog.New(log),
		Deliver: func(d *task.Delivery) { deliveries <- d },
		Subscriptions: []task.Subscription{
			{Queue: w.queue, Prefetch: 1, Bindings: []task.Binding{{Exchange: x, Type: task.Direct, RoutingKey: "key"}, {Exchange: x}}},
			{Queue: other, Prefetch: 1, Bindings: []task.Binding{
				{Exchange: x, Type: task.Topic, RoutingKey: "a.*"}, {Exchange: x, Type: task.Topic, RoutingKey: "b.*"},
			}},
		},
	})
	w.check(err)
	w.Cleanup(func() { c.Close() })
	w.eventually("the consumer is ready, for other bindings work", c.Ready)
	if errs := log.errors(); len(errs) != 1 {
		t.Errorf("logged %d errors, want 1 for both bindings of the queue: %q", len(errs), errs)
	} else {
		for _, part := range []string{x, other, task.Direct, task.Topic, "delete the exchange", "give the binding"} {
			if !strings.Contains(errs[0], part) {
				t.Errorf("the log does not say %q: %s", part, errs[0])
			}
		}
	}
	m := w.message("works")
	m.Queue = other
	w.check(transport.Publish(w.ctx, m))
	select {
	case d := <-deliveries:
		w.check(c.Settle(w.ctx, d, task.Outcome{}))
	case <-w.ctx.Done():
		t.Error("nothing was delivered")
	}
}

// records keeps the errors of a log.
type records struct {
	mu    sync.Mutex
	texts []string
}

func (*records) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }
func (r *records) WithAttrs([]slog.Attr) slog.Handler             { return r }
func (r *records) WithGroup(string) slog.Handler                  { return r }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	text := record.Message
	record.Attrs(func(a slog.Attr) bool {
		text += " " + a.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
	return nil
}

func (r *records) errors() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.texts)
}

func testMixedBatch(t *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	in := w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, RoutingKey: "key"}}})
	unmissed := w.through(x, "", "elsewhere", "unmissed")
	unmissed.Mandatory = false
	missing := w.message("missing")
	missing.Queue, missing.Existing = w.queue+"-missing", true
	batch := []*task.Message{
		w.through(x, "", "key", "1"), w.through(x, "", "elsewhere", "lost"), w.message("2"), unmissed, missing, w.through(x, "", "key", "3"),
	}
	errs := transport.PublishMany(w.ctx, batch)
	if len(errs) != len(batch) {
		t.Fatalf("%d errors for %d messages", len(errs), len(batch))
	}
	for i, err := range errs {
		if i == 1 || i == 4 {
			w.unroutable(err, batch[i].ID)
		} else if err != nil {
			t.Errorf("message %d: %v", i, err)
		}
	}
	in.want("1 2 3")
}

func testDelayedThroughExchanges(t *testing.T, w *world) {
	const delay = 2200 * time.Millisecond
	transport := w.open()
	inboxes := map[*inbox]string{}
	for _, kind := range kinds {
		x := w.exchange(kind)
		inboxes[w.subscribe(transport, task.Subscription{Queue: w.named(kind + "-a"), Bindings: []task.Binding{
			{Exchange: x, Type: kind, RoutingKey: "key.a", Task: "conformance.a"},
		}})] = kind + "-a"
		b := w.subscribe(transport, task.Subscription{Queue: w.named(kind + "-b"), Bindings: []task.Binding{
			{Exchange: x, Type: kind, RoutingKey: "key.b", Task: "conformance.b"},
		}})
		if inboxes[b] = ""; kind == task.Fanout {
			inboxes[b] = kind + "-a"
		}
	}
	start := time.Now()
	for _, kind := range kinds {
		m := ofTask(w.through(w.queue+"-"+kind, kind, "key.a", kind+"-a"), "conformance.a")
		m.ETA = start.Add(delay)
		w.check(transport.Publish(w.ctx, m))
	}
	for in, want := range inboxes {
		if want == "" {
			continue
		}
		d := in.next()
		// A broker may count in whole seconds, and leave the rest to the worker.
		if early := time.Until(start.Add(delay)); early > time.Second {
			t.Errorf("%s came %s too early", want, early)
		}
		if d.Message.Queue != in.queue || string(d.Message.Body) != want {
			t.Errorf("queue %s got %q, which says queue %s; want %q", in.queue, d.Message.Body, d.Message.Queue, want)
		}
		in.settle(d, task.Outcome{})
	}
	for in := range inboxes {
		in.none("nothing more leads there")
	}
}

func testBindingsStay(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	first := w.subscribe(w.open(), task.Subscription{Bindings: []task.Binding{{Exchange: x, RoutingKey: "first"}}})
	second := w.subscribe(transport, task.Subscription{Bindings: []task.Binding{{Exchange: x, RoutingKey: "second"}}})
	w.check(second.Close())
	w.check(first.Close())
	for _, key := range []string{"first", "second"} {
		w.check(transport.Publish(w.ctx, w.through(x, "", key, key)))
	}
	w.subscribe(transport, task.Subscription{}).want("first second")
}

func testOneKey(_ *testing.T, w *world) {
	transport, x := w.open(), w.exchange("x")
	bindings := []task.Binding{{Exchange: x, RoutingKey: "key"}}
	one := w.subscribe(transport, task.Subscription{Bindings: bindings})
	two := w.subscribe(w.open(), task.Subscription{Queue: w.named("two"), Bindings: bindings})
	again := w.subscribe(w.open(), task.Subscription{Queue: w.named("three"), Bindings: append(bindings, bindings...)})
	w.check(transport.Publish(w.ctx, w.through(x, "", "key", "1")))
	one.want("1")
	two.want("1")
	again.want("1")
}

func testExisting(_ *testing.T, w *world) {
	transport := w.open()
	m := w.message("1")
	m.Existing = true
	for _, mandatory := range []bool{true, false} {
		m.Mandatory = mandatory
		w.unroutable(transport.Publish(w.ctx, m), m.ID, w.queue)
	}
	in := w.subscribe(w.open(), task.Subscription{Own: true})
	w.check(transport.Publish(w.ctx, m))
	in.want("1")
}

// waitForOwn gives brokers that find out slowly about consumers that have gone the time to do so.
func (w *world) waitForOwn() {
	ctx, cancel := context.WithTimeout(w.T.Context(), 2*time.Minute+patience)
	w.Cleanup(cancel)
	w.ctx = ctx
}

func testHeir(t *testing.T, w *world) {
	w.waitForOwn()
	transport := w.open()
	own := w.named("own")
	in := w.subscribe(w.open(), task.Subscription{Queue: own, Prefetch: 2, Own: true, Heir: w.queue})
	for _, body := range []string{"settled", "unsettled", "undelivered", "undelivered-too"} {
		m := w.message(body)
		m.Queue, m.Existing = own, true
		w.check(transport.Publish(w.ctx, m))
	}
	in.settle(in.next(), task.Outcome{})
	in.next()
	heir := w.subscribe(transport, task.Subscription{})
	w.check(in.Close())
	var got []*task.Delivery
	for range 3 {
		d := heir.next()
		if d.Message.Queue != w.queue || d.Redelivered {
			t.Errorf("%q came from queue %q, redelivered %v", d.Message.Body, d.Message.Queue, d.Redelivered)
		}
		got = append(got, d)
	}
	slices.SortFunc(got, func(a, b *task.Delivery) int { return bytes.Compare(a.Message.Body, b.Message.Body) })
	if b := bodies(got); b != "undelivered undelivered-too unsettled" {
		t.Errorf("the heir got %s", b)
	}
	for _, d := range got {
		heir.settle(d, task.Outcome{})
	}
	heir.none("that is all")
}

func testNoHeir(_ *testing.T, w *world) {
	w.waitForOwn()
	transport := w.open()
	in := w.subscribe(w.open(), task.Subscription{Own: true, Prefetch: 1})
	w.publish(transport, "unsettled", "undelivered")
	in.next()
	w.check(in.Close())
	w.eventually("the queue is gone", func() bool {
		m := w.message("late")
		m.Existing = true
		err := transport.Publish(w.ctx, m)
		if err != nil {
			w.unroutable(err, w.queue)
		}
		return err != nil
	})
	w.subscribe(transport, task.Subscription{Own: true}).none("the queue is a new one")
}

func testOwnBindings(_ *testing.T, w *world) {
	w.waitForOwn()
	transport, x := w.open(), w.exchange("x")
	in := w.subscribe(w.open(), task.Subscription{Own: true, Bindings: []task.Binding{{Exchange: x, Type: task.Fanout}}})
	w.check(transport.Publish(w.ctx, w.through(x, task.Fanout, "", "question")))
	in.want("question")
	w.check(in.Close())
	w.eventually("nothing is bound any more", func() bool {
		err := transport.Publish(w.ctx, w.through(x, task.Fanout, "", "question"))
		if err != nil {
			w.unroutable(err, x)
		}
		return err != nil
	})
}

func testDeleteExpired(t *testing.T, w *world) {
	transport := w.open()
	if !w.StoresResults {
		if n, err := transport.DeleteExpiredResults(w.ctx); n != 0 || err != nil {
			t.Errorf("deleted %d, %v, on a broker that stores none", n, err)
		}
		return
	}
	const each = 5
	var expiring, staying []string
	for range each {
		for _, ttl := range []time.Duration{time.Millisecond, 0, time.Hour, -1} {
			r := result(w.message(""), task.Success, "1")
			r.TTL = ttl
			w.check(transport.StoreResult(w.ctx, r))
			if ttl == time.Millisecond {
				expiring = append(expiring, r.ID)
			} else {
				staying = append(staying, r.ID)
			}
		}
	}
	there := func(id string) bool {
		r, err := transport.Result(w.ctx, id)
		w.check(err)
		return r != nil
	}
	w.eventually("the results have expired", func() bool { return !slices.ContainsFunc(expiring, there) })
	for _, want := range []int{each, 0} {
		if w.ForgetsResults {
			want = 0
		}
		if n, err := w.open().DeleteExpiredResults(w.ctx); n != want || err != nil {
			t.Errorf("deleted %d, %v; want %d", n, err, want)
		}
	}
	for _, id := range staying {
		if !there(id) {
			t.Errorf("result %s is gone before its time", id)
		}
	}
}
