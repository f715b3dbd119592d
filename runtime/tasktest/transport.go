package tasktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

var transportTests = map[string]func(*testing.T, *world){
	"message arrives as it was sent":    testFidelity,
	"order":                             testOrder,
	"priority":                          testPriority,
	"prefetch bounds what is unsettled": testPrefetch,
	"acked is gone":                     testAck,
	"unsettled comes again":             testRedelivery,
	"requeue":                           testRequeue,
	"outcome puts the next attempt in its place": testNextAttempt,
	"outcome parks": testDead,
	"parked messages are replayed and dropped":   testReplay,
	"a visit of dead letters ends with an error": testDeadVisitEnds,
	"outcome answers the caller":                 testResult,
	"a final result stays":                       testFinalResult,
	"waiting for a result ends with its context": testAwaitContext,
	"a settled delivery can't be settled again":  testSettleTwice,
	"delayed":                              testDelayed,
	"batch":                                testBatch,
	"every message once among many":        testMany,
	"nothing after stop":                   testStop,
	"purge":                                testPurge,
	"an ended context publishes nothing":   testPublishContext,
	"a message waits for its first worker": testWaitsForWorker,
}

func testFidelity(t *testing.T, w *world) {
	transport := w.open()
	sent := w.message("")
	sent.Body = []byte{0, 1, 0xff, '"', '\n'}
	sent.ContentType, sent.ContentEncoding = "application/x-msgpack", "binary"
	sent.Priority = 3
	sent.Headers["text"] = "grüße"
	sent.Headers["yes"] = true
	sent.Headers["number"] = int32(-7)
	sent.Headers["float"] = 1.5
	sent.Headers["nothing"] = nil
	sent.Headers["list"] = []any{"a", int32(1), nil, []any{true}}
	sent.Headers["map"] = map[string]any{"k": "v", "n": map[string]any{"x": 2.5}}
	sent.ReplyTo = transport.ReplyTo()
	w.check(transport.Publish(w.ctx, sent))
	got := w.consume(transport, task.Subscription{}).next()
	if got.Redelivered || got.Attempts != 0 {
		t.Errorf("a first delivery says redelivered %v, attempts %d", got.Redelivered, got.Attempts)
	}
	type view struct {
		ID, Queue, ReplyTo, ContentType, ContentEncoding string
		Priority                                         uint8
		Headers                                          map[string]any
		Body                                             []byte
	}
	of := func(m *task.Message) view {
		return view{m.ID, m.Queue, m.ReplyTo, m.ContentType, m.ContentEncoding, m.Priority, m.Headers, m.Body}
	}
	if diff := cmp.Diff(of(sent), of(got.Message)); diff != "" {
		t.Errorf("sent and delivered differ (-sent +delivered):\n%s", diff)
	}
}

func testOrder(t *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "1", "2", "3", "4", "5")
	in := w.consume(transport, task.Subscription{})
	var got []*task.Delivery
	for range 5 {
		got = append(got, in.next())
	}
	if b := bodies(got); b != "1 2 3 4 5" {
		t.Errorf("delivered in the order %s", b)
	}
}

func testPriority(t *testing.T, w *world) {
	transport := w.open()
	for i, p := range []uint8{0, 9, 4, 9, 0} {
		m := w.message(fmt.Sprintf("%d/%d", p, i))
		m.Priority, m.Prioritized = p, true
		w.check(transport.Publish(w.ctx, m))
	}
	in := w.consume(transport, task.Subscription{Prefetch: 1, Prioritized: true})
	var got []*task.Delivery
	for range 5 {
		d := in.next()
		got = append(got, d)
		in.settle(d, task.Outcome{})
	}
	if b := bodies(got); b != "9/1 9/3 4/2 0/0 0/4" {
		t.Errorf("delivered in the order %s", b)
	}
}

func testPrefetch(_ *testing.T, w *world) {
	transport := w.open()
	in := w.consume(transport, task.Subscription{Prefetch: 3})
	w.publish(transport, "1", "2", "3", "4", "5")
	first := in.next()
	in.next()
	in.next()
	in.none("three are unsettled")
	in.settle(first, task.Outcome{})
	in.next()
	in.none("three are unsettled again")
}

func testAck(_ *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "1")
	in := w.consume(transport, task.Subscription{})
	in.settle(in.next(), task.Outcome{})
	w.check(in.Close())
	w.consume(transport, task.Subscription{}).none("the message was acked")
}

func testRedelivery(t *testing.T, w *world) {
	w.publish(w.open(), "1")
	crashing := w.Open(w)
	in := w.consume(crashing, task.Subscription{})
	in.next()
	w.check(in.Close())
	w.check(crashing.Close())
	again := w.consume(w.open(), task.Subscription{}).next()
	if !again.Redelivered || again.Attempts < 1 {
		t.Errorf("the second delivery says redelivered %v, attempts %d", again.Redelivered, again.Attempts)
	}
}

func testRequeue(_ *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "1")
	in := w.consume(transport, task.Subscription{Prefetch: 1})
	in.settle(in.next(), task.Outcome{Requeue: true})
	in.settle(in.next(), task.Outcome{})
	in.none("the message was acked")
}

func testNextAttempt(t *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "first")
	in := w.consume(transport, task.Subscription{})
	d := in.next()
	next := *d.Message
	next.Body = []byte("second")
	in.settle(d, task.Outcome{Publish: []*task.Message{&next}})
	again := in.next()
	if string(again.Message.Body) != "second" || again.Message.ID != d.Message.ID || again.Redelivered {
		t.Errorf("the next attempt is %q with id %s, redelivered %v; want \"second\", %s, false", again.Message.Body, again.Message.ID, again.Redelivered, d.Message.ID)
	}
	in.settle(again, task.Outcome{})
	in.none("both attempts are settled")
}

func testDead(t *testing.T, w *world) {
	transport := w.open()
	sent := w.message("poison")
	sent.Headers["mine"], sent.ReplyTo, sent.ContentType = "kept", "somewhere", "text/plain"
	w.check(transport.Publish(w.ctx, sent))
	in := w.consume(transport, task.Subscription{})
	letter := task.DeadLetter{Reason: "unknown-task", Error: "no such task", Stack: "main.f", Worker: "w@h", Time: time.Now().Truncate(time.Millisecond).UTC()}
	in.settle(in.next(), task.Outcome{Dead: &letter})
	in.none("the message is parked")
	dead := w.deadLetters(1)[0]
	dead.Time = dead.Time.Truncate(time.Millisecond).UTC()
	if diff := cmp.Diff(letter, dead.DeadLetter); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	m := dead.Message
	if m.ID != sent.ID || m.Task != sent.Task || m.Queue != w.queue || string(m.Body) != "poison" || m.ContentType != "text/plain" || m.ReplyTo != "somewhere" {
		t.Errorf("the message is %+v", m)
	}
	if diff := cmp.Diff(sent.Headers, m.Headers); diff != "" {
		t.Errorf("its headers (-want +got):\n%s", diff)
	}
}

// park publishes messages and parks them.
func (w *world) park(transport task.Transport, bodies ...string) *inbox {
	w.Helper()
	w.publish(transport, bodies...)
	in := w.consume(transport, task.Subscription{})
	for range bodies {
		in.settle(in.next(), task.Outcome{Dead: &task.DeadLetter{Reason: "test", Worker: "w@h", Time: time.Now()}})
	}
	return in
}

func testReplay(t *testing.T, w *world) {
	transport, other := w.open(), w.open()
	in := w.park(transport, "keep", "replay", "drop")
	w.deadLetters(3)
	actions := map[string]task.DeadAction{"replay": task.ReplayDead, "drop": task.DropDead}
	w.check(other.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		return actions[string(d.Message.Body)], nil
	}))
	d := in.next()
	if string(d.Message.Body) != "replay" || d.Message.Headers["task"] != "conformance.task" || d.Redelivered || d.Attempts != 0 {
		t.Errorf("replayed: %+v, %+v", d, d.Message)
	}
	in.settle(d, task.Outcome{})
	if left := w.deadLetters(1); len(left) != 1 || string(left[0].Message.Body) != "keep" {
		t.Errorf("%d are left, the first %q", len(left), left[0].Message.Body)
	}
	in.none("only one was replayed")
}

func testDeadVisitEnds(t *testing.T, w *world) {
	transport := w.open()
	w.park(transport, "a", "b")
	w.deadLetters(2)
	stop := errors.New("enough")
	visited := 0
	err := transport.DeadLetters(w.ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) {
		visited++
		return task.DropDead, stop
	})
	if !errors.Is(err, stop) || visited != 1 {
		t.Errorf("%d visited, %v", visited, err)
	}
	w.deadLetters(2)
	w.check(transport.DeadLetters(w.ctx, w.queue+"-missing", func(*task.DeadMessage) (task.DeadAction, error) {
		t.Error("a queue that is not there has dead letters")
		return task.KeepDead, nil
	}))
}

// deadLetters waits until the test's queue has so many, and returns all.
func (w *world) deadLetters(count int) []*task.DeadMessage {
	w.Helper()
	return w.deadLettersOf(w.queue, count)
}

func (w *world) deadLettersOf(queue string, count int) []*task.DeadMessage {
	w.Helper()
	transport := w.open()
	var dead []*task.DeadMessage
	w.eventually(fmt.Sprintf("%d messages are among the dead letters", count), func() bool {
		dead = nil
		w.check(transport.DeadLetters(w.ctx, queue, func(d *task.DeadMessage) (task.DeadAction, error) {
			dead = append(dead, d)
			return task.KeepDead, nil
		}))
		return len(dead) >= count
	})
	return dead
}

// result is a result that any client can read.
func result(m *task.Message, state task.State, value string) *task.Result {
	return &task.Result{
		ID: m.ID, State: state, ReplyTo: m.ReplyTo, ContentType: "application/json", ContentEncoding: "utf-8",
		Body: fmt.Appendf(nil, `{"task_id": %q, "status": %q, "result": %s, "traceback": null, "children": []}`, m.ID, state, value),
	}
}

// valueOf is the value in a result, as a tree.
func valueOf(t *testing.T, r *task.Result) any {
	t.Helper()
	s, ok := codec.ByContentType(r.ContentType)
	if !ok {
		t.Fatalf("the content type of a result is %q", r.ContentType)
	}
	tree, err := s.DecodeTree(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	message, _ := tree.(map[string]any)
	return message["result"]
}

func testResult(t *testing.T, w *world) {
	client, worker := w.open(), w.open()
	m := w.message("1")
	m.ReplyTo = client.ReplyTo()
	w.check(client.Publish(w.ctx, m))
	if r, err := client.Result(w.ctx, m.ID); err != nil || r != nil {
		t.Errorf("before the task ran its result is %v, %v; want none", r, err)
	}
	in := w.consume(worker, task.Subscription{})
	d := in.next()
	w.check(worker.StoreResult(w.ctx, result(d.Message, task.Started, "null")))
	w.eventually("the state is STARTED", func() bool {
		r, err := client.Result(w.ctx, m.ID)
		w.check(err)
		return r != nil && r.State == task.Started
	})
	in.settle(d, task.Outcome{Result: result(d.Message, task.Success, "42")})
	r, err := client.AwaitResult(w.ctx, m.ID)
	w.check(err)
	if r.State != task.Success || r.ID != m.ID || valueOf(t, r) != any(int64(42)) {
		t.Errorf("the result is %+v", r)
	}
	if r, err := client.Result(w.ctx, m.ID); err != nil || r == nil || r.State != task.Success {
		t.Errorf("asked again, the result is %v, %v", r, err)
	}
}

func testFinalResult(t *testing.T, w *world) {
	client, worker := w.open(), w.open()
	m := w.message("1")
	m.ReplyTo = client.ReplyTo()
	w.check(client.Publish(w.ctx, m)) // results are for who has sent the task
	w.check(worker.StoreResult(w.ctx, result(m, task.Success, "1")))
	w.check(worker.StoreResult(w.ctx, result(m, task.Retried, "2")))
	r, err := client.AwaitResult(w.ctx, m.ID)
	w.check(err)
	if r.State != task.Success {
		t.Errorf("the final result gave way to %s", r.State)
	}
}

func testAwaitContext(t *testing.T, w *world) {
	transport := w.open()
	ctx, cancel := context.WithCancel(w.ctx)
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := transport.AwaitResult(ctx, w.message("").ID); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func testSettleTwice(t *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "1")
	in := w.consume(transport, task.Subscription{})
	d := in.next()
	in.settle(d, task.Outcome{})
	again := w.message("copy")
	if err := in.Settle(w.ctx, d, task.Outcome{Publish: []*task.Message{again}}); !errors.Is(err, task.ErrStale) {
		t.Errorf("got %v, want ErrStale", err)
	}
	in.none("a stale settle publishes nothing")
}

func testDelayed(t *testing.T, w *world) {
	transport := w.open()
	in := w.consume(transport, task.Subscription{})
	start := time.Now()
	later, sooner := w.message("later"), w.message("sooner")
	later.ETA, sooner.ETA = start.Add(4*time.Second), start.Add(2*time.Second)
	w.check(transport.Publish(w.ctx, later))
	w.check(transport.Publish(w.ctx, sooner))
	w.publish(transport, "now")
	// A broker may count in whole seconds, and leave the rest to the worker.
	due := map[string]time.Time{"now": start, "sooner": sooner.ETA.Add(-time.Second), "later": later.ETA.Add(-time.Second)}
	for range len(due) {
		body := string(in.next().Message.Body)
		if at, waiting := due[body]; !waiting || time.Now().Before(at) {
			t.Errorf("%q was delivered after %s", body, time.Since(start))
		}
		delete(due, body)
	}
}

func testBatch(t *testing.T, w *world) {
	transport := w.open()
	var batch []*task.Message
	for i := range 500 {
		batch = append(batch, w.message(fmt.Sprint(i)))
	}
	if errs := transport.PublishMany(w.ctx, batch); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	in := w.consume(transport, task.Subscription{Prefetch: 1000})
	seen := map[string]bool{}
	for range batch {
		d := in.next()
		seen[string(d.Message.Body)] = true
		in.settle(d, task.Outcome{})
	}
	if len(seen) != len(batch) {
		t.Errorf("%d of %d were delivered", len(seen), len(batch))
	}
}

func testMany(t *testing.T, w *world) {
	const senders, each = 16, 50
	transport, other := w.open(), w.open()
	a, b := w.consume(transport, task.Subscription{Prefetch: 10}), w.consume(other, task.Subscription{Prefetch: 10})
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range each {
				if err := transport.Publish(w.ctx, w.message(fmt.Sprintf("%d.%d", s, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]int{}
	for range senders * each {
		from := a
		var d *task.Delivery
		select {
		case d = <-a.deliveries:
		case d = <-b.deliveries:
			from = b
		case <-w.ctx.Done():
			t.Fatalf("%d of %d came", len(seen), senders*each)
		}
		seen[string(d.Message.Body)]++
		from.settle(d, task.Outcome{})
	}
	group.Wait()
	a.none("all were delivered")
	b.none("all were delivered")
	if len(seen) != senders*each {
		t.Errorf("%d of %d came", len(seen), senders*each)
	}
}

func testStop(_ *testing.T, w *world) {
	transport := w.open()
	in := w.consume(transport, task.Subscription{})
	w.publish(transport, "before")
	d := in.next()
	w.check(in.Stop(w.ctx))
	w.publish(transport, "after")
	in.none("the consumer has stopped")
	in.settle(d, task.Outcome{})
	w.check(in.Close())
	fresh := w.consume(transport, task.Subscription{})
	if d := fresh.next(); string(d.Message.Body) != "after" {
		w.Errorf("%q was delivered", d.Message.Body)
	}
	fresh.none("the first message was acked after the stop")
}

func testPurge(t *testing.T, w *world) {
	transport := w.open()
	w.publish(transport, "1", "2", "3")
	n, err := transport.Purge(w.ctx, w.queue)
	w.check(err)
	if n != 3 {
		t.Errorf("purged %d of 3", n)
	}
	w.consume(transport, task.Subscription{}).none("the queue was purged")
}

func testPublishContext(t *testing.T, w *world) {
	transport := w.open()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := transport.Publish(ctx, w.message("1")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	w.consume(transport, task.Subscription{}).none("nothing was published")
}

func testWaitsForWorker(_ *testing.T, w *world) {
	w.publish(w.open(), "early")
	in := w.consume(w.open(), task.Subscription{})
	in.settle(in.next(), task.Outcome{})
}
