package tasktest

import (
	"errors"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

var queuesTests = map[string]func(*testing.T, *world){
	"an added queue is consumed":                    testAdd,
	"an added queue's bindings":                     testAddBindings,
	"a removed queue delivers nothing":              testRemove,
	"what is out of a removed queue":                testRemoveUnsettled,
	"a queue comes and goes again":                  testAddRemoveAgain,
	"the prefetch changes":                          testResize,
	"the last queue is removed":                     testRemoveLast,
	"an own queue that is removed":                  testRemoveOwn,
	"an own queue of which something is out":        testRemoveOwnUnsettled,
	"invalid queues, and a consumer that has ended": testAddInvalid,
}

// to makes a message for another queue.
func (w *world) to(queue, body string) *task.Message {
	m := w.message(body)
	m.Queue = queue
	return m
}

// existing makes a message for a queue that must be there.
func (w *world) existing(queue, body string) *task.Message {
	m := w.to(queue, body)
	m.Existing = true
	return m
}

// add adds a queue and waits for it.
func (in *inbox) add(s task.Subscription) {
	in.w.Helper()
	if s.Prefetch == 0 {
		s.Prefetch = 100
	}
	in.w.check(in.Add(s))
	in.w.eventually("the consumer is ready for another queue", in.Ready)
}

func testAdd(t *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{Prefetch: 1})
	held := w.named("held")
	w.publish(transport, "first")
	first := in.next()
	w.check(transport.Publish(w.ctx, w.to(held, "before")))
	in.add(task.Subscription{Queue: held, Prefetch: 1})
	before := in.next()
	if string(before.Message.Body) != "before" || before.Message.Queue != held {
		t.Errorf("got %q of queue %s", before.Message.Body, before.Message.Queue)
	}
	w.check(transport.Publish(w.ctx, w.to(held, "after")))
	in.none("the prefetch of each queue is 1")
	in.settle(before, task.Outcome{})
	after := in.next()
	in.settle(first, task.Outcome{})
	in.settle(after, task.Outcome{})
	in.add(task.Subscription{Queue: held, Prefetch: 1})
	w.check(transport.Publish(w.ctx, w.to(held, "once")))
	in.settle(in.next(), task.Outcome{})
	in.none("a queue that was added twice is consumed once")
}

func testAddBindings(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	bound, exchange := w.named("bound"), w.exchange("topic")
	in.add(task.Subscription{Queue: bound, Bindings: []task.Binding{{Exchange: exchange, Type: task.Topic, RoutingKey: "a.*"}}})
	w.check(w.open().Publish(w.ctx, w.through(exchange, task.Topic, "a.b", "1")))
	in.settle(in.next(), task.Outcome{})
}

func testRemove(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	extra := w.named("extra")
	in.add(task.Subscription{Queue: extra, Prefetch: 1})
	w.check(transport.Publish(w.ctx, w.to(extra, "1")))
	in.settle(in.next(), task.Outcome{})
	w.check(in.Remove(extra))
	w.check(in.Remove(extra))
	w.check(in.Remove("nobody's"))
	w.check(transport.Publish(w.ctx, w.to(extra, "2")))
	in.none("the queue was removed")
	w.publish(transport, "3")
	in.want("3")
	if !in.Ready() {
		w.Error("the consumer is not ready for what is left")
	}
	other := w.subscribe(w.open(), task.Subscription{Queue: extra})
	other.want("2")
}

func testRemoveUnsettled(t *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	extra := w.named("extra")
	in.add(task.Subscription{Queue: extra, Prefetch: 2})
	for _, body := range []string{"1", "2", "3"} {
		w.check(transport.Publish(w.ctx, w.to(extra, body)))
	}
	first, second := in.next(), in.next()
	w.check(in.Remove(extra))
	in.settle(first, task.Outcome{})
	in.none("the queue was removed, though there is room")
	other := w.subscribe(w.open(), task.Subscription{Queue: extra})
	other.want("3")
	in.settle(second, task.Outcome{Requeue: true})
	if d := other.next(); string(d.Message.Body) != "2" {
		t.Errorf("%q came, want the one that was given back", d.Message.Body)
	}
}

func testResize(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{Prefetch: 1})
	in.Resize("nobody's", 7)
	w.publish(transport, "1", "2", "3")
	first := in.next()
	in.none("one message is out")
	in.Resize(w.queue, 3)
	second, third := in.next(), in.next()
	if !in.Ready() {
		w.Error("the consumer is not ready")
	}
	in.Resize(w.queue, 1)
	for _, d := range []*task.Delivery{second, third, first} {
		in.settle(d, task.Outcome{})
	}
	w.eventually("one message is out at a time", func() bool {
		w.publish(transport, "5", "6")
		first := in.next()
		select {
		case d := <-in.deliveries:
			in.settle(first, task.Outcome{})
			in.settle(d, task.Outcome{})
			return false
		case <-time.After(quiet):
		}
		in.settle(first, task.Outcome{})
		in.settle(in.next(), task.Outcome{})
		return true
	})
}

func testAddRemoveAgain(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	extra := w.named("extra")
	for range 5 {
		in.add(task.Subscription{Queue: extra})
		w.check(transport.Publish(w.ctx, w.to(extra, "1")))
		in.settle(in.next(), task.Outcome{})
		w.check(in.Remove(extra))
		w.check(transport.Publish(w.ctx, w.to(extra, "2")))
		w.check(in.Add(task.Subscription{Queue: extra, Prefetch: 1}))
		in.settle(in.next(), task.Outcome{})
		w.check(in.Remove(extra))
	}
	in.none("all was settled")
}

func testRemoveLast(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	w.check(in.Remove(w.queue))
	w.publish(transport, "1")
	in.none("the only queue was removed")
	in.add(task.Subscription{Queue: w.queue})
	in.want("1")
}

func testRemoveOwn(_ *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	own := w.named("own")
	in.add(task.Subscription{Queue: own, Own: true, Heir: w.queue, Prefetch: 1})
	w.check(transport.Publish(w.ctx, w.existing(own, "1")))
	first := in.next()
	in.settle(first, task.Outcome{})
	w.check(in.Remove(own))
	w.eventually("nothing can be sent to a queue that was removed", func() bool {
		err := transport.Publish(w.ctx, w.existing(own, "2"))
		if err == nil { // it was still there: then it comes to the heir
			in.settle(in.next(), task.Outcome{})
		}
		return errors.Is(err, task.ErrUnroutable)
	})
}

func testRemoveOwnUnsettled(t *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	own := w.named("own")
	in.add(task.Subscription{Queue: own, Own: true, Heir: w.queue, Prefetch: 1})
	w.check(transport.Publish(w.ctx, w.existing(own, "out")))
	w.check(transport.Publish(w.ctx, w.existing(own, "waits")))
	out := in.next()
	w.check(in.Remove(own))
	in.settle(out, task.Outcome{})
	waits := in.next()
	if string(waits.Message.Body) != "waits" || waits.Message.Queue != w.queue {
		t.Errorf("%q came of queue %s; want what waited, from the heir", waits.Message.Body, waits.Message.Queue)
	}
	in.settle(waits, task.Outcome{})
	in.none("what was out is settled")
}

func testAddInvalid(t *testing.T, w *world) {
	transport := w.open()
	in := w.subscribe(transport, task.Subscription{})
	for name, s := range map[string]task.Subscription{
		"no queue":     {Prefetch: 1},
		"no exchange":  {Queue: "x", Prefetch: 1, Bindings: []task.Binding{{}}},
		"no such type": {Queue: "x", Prefetch: 1, Bindings: []task.Binding{{Exchange: "x", Type: "round"}}},
	} {
		if err := in.Add(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if !in.Ready() {
		t.Error("a queue that was refused is in the way")
	}
	w.check(in.Close())
	if err := in.Add(task.Subscription{Queue: "x", Prefetch: 1}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Add after Close: %v", err)
	}
	w.check(in.Remove(w.queue))
}
