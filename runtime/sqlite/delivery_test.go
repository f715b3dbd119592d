package sqlite_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestAMessageArrivesAsItWasSent(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	sent := message("q")
	sent.Exchange, sent.RoutingKey, sent.ReplyTo = "mail", "mail.welcome", "somewhere"
	sent.Priority = 7
	sent.ContentType, sent.ContentEncoding = "application/x-msgpack", "binary"
	sent.Body = []byte{0, 0xff, 'x'}
	sent.Headers = map[string]any{
		"string": "ä\x00", "empty": "", "long": strings.Repeat("x", 300), "true": true, "false": false,
		"int32": int32(-5), "float64": 0.1, "nil": nil,
		"list": []any{int32(1), "two", []any{}, map[string]any{}}, "map": map[string]any{"deep": []any{nil}},
		"int64": int64(1) << 40, "bytes": []byte{1},
	}
	for i := range 20 {
		sent.Headers[fmt.Sprint("more", i)] = int32(i)
	}
	sent.Bind = true
	publish(t, transport, sent)
	sent.Bind = false // done
	if diff := cmp.Diff(sent, consume(t, transport, 1, "q").next().Message, cmpopts.IgnoreUnexported(task.Message{})); diff != "" {
		t.Error(diff)
	}
}

func TestAnyIDComesBack(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	w := consume(t, transport, 1, "q")
	for _, id := range []string{
		newID(), strings.ToUpper(newID()), "exactly-16-bytes", "daily", "ünï", "a\x00b", "00000000-0000-0000-0000-00000000000x", "",
	} {
		m := message("q")
		m.ID = id
		publish(t, transport, m)
		d := w.next()
		if d.Message.ID != id {
			t.Errorf("%q became %q", id, d.Message.ID)
		}
		w.settle(d, task.Outcome{Result: &task.Result{ID: id, State: task.Success, Body: []byte(id)}})
		r, err := transport.Result(within(t), id)
		if err != nil || r == nil || r.ID != id || string(r.Body) != id {
			t.Errorf("%q: %+v %v", id, r, err)
		}
	}
}

func TestSendingAgainIsRecognised(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	m := message("q")
	publish(t, transport, m, m)
	w := consume(t, transport, 10, "q")
	d := w.next()
	publish(t, transport, m) // it runs
	later := message("q")
	later.ETA = time.Now().Add(time.Hour)
	publish(t, transport, later, later)
	w.settle(d, task.Outcome{Dead: &task.DeadLetter{Reason: "poison"}})
	publish(t, transport, m) // it is dead: this is a new life
	if d := w.next(); d.Message.ID != m.ID || d.Redelivered {
		t.Errorf("%+v", d)
	}
	if n, err := transport.Purge(within(t), "q"); n != 1 || err != nil {
		t.Errorf("besides, %d messages waited, not only the delayed one; %v", n, err)
	}
}

func TestAMessageWithoutQueueIsUnroutable(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	m := message("")
	if err := transport.Publish(within(t), m); !errors.Is(err, task.ErrUnroutable) || !strings.Contains(err.Error(), m.ID) {
		t.Errorf("got %v", err)
	}
}

func TestABadMessageOfABatchDoesNotHurtTheOthers(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	// The database itself refuses this one, in the midst of a transaction.
	if err := connect(t, url).Exec(`CREATE TRIGGER t BEFORE INSERT ON body WHEN NEW.body = CAST('refused' AS BLOB) BEGIN SELECT RAISE(ABORT, 'refused'); END`); err != nil {
		t.Fatal(err)
	}
	ms := []*task.Message{message("q"), message("q"), message("q"), message("q")}
	ms[1].Headers = map[string]any{"channel": make(chan int)}
	ms[2].Body = []byte("refused")
	errs := transport.PublishMany(within(t), ms)
	if len(errs) != 4 || errs[0] != nil || errs[1] == nil || errs[2] == nil || errs[3] != nil {
		t.Fatalf("got %v", errs)
	}
	if n, err := transport.Purge(within(t), "q"); n != 2 || err != nil {
		t.Errorf("%d messages were queued, %v", n, err)
	}
}

func TestAnETAIsKeptToTheMillisecond(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	sender, receiver := open(t, url), open(t, url)
	w := consume(t, receiver, 100, "q")
	const messages = 20
	due := map[string]time.Time{}
	for i := range messages {
		m := message("q")
		m.ETA = time.Now().Add(50*time.Millisecond + time.Duration(i*i)*time.Millisecond)
		due[m.ID] = m.ETA
		publish(t, sender, m)
	}
	far := message("q")
	far.ETA = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	publish(t, sender, far)
	var late time.Duration
	for range messages {
		d := w.next()
		lateness := time.Since(due[d.Message.ID])
		if lateness < 0 {
			t.Errorf("%s too early", -lateness)
		}
		late += lateness
		w.settle(d, task.Outcome{})
	}
	if mean := late / messages; mean > 2*time.Second {
		t.Errorf("%s late on average", mean)
	}
}

func TestRequeueDoesNotCount(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	w := consume(t, transport, 1, "q")
	publish(t, transport, message("q"))
	for range 3 {
		d := w.next()
		if d.Attempts != 0 || d.Redelivered {
			t.Fatalf("%+v", d)
		}
		w.settle(d, task.Outcome{Requeue: true})
	}
}

func TestCloseGivesBack(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"), message("q"))
	blocked, first := make(chan struct{}), make(chan *task.Delivery, 1)
	consumer, err := transport.Consume(task.ConsumeConfig{
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 2}},
		Deliver: func(d *task.Delivery) {
			first <- d
			<-blocked
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	delivered := <-first // the second is leased too, but not delivered
	time.AfterFunc(50*time.Millisecond, func() { close(blocked) })
	if err := consumer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := consumer.Settle(within(t), delivered, task.Outcome{Publish: []*task.Message{message("q")}}); !errors.Is(err, task.ErrStale) {
		t.Errorf("a settle after Close: %v", err)
	}
	w := consume(t, transport, 2, "q")
	attempts := map[string]int{}
	for range 2 {
		d := w.next()
		attempts[d.Message.ID] = d.Attempts
		if d.Redelivered != (d.Attempts > 0) {
			t.Errorf("%+v", d)
		}
	}
	for id, n := range attempts {
		if want := map[bool]int{true: 1, false: 0}[id == delivered.Message.ID]; n != want {
			t.Errorf("message %s had %d attempts, want %d", id, n, want)
		}
	}
}

func TestAnOutcomeIsOneTransaction(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	w := consume(t, transport, 1, "q")
	publish(t, transport, message("q"))
	d := w.next()
	if err := connect(t, url).Exec(`CREATE TRIGGER t BEFORE INSERT ON result BEGIN SELECT RAISE(ABORT, 'no results today'); END`); err != nil {
		t.Fatal(err)
	}
	next := message("q")
	outcome := task.Outcome{Publish: []*task.Message{next}, Result: &task.Result{ID: d.Message.ID, State: task.Retried}}
	if err := w.Settle(within(t), d, outcome); err == nil || errors.Is(err, task.ErrStale) {
		t.Fatalf("got %v", err)
	}
	if n, err := transport.Purge(within(t), "q"); n != 0 || err != nil {
		t.Errorf("half of the outcome was carried out: %d messages, %v", n, err)
	}
	outcome.Result = nil
	w.settle(d, outcome) // it can still be settled
	if d := w.next(); d.Message.ID != next.ID {
		t.Errorf("%+v", d.Message)
	}
}

func TestDeadLettersKeepEverything(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	w := consume(t, transport, 1, "q")
	m := message("q")
	m.Headers = map[string]any{"task": "demo.add"}
	publish(t, transport, m)
	at := time.Now().Truncate(time.Millisecond)
	w.settle(w.next(), task.Outcome{
		Dead:   &task.DeadLetter{Reason: "panic", Error: "it broke", Stack: "main.go:1", Worker: "w@h", Time: at},
		Result: &task.Result{ID: m.ID, State: task.Failure},
	})
	got := inspect(t, url, `SELECT name, task, reason, error, stack, worker, at, body, length(props) > 20
		FROM msg JOIN body USING (id) JOIN dead USING (id) JOIN queue ON queue.id = queue WHERE state = 3`)
	want := [][]string{{"q", "demo.add", "panic", "it broke", "main.go:1", "w@h", fmt.Sprint(at.UnixMilli()), string(m.Body), "1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r, err := transport.Result(within(t), m.ID); err != nil || r == nil || r.State != task.Failure {
		t.Errorf("%+v %v", r, err)
	}
}

func TestAnUnreadableRowIsParked(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	bad, good := message("q"), message("q")
	publish(t, transport, bad, good)
	if err := connect(t, url).Exec(`UPDATE body SET props = x'96ddffffffff' WHERE id = 1`); err != nil {
		t.Fatal(err)
	}
	w := consume(t, transport, 10, "q")
	if d := w.next(); d.Message.ID != good.ID {
		t.Errorf("%+v", d.Message)
	}
	if got := inspect(t, url, `SELECT reason FROM dead`); len(got) != 1 || got[0][0] != "unreadable" {
		t.Errorf("dead letters: %v", got)
	}
}

func TestPurgeSparesWhatRuns(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	w := consume(t, transport, 1, "q")
	var ms []*task.Message
	for i := range 5000 {
		m := message("q")
		if i%2 == 1 {
			m.ETA = time.Now().Add(time.Hour)
		}
		ms = append(ms, m)
	}
	if errs := transport.PublishMany(within(t), ms); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	publish(t, transport, message("another"))
	d := w.next()
	if n, err := transport.Purge(within(t), "q"); n != 4999 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	w.settle(d, task.Outcome{})
	if n, err := transport.Purge(within(t), "another"); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := transport.Purge(within(t), "unknown"); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestPrefetchHoldsAcrossQueues(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	for range 10 {
		publish(t, transport, message("a"), message("b"))
	}
	w := consume(t, transport, 3, "a", "b")
	held := map[string][]*task.Delivery{}
	for range 6 {
		d := w.next()
		held[d.Message.Queue] = append(held[d.Message.Queue], d)
	}
	if len(held["a"]) != 3 || len(held["b"]) != 3 {
		t.Fatalf("%d of a, %d of b", len(held["a"]), len(held["b"]))
	}
	w.settle(held["a"][0], task.Outcome{})
	if d := w.next(); d.Message.Queue != "a" {
		t.Errorf("%+v", d.Message)
	}
}

func TestAWaiterIsWokenAtOnce(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	client, worker := open(t, url), open(t, url)
	var times []time.Duration
	for range 11 {
		id := newID()
		got := make(chan time.Time, 1)
		go func() {
			if _, err := client.AwaitResult(within(t), id); err != nil {
				t.Error(err)
			}
			got <- time.Now()
		}()
		time.Sleep(20 * time.Millisecond)
		if err := worker.StoreResult(within(t), &task.Result{ID: id, State: task.Started}); err != nil {
			t.Fatal(err)
		}
		stored := time.Now()
		if err := worker.StoreResult(within(t), &task.Result{ID: id, State: task.Success}); err != nil {
			t.Fatal(err)
		}
		times = append(times, (<-got).Sub(stored))
	}
	slices.Sort(times)
	// Without the doorbell it would take half a second on average.
	if median := times[len(times)/2]; median > 300*time.Millisecond {
		t.Errorf("it took %s", median)
	}
}

func TestResultsExpire(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	keep := map[string]time.Duration{"default": 0, "short": time.Millisecond, "ever": -1}
	for id, ttl := range keep {
		if err := transport.StoreResult(within(t), &task.Result{ID: id, State: task.Success, TTL: ttl}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the short one is gone", func() bool {
		r, err := transport.Result(within(t), "short")
		return r == nil && err == nil
	})
	got := inspect(t, url, `SELECT task_id, expires - stored FROM result WHERE task_id <> 'short' ORDER BY 1`)
	if diff := cmp.Diff([][]string{{"default", fmt.Sprint((24 * time.Hour).Milliseconds())}, {"ever", ""}}, got); diff != "" {
		t.Error(diff)
	}
}
