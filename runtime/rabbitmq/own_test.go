package rabbitmq_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// own changes the test's subscription to a queue of the consumer's own, and returns its name.
func (w *world) own(heir string) (string, func(*task.ConsumeConfig)) {
	queue := w.named("own")
	return queue, func(c *task.ConsumeConfig) {
		c.Subscriptions = []task.Subscription{{Queue: queue, Prefetch: 1, Own: true, Heir: heir}}
	}
}

func (w *world) existing(queue, body string) *task.Message {
	m := w.message(body)
	m.Queue, m.Existing = queue, true
	return m
}

// The connection of a consumer is cut for good: the heir gets what it had, and what it had not got yet.
func TestOwnQueueOfTheDead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	sender := w.open(w.url)
	queue, own := w.own(w.queue)
	in := w.consume(w.open(proxy.url), own)
	w.eventually("the consumer is ready", in.Ready)
	for _, body := range []string{"outside", "ready", "ready too"} {
		w.check(sender.Publish(w.ctx, w.existing(queue, body)))
	}
	in.next()
	heir := w.consume(sender)
	proxy.takeDown()
	w.within(15*time.Second, "the succession", func() {
		for body, n := range heir.drain("outside", "ready", "ready too") {
			if n != 1 {
				t.Errorf("%s came %d times", body, n)
			}
		}
	})
	// The queue is there for a while, but for nobody new.
	if err := w.open(w.url).Publish(w.ctx, w.existing(queue, "late")); !errors.Is(err, task.ErrUnroutable) {
		t.Errorf("a sender that has never seen the consumer: %v", err)
	}
	// Who has seen it a moment ago may still send; the heir gets that too.
	if err := sender.Publish(w.ctx, w.existing(queue, "late")); err == nil {
		heir.drain("late")
	} else if !errors.Is(err, task.ErrUnroutable) {
		t.Error(err)
	}
	heir.none("that is all")
}

// Nothing that was accepted is lost while consumers come and go in order.
func TestOwnQueueWhileConsumersClose(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	sender := w.open(w.url)
	queue, own := w.own(w.queue)
	stop, stopped := make(chan struct{}), make(chan struct{})
	var accepted []string
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			body := fmt.Sprint(n)
			switch err := sender.Publish(w.ctx, w.existing(queue, body)); {
			case err == nil:
				accepted = append(accepted, body)
			case !errors.Is(err, task.ErrUnroutable):
				t.Error(err)
				return
			}
		}
	}()
	for range 5 {
		in := w.consume(sender, own)
		in.next()
		w.check(in.Close())
	}
	close(stop)
	<-stopped
	if len(accepted) < 5 {
		t.Fatalf("only %d messages were accepted", len(accepted))
	}
	w.consume(sender).drain(accepted...)
}

// What takes the place of a message of an own queue, or is parked from it, outlives the queue.
func TestOwnQueueSettles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	queue, own := w.own(w.queue)
	in := w.consume(transport, own)
	w.eventually("the consumer is ready", in.Ready)
	w.check(transport.Publish(w.ctx, w.existing(queue, "retried")))
	w.check(transport.Publish(w.ctx, w.existing(queue, "poison")))
	d := in.next()
	next := *d.Message
	next.ETA = time.Now().Add(1500 * time.Millisecond)
	w.check(in.Settle(w.ctx, d, task.Outcome{Publish: []*task.Message{&next}}))
	w.check(in.Settle(w.ctx, in.next(), task.Outcome{Dead: &task.DeadLetter{Reason: "unknown-task", Time: time.Now()}}))
	w.check(in.Close())
	heir := w.consume(transport)
	if d := heir.next(); string(d.Message.Body) != "retried" || d.Message.Queue != w.queue {
		t.Errorf("the heir got %+v", d.Message)
	}
	dead, _, err := w.admin.Get(w.queue+".dead", true)
	w.check(err)
	if string(dead.Body) != "poison" {
		t.Errorf("%q is parked", dead.Body)
	}
}

// A copy for later waits for its consumer, and goes with it: the ladder must not be left with it.
func TestOwnQueueDelayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	exchange := w.exchange("fanout")
	queue, own := w.own("")
	in := w.consume(transport, own, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{{Exchange: exchange, Type: task.Fanout}}
	})
	w.eventually("the consumer is ready", in.Ready)
	m := w.through(exchange, task.Fanout, "key", "later")
	m.ETA = time.Now().Add(2500 * time.Millisecond)
	w.check(transport.Publish(w.ctx, m))
	d := in.next()
	if early := time.Until(m.ETA); early > time.Second || d.Message.Exchange != exchange || d.Message.RoutingKey != "key" {
		t.Errorf("came %s too early, as %+v", early, d.Message)
	}
	again := *d.Message
	again.Exchange, again.RoutingKey = "", ""
	again.ETA = time.Now().Add(2 * time.Second)
	w.check(in.Settle(w.ctx, d, task.Outcome{Publish: []*task.Message{&again}}))
	if d = in.next(); d.Message.Exchange != "" || d.Message.RoutingKey != queue {
		t.Errorf("came from exchange %q with key %q", d.Message.Exchange, d.Message.RoutingKey)
	}
	w.check(in.Close())
	if _, err := w.admin.QueueDeclarePassive(queue, true, false, false, false, nil); err == nil {
		t.Error("the queue is still there")
	}
	w.connectAdmin()
	// With the queue gone, what is left at the ladder's end still has somewhere to go.
	w.check(w.admin.Confirm(false))
	returns := w.admin.NotifyReturn(make(chan amqp.Return, 1))
	confirm, err := w.admin.PublishWithDeferredConfirm("celery_delayed_delivery", strings.Repeat("0.", 28)+queue+".taskgen-own", true, false, bare(m))
	w.check(err)
	if !confirm.Wait() || len(returns) > 0 {
		t.Error("nothing takes what is for a queue that has gone")
	}
}
