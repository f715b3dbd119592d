package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

var exchangeTypes = []string{task.Direct, task.Topic, task.Fanout, task.Headers}

// An exchange that exists is taken as it is: bindings are made as it routes, whatever it was taken for.
func TestExchangeOfAnotherType(t *testing.T) {
	t.Parallel()
	for _, actual := range exchangeTypes {
		for _, named := range exchangeTypes {
			t.Run(actual+" named "+named, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, brokerURL(t))
				transport := w.open(w.url)
				exchange := w.exchange(actual)
				w.check(w.admin.ExchangeDeclare(exchange, actual, true, false, false, false, nil))
				consumed := w.named("consumed")
				in := w.consume(transport, func(c *task.ConsumeConfig) {
					c.Subscriptions[0].Queue = consumed
					c.Subscriptions[0].Bindings = []task.Binding{{Exchange: exchange, Type: named, RoutingKey: "a.*", Task: "test.task"}}
				})
				w.eventually("the consumer is ready", in.Ready)
				first := w.through(exchange, named, "a.*", "1")
				first.Queue, first.Bind = w.queue, true
				w.check(transport.Publish(w.ctx, first))
				in.ack(in.next())
				other := w.through(exchange, named, "b", "2")
				other.Headers["task"] = "test.other"
				if err := transport.Publish(w.ctx, other); actual == task.Fanout {
					w.check(err)
					in.ack(in.next())
				} else if !errors.Is(err, task.ErrUnroutable) {
					t.Errorf("what no binding takes: %v", err)
				}
				bound, _, err := w.admin.Get(w.queue, true)
				w.check(err)
				if string(bound.Body) != "1" {
					t.Errorf("the sender's binding led %q to its queue", bound.Body)
				}
			})
		}
	}
}

// Who has followed the advice to delete the exchange is not told of its old type.
func TestUnroutableAfterTheExchangeWasMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	exchange := w.exchange("x")
	w.check(w.admin.ExchangeDeclare(exchange, task.Direct, true, false, false, false, nil))
	tell := func(want string) {
		t.Helper()
		err := transport.Publish(w.ctx, w.through(exchange, task.Topic, "a.b", "lost"))
		if !errors.Is(err, task.ErrUnroutable) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	tell("is direct here, the task says topic")
	w.check(w.admin.ExchangeDelete(exchange, false, false))
	w.check(w.admin.ExchangeDeclare(exchange, task.Topic, true, false, false, false, nil))
	tell("(topic) leads nowhere")
}

// The broker's refusal is cut off after 255 bytes: then nobody knows the type, and nothing is said of it.
func TestUnroutableThroughALongName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	exchange := w.exchange(strings.Repeat("x", 180))
	w.check(w.admin.ExchangeDeclare(exchange, task.Direct, true, false, false, false, nil))
	err := w.open(w.url).Publish(w.ctx, w.through(exchange, task.Topic, "a.b", "lost"))
	if !errors.Is(err, task.ErrUnroutable) || !strings.Contains(err.Error(), "bind one") || strings.Contains(err.Error(), task.Direct) {
		t.Errorf("got %v", err)
	}
}

// An exchange with other properties than ours is taken as it is too, and so is the type of a plugin or of later.
func TestExchangeWithOtherProperties(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	exchange := w.exchange("transient")
	w.check(w.admin.ExchangeDeclare(exchange, task.Topic, false, false, false, false, amqp.Table{"alternate-exchange": "amq.fanout"}))
	m := w.through(exchange, "", "a.b", "x")
	m.Queue, m.Bind = w.queue, true
	w.check(transport.Publish(w.ctx, m))
	in := w.consume(transport)
	in.ack(in.next())
}

// A message for later is led to the queues that are bound when it is sent, by whomever, and arrives as it was sent.
func TestDelayedThroughExchange(t *testing.T) {
	t.Parallel()
	for _, kind := range exchangeTypes {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, brokerURL(t))
			exchange := w.exchange(kind)
			w.check(w.admin.ExchangeDeclare(exchange, kind, true, false, false, false, nil))
			for _, queue := range []string{w.queue, w.named("second")} {
				_, err := w.admin.QueueDeclare(queue, true, false, false, false, nil)
				w.check(err)
				w.check(w.admin.QueueBind(queue, "some.key", exchange, false, amqp.Table{"task": "test.task"}))
			}
			transport := w.open(w.url)
			in := w.consume(transport, func(c *task.ConsumeConfig) {
				c.Subscriptions = append(c.Subscriptions, task.Subscription{Queue: w.queue + "-second", Prefetch: 1})
			})
			m := w.through(exchange, kind, "some.key", "later")
			m.ETA = time.Now().Add(2500 * time.Millisecond)
			w.check(transport.Publish(w.ctx, m))
			came := map[string]bool{}
			for range 2 {
				d := in.next()
				if early := time.Until(m.ETA); early > time.Second || early < -2*time.Second {
					t.Errorf("came %s before its time", early)
				}
				got := d.Message
				came[got.Queue] = true
				if got.Exchange != exchange || got.RoutingKey != "some.key" || got.ID != m.ID || !got.ETA.IsZero() || d.Attempts != 0 {
					t.Errorf("delivered as %+v", d)
				}
				for name := range got.Headers {
					if strings.HasPrefix(name, "x-") {
						t.Errorf("header %s is still there", name)
					}
				}
				in.ack(d)
			}
			if len(came) != 2 {
				t.Errorf("came from %v", came)
			}
			in.none("both copies are settled")
		})
	}
}

// It need not have a consumer before its time.
func TestDelayedThroughExchangeWithoutConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.through(w.exchange("x"), "", "key", "later")
	m.Queue, m.Bind = w.queue, true
	m.ETA = time.Now().Add(1200 * time.Millisecond)
	w.check(transport.Publish(w.ctx, m))
	time.Sleep(time.Until(m.ETA))
	in := w.consume(transport)
	d := in.next()
	if d.Message.Exchange != m.Exchange || d.Message.RoutingKey != "key" || !d.Message.ETA.IsZero() {
		t.Errorf("delivered as %+v", d.Message)
	}
	in.ack(d)
}

// Nothing is accepted for later that could not be delivered now.
func TestDelayedUnroutable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	for _, kind := range exchangeTypes {
		m := w.through(w.exchange(kind), kind, "some.key", "x")
		m.ETA = time.Now().Add(time.Hour)
		err := transport.Publish(w.ctx, m)
		if !errors.Is(err, task.ErrUnroutable) || !strings.Contains(err.Error(), m.Exchange) || !strings.Contains(err.Error(), "some.key") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
