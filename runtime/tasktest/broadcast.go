package tasktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

var broadcastTests = map[string]func(*testing.T, *world){
	"arrives as it was sent":           testBroadcastFidelity,
	"fanout reaches everybody":         testBroadcastFanout,
	"topic reaches who wants it":       testBroadcastTopic,
	"direct reaches who has the key":   testBroadcastDirect,
	"straight to a listener":           testBroadcastStraight,
	"lost if nobody listens":           testBroadcastLost,
	"in order":                         testBroadcastOrder,
	"a slow listener holds up nobody":  testBroadcastSlow,
	"what lay for too long is dropped": testBroadcastTTL,
	"nothing after the listener's end": testListenerClose,
	"invalid broadcasts and listeners": testBroadcastInvalid,
	"closing sends what is on its way": testBroadcastClose,
}

// bulletin is an exchange of the test's own.
func (w *world) bulletin(kind string) task.Bulletin {
	return task.Bulletin{Name: w.exchange(kind), Type: kind}
}

// ear is a listener whose broadcasts a test takes one by one.
type ear struct {
	task.Listener
	w     *world
	queue string
	heard chan *task.Broadcast
}

// listen listens, and waits until the listener hears.
func (w *world) listen(t task.Transport, b task.Bulletin, keys ...string) *ear {
	w.Helper()
	e := &ear{w: w, queue: w.queue + fmt.Sprintf(".ear.%p", new(int)), heard: make(chan *task.Broadcast, 10_000)}
	var err error
	e.Listener, err = t.Listen(task.ListenConfig{
		Queue: e.queue, Exchange: b, Keys: keys, Deliver: func(b *task.Broadcast) { e.heard <- b },
	})
	w.check(err)
	w.Cleanup(func() { e.Close() })
	w.check(e.Ready(w.ctx))
	return e
}

// next waits for the next broadcast.
func (e *ear) next() *task.Broadcast {
	e.w.Helper()
	select {
	case b := <-e.heard:
		return b
	case <-e.w.ctx.Done():
		e.w.Fatal("no broadcast came")
		return nil
	}
}

// want takes as many broadcasts as bodies names, and checks that they are those, in that order, and no more.
func (e *ear) want(bodies string) {
	e.w.Helper()
	var got []string
	for range strings.FieldsSeq(bodies) {
		got = append(got, string(e.next().Body))
	}
	if text := strings.Join(got, " "); text != bodies {
		e.w.Errorf("heard %q, want %q", text, bodies)
	}
	e.none()
}

// none fails if a broadcast comes.
func (e *ear) none() {
	e.w.Helper()
	select {
	case b := <-e.heard:
		e.w.Errorf("heard %q, and nothing more should come", b.Body)
	case <-time.After(quiet):
	}
}

func (w *world) broadcast(t task.Transport, to task.Bulletin, key string, bodies ...string) {
	w.Helper()
	for _, body := range bodies {
		w.check(t.Broadcast(w.ctx, &task.Broadcast{
			Exchange: to, RoutingKey: key, ContentType: "application/json", ContentEncoding: "utf-8", Body: []byte(body),
		}))
	}
}

func testBroadcastFidelity(t *testing.T, w *world) {
	to := w.bulletin(task.Topic)
	e := w.listen(w.open(), to, "#")
	sent := &task.Broadcast{
		Exchange: to, RoutingKey: "worker.heartbeat", ContentType: "application/x-msgpack", ContentEncoding: "binary",
		Headers: map[string]any{
			"text": "grüße", "yes": true, "clock": int32(7), "large": int64(1) << 40, "expires": 1.5, "nothing": nil,
			"list": []any{"a", int32(1)}, "map": map[string]any{"k": "v"},
		},
		Body: []byte{0, 1, 0xff, '"', '\n'},
	}
	w.check(w.open().Broadcast(w.ctx, sent))
	got := e.next()
	got.Exchange.Type, got.Exchange.Durable = to.Type, to.Durable // of the exchange, a message has the name only
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("sent and heard differ (-sent +heard):\n%s", diff)
	}
}

func testBroadcastFanout(_ *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	sender := w.open()
	ears := []*ear{w.listen(sender, to), w.listen(w.open(), to), w.listen(w.open(), to)}
	w.broadcast(sender, to, "", "1", "2")
	w.broadcast(sender, to, "any key", "3")
	for _, e := range ears {
		e.want("1 2 3")
	}
}

func testBroadcastTopic(_ *testing.T, w *world) {
	to := w.bulletin(task.Topic)
	to.Durable = true
	sender := w.open()
	all, workers, both := w.listen(w.open(), to, "#"), w.listen(w.open(), to, "worker.#"), w.listen(w.open(), to, "task.*", "task.sent")
	w.broadcast(sender, to, "worker.heartbeat", "beat")
	w.broadcast(sender, to, "task.sent", "sent")
	w.broadcast(sender, to, "task.elect.ack", "ack")
	all.want("beat sent ack")
	workers.want("beat")
	both.want("sent")
}

func testBroadcastDirect(_ *testing.T, w *world) {
	to := w.bulletin(task.Direct)
	sender := w.open()
	one, other := w.listen(w.open(), to, "one"), w.listen(w.open(), to, "other")
	w.broadcast(sender, to, "one", "1")
	w.broadcast(sender, to, "nobody", "2")
	w.broadcast(sender, to, "other", "3")
	one.want("1")
	other.want("3")
}

func testBroadcastStraight(_ *testing.T, w *world) {
	sender := w.open()
	one, other := w.listen(w.open(), task.Bulletin{}), w.listen(w.open(), w.bulletin(task.Fanout))
	w.broadcast(sender, task.Bulletin{}, one.queue, "1")
	w.broadcast(sender, task.Bulletin{}, "nobody", "2")
	w.broadcast(sender, task.Bulletin{}, other.queue, "3")
	one.want("1")
	other.want("3")
}

func testBroadcastLost(_ *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	sender := w.open()
	first := w.listen(w.open(), to)
	w.broadcast(sender, to, "", "1")
	first.want("1")
	w.check(first.Close())
	w.broadcast(sender, to, "", "2")
	// Both left on one way, so the second has gone when this comes.
	marker := w.listen(w.open(), task.Bulletin{})
	w.broadcast(sender, task.Bulletin{}, marker.queue, "marker")
	marker.want("marker")
	late := w.listen(w.open(), to)
	w.broadcast(sender, to, "", "3")
	late.want("3")
}

func testBroadcastOrder(t *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	e := w.listen(w.open(), to)
	sender := w.open()
	const n = 2000
	for i := range n {
		w.broadcast(sender, to, "", fmt.Sprint(i))
	}
	for i := range n {
		if got := string(e.next().Body); got != fmt.Sprint(i) {
			t.Fatalf("number %d is %s", i, got)
		}
	}
}

func testBroadcastSlow(t *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	begun, free := make(chan struct{}, 1), make(chan struct{})
	transport := w.open()
	slow, err := transport.Listen(task.ListenConfig{Queue: w.queue + ".slow", Exchange: to, Deliver: func(*task.Broadcast) {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-free
	}})
	w.check(err)
	w.check(slow.Ready(w.ctx))
	quick := w.listen(transport, to)
	sender := w.open()
	w.broadcast(sender, to, "", "first")
	<-begun
	quick.want("first")
	large := strings.Repeat("x", 1<<20)
	for i := range 100 { // more than may wait for one listener
		w.broadcast(sender, to, "", large)
		if got := len(quick.next().Body); got != len(large) {
			t.Fatalf("broadcast %d has %d bytes", i, got)
		}
	}
	close(free)
	w.check(slow.Close())
}

func testBroadcastTTL(_ *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	begun, free := make(chan string, 10), make(chan struct{})
	const ttl = 50 * time.Millisecond
	listener, err := w.open().Listen(task.ListenConfig{Queue: w.queue + ".ttl", Exchange: to, TTL: ttl, Deliver: func(b *task.Broadcast) {
		begun <- string(b.Body)
		<-free
	}})
	w.check(err)
	w.Cleanup(func() { listener.Close() })
	w.check(listener.Ready(w.ctx))
	quick := w.listen(w.open(), to)
	sender := w.open()
	w.broadcast(sender, to, "", "first")
	for <-begun != "first" {
	}
	w.broadcast(sender, to, "", "stale")
	quick.want("first stale")
	time.Sleep(2 * ttl)
	close(free)
	// The fresh one can be late too, on a machine that is busy: then another may be in time.
	for {
		w.broadcast(sender, to, "", "fresh")
		select {
		case body := <-begun:
			if body != "fresh" {
				w.Errorf("heard %q, after its time", body)
			}
			return
		case <-time.After(quiet):
		case <-w.ctx.Done():
			w.Fatal("nothing fresh came")
		}
	}
}

func testListenerClose(_ *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	transport := w.open()
	e, other := w.listen(transport, to), w.listen(transport, to)
	w.check(e.Close())
	w.check(e.Close())
	w.broadcast(transport, to, "", "1")
	other.want("1")
	e.none()
}

func testBroadcastInvalid(t *testing.T, w *world) {
	transport := w.open()
	deliver := func(*task.Broadcast) {}
	for name, c := range map[string]task.ListenConfig{
		"no queue":       {Exchange: w.bulletin(task.Fanout), Deliver: deliver},
		"no Deliver":     {Queue: w.queue},
		"no type":        {Queue: w.queue, Exchange: task.Bulletin{Name: "x"}, Deliver: deliver},
		"headers":        {Queue: w.queue, Exchange: task.Bulletin{Name: "x", Type: task.Headers}, Deliver: deliver},
		"a negative TTL": {Queue: w.queue, TTL: -1, Deliver: deliver},
	} {
		if l, err := transport.Listen(c); err == nil {
			t.Errorf("%s: no error", name)
			l.Close()
		}
	}
	for name, b := range map[string]*task.Broadcast{
		"nowhere":   {},
		"no type":   {Exchange: task.Bulletin{Name: "x"}},
		"too large": {RoutingKey: "x", Body: make([]byte, 9<<20)},
		"long key":  {RoutingKey: strings.Repeat("x", 256)},
	} {
		if err := transport.Broadcast(w.ctx, b); err == nil {
			t.Errorf("broadcast, %s: no error", name)
		}
	}
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := transport.Broadcast(ended, &task.Broadcast{RoutingKey: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

func testBroadcastClose(_ *testing.T, w *world) {
	to := w.bulletin(task.Fanout)
	e := w.listen(w.open(), to)
	sender := w.Open(w)
	w.broadcast(sender, to, "", "1", "2", "3")
	w.check(sender.Close())
	e.want("1 2 3")
}
