package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// through makes a message for the queues that an exchange leads it to.
func through(exchange, kind, key string) *task.Message {
	m := message("")
	m.Exchange, m.ExchangeType, m.RoutingKey, m.Mandatory = exchange, kind, key, true
	return m
}

// existing makes a message for a queue that must be there.
func existing(queue string) *task.Message {
	m := message(queue)
	m.Existing = true
	return m
}

// subscribe consumes, and waits until the queues and bindings are there.
func subscribe(t testing.TB, from *sqlite.Transport, subs ...task.Subscription) *worker {
	t.Helper()
	w := &worker{t: t, deliveries: make(chan *task.Delivery, 10_000)}
	for i := range subs {
		subs[i].Prefetch = max(subs[i].Prefetch, 1)
	}
	var err error
	w.Consumer, err = from.Consume(task.ConsumeConfig{Worker: "worker@test", Subscriptions: subs, Deliver: func(d *task.Delivery) { w.deliveries <- d }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	await(t, "the consumer is ready", w.Ready)
	return w
}

// ids takes the next n deliveries, and returns their task ids, sorted.
func (w *worker) ids(n int) []string {
	w.t.Helper()
	var ids []string
	for range n {
		d := w.next()
		ids = append(ids, d.Message.ID)
		w.settle(d, task.Outcome{})
	}
	slices.Sort(ids)
	return ids
}

func count(t testing.TB, url, query string) string {
	t.Helper()
	return inspect(t, url, `SELECT count(*) FROM `+query)[0][0]
}

func TestABindingThatIsThereIsNotWritten(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	bound := func(key string) *task.Message {
		m := through("x", task.Topic, key)
		m.Queue, m.Bind = "q", true
		return m
	}
	version := func() string { return inspect(t, url, `SELECT version FROM topology`)[0][0] }
	publish(t, transport, bound("a"))
	first := version()
	for range 3 {
		publish(t, transport, bound("a"))
		publish(t, open(t, url), bound("a"))
	}
	if now := version(); now != first || count(t, url, "binding") != "1" {
		t.Errorf("the version went from %s to %s with no new binding", first, now)
	}
	publish(t, transport, bound("b"))
	if now := version(); now == first || count(t, url, "binding") != "2" {
		t.Error("a new binding does not show")
	}
}

func TestBindingsOfOtherProcessesCountAtOnce(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	client, other := open(t, url), open(t, url)
	one := subscribe(t, other, task.Subscription{Queue: "one", Bindings: []task.Binding{{Exchange: "x", Type: task.Fanout}}})
	publish(t, client, through("x", task.Fanout, ""))
	two := subscribe(t, other, task.Subscription{Queue: "two", Own: true, Bindings: []task.Binding{{Exchange: "x", Type: task.Fanout}}})
	m := through("x", task.Fanout, "")
	publish(t, client, m)
	if got := two.ids(1); got[0] != m.ID {
		t.Errorf("the new queue got %s", got)
	}
	one.ids(2)
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	publish(t, client, through("x", task.Fanout, ""))
	one.ids(1)
	if n := count(t, url, "msg"); n != "0" {
		t.Errorf("%s messages lie where nobody finds them", n)
	}
}

func TestACopyInEachQueueIsRecognisedWhenSentAgain(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	bindings := []task.Binding{{Exchange: "x", Type: task.Fanout}}
	one := subscribe(t, transport, task.Subscription{Queue: "one", Bindings: bindings})
	m := through("x", task.Fanout, "")
	publish(t, transport, m, m)
	two := subscribe(t, transport, task.Subscription{Queue: "two", Bindings: bindings})
	d := one.next()
	publish(t, transport, m, m) // one copy runs
	if got := two.ids(1); got[0] != m.ID {
		t.Errorf("got %s", got)
	}
	one.settle(d, task.Outcome{})
	if n := count(t, url, "msg"); n != "0" {
		t.Errorf("%s messages are left", n)
	}
}

// TestWhatIsRolledBackIsForgotten: a message that the database refuses takes the queue and binding it has
// made with it, though others of the transaction need them.
func TestWhatIsRolledBackIsForgotten(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	if err := connect(t, url).Exec(`CREATE TRIGGER t BEFORE INSERT ON body WHEN NEW.body = CAST('refused' AS BLOB) BEGIN SELECT RAISE(ABORT, 'refused'); END`); err != nil {
		t.Fatal(err)
	}
	var ms []*task.Message
	for range 3 {
		plain, bound := message("plain"), through("x", task.Topic, "key")
		bound.Queue, bound.Bind = "bound", true
		ms = append(ms, plain, bound)
	}
	ms[0].Body, ms[1].Body = []byte("refused"), []byte("refused")
	errs := transport.PublishMany(within(t), ms)
	if len(errs) != 6 || errs[0] == nil || errs[1] == nil || errors.Join(errs[2:]...) != nil {
		t.Fatalf("got %v", errs)
	}
	publish(t, transport, through("x", task.Topic, "key"))
	subscribe(t, transport, task.Subscription{Queue: "plain"}).ids(2)
	subscribe(t, transport, task.Subscription{Queue: "bound"}).ids(3)
}

func TestAnOutcomeThatNothingTakesSettlesNothing(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"))
	w := consume(t, transport, 1, "q")
	d := w.next()
	o := task.Outcome{Publish: []*task.Message{message("q"), through("x", "", "nowhere")}, Result: &task.Result{ID: d.Message.ID, State: task.Success}}
	if err := w.Settle(within(t), d, o); !errors.Is(err, task.ErrUnroutable) {
		t.Errorf("got %v", err)
	}
	if n, r := count(t, url, "msg"), count(t, url, "result"); n != "1" || r != "0" {
		t.Errorf("%s messages and %s results are there, want 1 and 0", n, r)
	}
	w.settle(d, task.Outcome{})
}

func TestAnExchangeTypeThatThereIsNot(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	if err := transport.Publish(within(t), through("x", "x-delayed", "")); err == nil || !strings.Contains(err.Error(), "x-delayed") {
		t.Errorf("got %v", err)
	}
	for _, s := range []task.Subscription{
		{Queue: "q", Prefetch: 1, Bindings: []task.Binding{{Exchange: "x", Type: "x-delayed"}}},
		{Queue: "q", Prefetch: 1, Bindings: []task.Binding{{RoutingKey: "no exchange"}}},
		{Queue: "q", Prefetch: 1, Own: true, Heir: "q"},
		{Queue: "q"},
	} {
		_, err := transport.Consume(task.ConsumeConfig{Subscriptions: []task.Subscription{s}, Deliver: func(*task.Delivery) {}})
		if err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

// own is a subscription to a queue of the consumer's own.
func own() task.Subscription {
	return task.Subscription{Queue: "own", Own: true, Heir: "heir", Bindings: []task.Binding{{Exchange: "x", Type: task.Fanout}}}
}

// fillOwn puts messages of every state into the queue "own", whose consumer takes one at a time.
func fillOwn(t testing.TB, client *sqlite.Transport) (ids []string) {
	t.Helper()
	later := existing("own")
	later.ETA = time.Now().Add(2 * time.Second)
	ms := []*task.Message{existing("own"), existing("own"), later, through("x", task.Fanout, "")}
	publish(t, client, ms...)
	for _, m := range ms {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// inherited checks what became of the queue "own" that fillOwn has filled.
func inherited(t testing.TB, url string, client *sqlite.Transport, heir *worker, want []string) {
	t.Helper()
	var got []string
	for range want {
		d := heir.next()
		if d.Redelivered || d.Attempts != 0 || d.Message.Queue != "heir" {
			t.Errorf("the heir got %+v of %+v", d, d.Message)
		}
		got = append(got, d.Message.ID)
		heir.settle(d, task.Outcome{})
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("the heir got %s, want %s", got, want)
	}
	for _, m := range []*task.Message{existing("own"), through("x", task.Fanout, "")} {
		if err := client.Publish(within(t), m); !errors.Is(err, task.ErrUnroutable) {
			t.Errorf("a message for the queue that has gone: %v", err)
		}
	}
	for _, rows := range []string{"msg", "body", "binding", "queue WHERE owner IS NOT NULL"} {
		if n := count(t, url, rows); n != "0" {
			t.Errorf("%s rows of %s are left", n, rows)
		}
	}
}

func TestAnOwnQueueGoesWithItsConsumer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*sqlite.Transport, *worker) error{
		"consumer":  func(_ *sqlite.Transport, w *worker) error { return w.Close() },
		"transport": func(transport *sqlite.Transport, _ *worker) error { return transport.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := newURL(t)
			client, worker := open(t, url), open(t, url)
			heir := subscribe(t, client, task.Subscription{Queue: "heir", Prefetch: 10})
			w := subscribe(t, worker, own())
			ids := fillOwn(t, client)
			w.next()
			if err := end(worker, w); err != nil {
				t.Fatal(err)
			}
			inherited(t, url, client, heir, ids)
		})
	}
}

func TestAnOwnQueueGoesWithADeadProcess(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	client := open(t, url)
	heir := subscribe(t, client, task.Subscription{Queue: "heir", Prefetch: 10})
	owner := start(t, "own", url)
	if line := owner.line(); line != "ready" {
		t.Fatal(line)
	}
	ids := fillOwn(t, client)
	if taken := owner.line(); !slices.Contains(ids, taken) {
		t.Fatalf("%s is delivered, of %s", taken, ids)
	}
	if n := len(heir.deliveries); n != 0 {
		t.Fatalf("the heir has %d messages of the living", n)
	}
	owner.kill()
	inherited(t, url, client, heir, ids)
}

// ownRole takes messages of a queue of its own, says so, and keeps them until it is killed.
func ownRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	s := own()
	s.Prefetch = 1
	ready := make(chan struct{})
	c, err := transport.Consume(task.ConsumeConfig{
		Worker: "owner@test", Subscriptions: []task.Subscription{s},
		Deliver: func(d *task.Delivery) {
			<-ready
			fmt.Println(d.Message.ID)
		},
	})
	if err != nil {
		return err
	}
	for !c.Ready() {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready")
	close(ready)
	select {}
}

func TestAnHeirGetsAMessageOnce(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	heir := subscribe(t, transport, task.Subscription{Queue: "heir", Bindings: own().Bindings})
	w := subscribe(t, transport, own())
	m := through("x", task.Fanout, "")
	publish(t, transport, m)
	w.next()
	d := heir.next()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	heir.settle(d, task.Outcome{})
	if n, bodies := count(t, url, "msg"), count(t, url, "body"); n != "0" || bodies != "0" {
		t.Errorf("the heir, which has the message, got it again: %s messages, %s bodies", n, bodies)
	}
}

func TestDeadLettersOfAnOwnQueueAreTheHeirs(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	w := subscribe(t, transport, own())
	publish(t, transport, existing("own"))
	w.settle(w.next(), task.Outcome{Dead: &task.DeadLetter{Reason: "poison"}})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rows := inspect(t, url, `SELECT queue.name, reason FROM msg JOIN dead USING (id) JOIN queue ON queue.id = msg.queue WHERE state = 3`)
	if len(rows) != 1 || rows[0][0] != "heir" || rows[0][1] != "poison" {
		t.Errorf("got %s", rows)
	}
}

func TestAQueueThatWasAnOwnOne(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	client, worker := open(t, url), open(t, url)
	w := subscribe(t, worker, own())
	publish(t, client, message("own")) // as to any queue
	w.ids(1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	publish(t, client, message("another"), message("own"))
	// Now it is anybody's, and stays so.
	for _, s := range []task.Subscription{{Queue: "own"}, own(), {Queue: "own"}} {
		w = subscribe(t, worker, s)
		w.ids(1)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		publish(t, client, existing("own"))
	}
}

func TestOwnQueuesComeBackWithTheDatabase(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be removed there")
	}
	folder := filepath.Join(t.TempDir(), "data")
	url := "sqlite:" + folder
	w := subscribe(t, open(t, url), own())
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	client := open(t, url)
	m := through("x", task.Fanout, "")
	await(t, "the queue is bound again", func() bool { return client.Publish(within(t), m) == nil })
	w.ids(1)
}

func TestOwnQueuesOfAWorkerThatIsTakenForDead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be removed there")
	}
	url := newURL(t)
	worker, other := open(t, url), open(t, url)
	heir := subscribe(t, other, task.Subscription{Queue: "heir"})
	w := subscribe(t, worker, own())
	publish(t, other, existing("own"))
	lost := w.next()
	owner := inspect(t, url, `SELECT owner FROM queue WHERE name = 'own'`)[0][0]
	await(t, "the message is delivered to the heir", func() bool {
		_ = os.Remove(filepath.Join(path(url)+"-locks", "w", owner+".lock"))
		return len(heir.deliveries) > 0
	})
	heir.ids(1)
	if err := w.Settle(within(t), lost, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("the message that the heir has: %v", err)
	}
	// The worker is known again, and so are its queue and binding.
	m := through("x", task.Fanout, "")
	await(t, "the queue is bound again", func() bool { return other.Publish(within(t), m) == nil })
	if got := w.ids(1); got[0] != m.ID {
		t.Errorf("got %s", got)
	}
}
