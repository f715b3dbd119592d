package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

var died = time.Date(2024, 2, 3, 4, 5, 6, 789, time.UTC)

// kill publishes messages and parks them.
func (w *world) kill(t *rabbitmq.Transport, ms ...*task.Message) {
	w.Helper()
	in := w.consume(t)
	for _, m := range ms {
		w.check(t.Publish(w.ctx, m))
		w.check(in.Settle(w.ctx, in.next(), task.Outcome{Dead: &task.DeadLetter{
			Reason: "bad-arguments", Error: "no x", Stack: "main.go:1", Worker: "test@here", Time: died,
		}}))
	}
	w.check(in.Close())
}

// wantDeadSomehow is wantDead in any order: what was visited goes behind the others if the queue has no delivery limit.
func (w *world) wantDeadSomehow(t *rabbitmq.Transport, bodies ...string) {
	w.Helper()
	if got := slices.Sorted(slices.Values(w.visit(t, task.KeepDead))); !slices.Equal(got, bodies) {
		w.Errorf("the dead letters are %q, want %q", got, bodies)
	}
}

func (w *world) messages(bodies ...string) []*task.Message {
	ms := make([]*task.Message, len(bodies))
	for i, body := range bodies {
		ms[i] = w.message(body)
	}
	return ms
}

// visit returns the bodies of all dead letters, and does the same to each.
func (w *world) visit(t *rabbitmq.Transport, action task.DeadAction) []string {
	w.Helper()
	var bodies []string
	w.check(t.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		bodies = append(bodies, string(d.Message.Body))
		return action, nil
	}))
	return bodies
}

func (w *world) wantDead(t *rabbitmq.Transport, bodies ...string) {
	w.Helper()
	if got := w.visit(t, task.KeepDead); !slices.Equal(got, bodies) {
		w.Errorf("the dead letters are %q, want %q", got, bodies)
	}
}

func TestDeadLettersReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.message("1")
	m.Priority, m.ReplyTo, m.Headers["nested"] = 3, "somebody", map[string]any{"a": []any{"b"}}
	w.kill(transport, m)
	w.check(transport.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		want := task.DeadLetter{Reason: "bad-arguments", Error: "no x", Stack: "main.go:1", Worker: "test@here", Time: died}
		if d.DeadLetter != want {
			t.Errorf("parked as %+v, want %+v", d.DeadLetter, want)
		}
		w.same(d.Message, m)
		clear(d.Message.Headers) // what is shown is not what is sent
		return task.ReplayDead, nil
	}))
	in := w.consume(transport)
	d := in.next()
	if d.Attempts != 0 || d.Redelivered {
		t.Errorf("came as %+v", d)
	}
	w.same(d.Message, m)
	in.ack(d)
	w.wantDead(transport)
}

// same fails if a message is not as it was sent.
func (w *world) same(got, want *task.Message) {
	w.Helper()
	if fmt.Sprint(got.Headers) != fmt.Sprint(want.Headers) {
		w.Errorf("the headers are %v, want %v", got.Headers, want.Headers)
	}
	if got.ID != want.ID || got.Task != want.Task || got.Queue != want.Queue || got.Exchange != "" || got.Priority != want.Priority ||
		got.ReplyTo != want.ReplyTo || got.ContentType != want.ContentType || got.ContentEncoding != want.ContentEncoding ||
		string(got.Body) != string(want.Body) {
		w.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDeadLettersDropAndKeep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	w.wantDead(transport) // a queue that is missing
	bodies := numbers(100)
	w.kill(transport, w.messages(bodies...)...)
	w.wantDead(transport, bodies...)
	w.wantDead(transport, bodies...)
	w.check(transport.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		if d.Message.Body[0]%2 == 0 {
			return task.DropDead, nil
		}
		return task.KeepDead, nil
	}))
	bodies = slices.DeleteFunc(bodies, func(body string) bool { return body[0]%2 == 0 })
	w.wantDead(transport, bodies...)
	if n, err := transport.Purge(w.ctx, w.queue); n != 0 || err != nil {
		t.Errorf("%d in the queue, %v", n, err)
	}
}

// However often somebody looks, no delivery limit is reached.
func TestDeadLettersSurviveLooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	_, err := w.admin.QueueDeclare(w.queue+".dead", true, false, false, false,
		amqp.Table{"x-queue-type": "quorum", "x-delivery-limit": int32(5)})
	w.check(err)
	ms := w.messages("0", "1", "2")
	w.kill(transport, ms...)
	for range 25 {
		w.wantDead(transport, "0", "1", "2")
	}
	w.check(transport.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		if d.Reason != "bad-arguments" || d.Stack != "main.go:1" || !d.Time.Equal(died) {
			t.Errorf("it is now %+v", d.DeadLetter)
		}
		w.same(d.Message, ms[0])
		ms = ms[1:]
		return task.DropDead, nil
	}))
}

func TestDeadLettersEndWithError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	w.kill(transport, w.messages("0", "1", "2")...)
	enough, n := errors.New("enough"), 0
	err := transport.DeadLetters(w.ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) {
		if n++; n == 2 {
			return task.DropDead, enough
		}
		return task.KeepDead, nil
	})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("%v after %d", err, n)
	}
	w.wantDeadSomehow(transport, "0", "1", "2")
}

// A visit ends with the messages that were there when it began.
func TestDeadLettersParkedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	w.kill(transport, w.message("0"))
	n := 0
	w.check(transport.DeadLetters(w.ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) {
		n++
		w.kill(transport, w.message(fmt.Sprint(n)))
		return task.KeepDead, nil
	}))
	w.wantDeadSomehow(transport, "0", "1")
}

// What the broker itself, or anybody, has put there is shown and replayed too.
func TestDeadLettersOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	_, err := w.admin.QueueDeclare(w.queue+".dead", true, false, false, false, nil)
	w.check(err)
	_, err = w.admin.QueueDeclare(w.queue, true, false, false, false, amqp.Table{
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": w.queue + ".dead",
	})
	w.check(err)
	w.publish(transport, "rejected")
	d, _, err := w.admin.Get(w.queue, false)
	w.check(err)
	w.check(d.Reject(false))
	w.eventually("it is dead", func() bool { return w.deadInSight() == 1 })
	w.check(w.admin.PublishWithContext(w.ctx, "", w.queue+".dead", false, false, amqp.Publishing{
		Headers: amqp.Table{"x-death": "nonsense", "x-taskgen-died": "yesterday"}, Body: []byte("nothing"),
	}))
	w.eventually("both are dead", func() bool { return len(w.visit(transport, task.KeepDead)) == 2 })
	seen := map[string]task.DeadLetter{}
	w.check(transport.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
		seen[string(d.Message.Body)] = d.DeadLetter
		for name := range d.Message.Headers {
			if strings.HasPrefix(name, "x-") {
				t.Errorf("header %s is still there", name)
			}
		}
		return task.ReplayDead, nil
	}))
	if got := seen["rejected"]; got.Reason != "rejected" || time.Since(got.Time) > time.Hour {
		t.Errorf("the rejected one is %+v", got)
	}
	if got := seen["nothing"]; got != (task.DeadLetter{}) {
		t.Errorf("the one without anything is %+v", got)
	}
	w.consume(transport).drain("rejected", "nothing")
}

// deadInSight is how many dead letters nobody holds.
func (w *world) deadInSight() int {
	w.Helper()
	q, err := w.admin.QueueDeclarePassive(w.queue+".dead", true, false, false, false, nil)
	w.check(err)
	return q.Messages
}

func TestDeadLettersContextEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	transport := w.open(proxy.url)
	w.kill(w.open(w.url), w.messages("0", "1", "2")...)
	// visit ends ctx, or has it end in the next call to the broker.
	visit := func(what string, second func(cancel func())) {
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		n := 0
		w.within(3*time.Second, what, func() {
			err := transport.DeadLetters(ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) {
				if n++; n == 2 {
					second(cancel)
				}
				return task.KeepDead, nil
			})
			if ctx.Err() == nil || !errors.Is(err, ctx.Err()) || n != 2 || !strings.Contains(err.Error(), w.queue) {
				t.Errorf("%s: %v after %d", what, err, n)
			}
		})
		proxy.setHole(false)
		w.eventually("all have come back", func() bool { return w.deadInSight() == 3 })
	}
	visit("cancelled", func(cancel func()) { cancel() })
	visit("black hole", func(func()) { proxy.setHole(true) })
	w.wantDeadSomehow(transport, "0", "1", "2")
}

func TestDeadLettersConnectionLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	transport := w.open(proxy.url)
	w.kill(transport, w.messages("0", "1")...)
	for want := 1; want <= 2; want++ { // in the middle, and at the end
		n := 0
		err := transport.DeadLetters(w.ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) {
			if n++; n == want {
				proxy.cut()
			}
			return task.KeepDead, nil
		})
		if err == nil || n != want {
			t.Errorf("%v after %d, want an error after %d", err, n, want)
		}
		w.eventually("they have come back", func() bool { return w.deadInSight() == 2 })
	}
	w.wantDeadSomehow(transport, "0", "1")
}

// A replay that the queue doesn't take leaves the message where it is.
func TestDeadLettersReplayRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.message("0")
	w.kill(transport, m)
	_, err := w.admin.QueueDelete(w.queue, false, false, false)
	w.check(err)
	_, err = w.admin.QueueDeclare(w.queue, true, false, false, false,
		amqp.Table{"x-max-length": int32(0), "x-overflow": "reject-publish"})
	w.check(err)
	err = transport.DeadLetters(w.ctx, w.queue, func(*task.DeadMessage) (task.DeadAction, error) { return task.ReplayDead, nil })
	if err == nil || !strings.Contains(err.Error(), m.ID) || !strings.Contains(err.Error(), "stays in the dead letters of queue "+w.queue) {
		t.Errorf("got %v", err)
	}
	w.wantDead(transport, "0")
	// A queue that is gone is made anew.
	_, err = w.admin.QueueDelete(w.queue, false, false, false)
	w.check(err)
	if got := w.visit(transport, task.ReplayDead); len(got) != 1 {
		t.Errorf("%q", got)
	}
	w.wantDead(transport)
	w.consume(transport).drain("0")
}

func TestDeadLettersBadName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	for _, queue := range []string{"", strings.Repeat("x", 251)} {
		if err := transport.DeadLetters(w.ctx, queue, nil); err == nil {
			t.Errorf("%q is taken", queue)
		}
	}
	w.publish(transport, "the connection lives")
}
