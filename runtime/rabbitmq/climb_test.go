package rabbitmq_test

import (
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// ladder has the transport make the ladder, by a message for later.
func (w *world) ladder(t task.Transport) {
	w.Helper()
	m := w.message("makes the ladder")
	m.Queue, m.ETA = w.named("first"), time.Now().Add(time.Second)
	w.check(t.Publish(w.ctx, m))
}

// celeryLater publishes as a client of Celery 5.5 does that has a countdown of a second: with the routing key of the
// captured task-v2-quorum-delayed, but for the digits.
func (w *world) celeryLater(key, body string) {
	w.Helper()
	w.check(w.admin.Publish("celery_delayed_27", strings.Repeat("0.", 27)+"1."+key, false, false, amqp.Publishing{
		ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent,
		Headers: amqp.Table{"task": "test.task", "id": body}, CorrelationId: body, Body: []byte(body),
	}))
}

func TestCeleryLaterThroughExchanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	w.ladder(transport)
	topic, fanout := w.exchange("topic"), w.exchange("fanout")
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{
			{Exchange: topic, Type: task.Topic, RoutingKey: w.queue + ".cap.quorum"},
			{Exchange: topic, Type: task.Topic, RoutingKey: w.queue + ".media.#"},
			{Exchange: fanout, Type: task.Fanout, RoutingKey: w.queue + ".all"},
		}
	})
	w.eventually("the consumer is ready", in.Ready)
	sent := map[string]string{
		"exact": w.queue + ".cap.quorum", "pattern": w.queue + ".media.video.large", "fanout": w.queue + ".all",
	}
	for body, key := range sent {
		w.celeryLater(key, body)
	}
	for range sent {
		d := in.next()
		body := string(d.Message.Body)
		if d.Message.Exchange != "" || d.Message.RoutingKey != sent[body] || d.Message.Queue != w.queue {
			t.Errorf("%s came with exchange %q and routing key %q", body, d.Message.Exchange, d.Message.RoutingKey)
		}
		in.ack(d)
	}
	in.none("each came once")
}

// A queue may have the name that is a routing key elsewhere: what is for it is not run there too.
func TestStrayFromTheLadder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	other, topic := w.named("other"), w.exchange("topic")
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{{Exchange: topic, Type: task.Topic, RoutingKey: other}}
	})
	right := w.consume(transport, func(c *task.ConsumeConfig) { c.Subscriptions[0].Queue = other })
	w.eventually("the consumers are ready", func() bool { return in.Ready() && right.Ready() })
	m := w.message("later")
	m.Queue, m.ETA = other, time.Now().Add(1100*time.Millisecond)
	w.check(transport.Publish(w.ctx, m))
	right.ack(right.next())
	in.none("the message was for another queue")
	w.check(in.Close())
	w.eventually("no copy is left", func() bool {
		q, err := w.admin.QueueDeclarePassive(w.queue, true, false, false, false, nil)
		w.check(err)
		return q.Messages == 0
	})
}
