package rabbitmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// with adds options to the broker's URL.
func (w *world) with(options string) string {
	separator := "?"
	if strings.Contains(w.url, "?") {
		separator = "&"
	}
	return w.url + separator + options
}

// celeryQueue declares the test's queue as a Celery client does, which has an exchange of the same name.
func (w *world) celeryQueue(arguments amqp.Table) {
	w.Helper()
	w.Cleanup(func() { _ = w.admin.ExchangeDelete(w.queue, false, false) })
	w.check(w.admin.ExchangeDeclare(w.queue, "direct", true, false, false, false, nil))
	_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, arguments)
	w.check(err)
	w.check(w.admin.QueueBind(w.queue, w.queue, w.queue, false, nil))
}

// refused waits for the reason why a consumer has no session.
func (w *world) refused(t *rabbitmq.Transport, s task.Subscription) error {
	w.Helper()
	refusals := make(chan error, 100)
	w.consume(t, func(c *task.ConsumeConfig) {
		c.Subscriptions = []task.Subscription{s}
		c.Refused = func(err error) { refusals <- err }
	})
	select {
	case err := <-refusals:
		return err
	case <-w.ctx.Done():
		w.Fatal("no refusal came")
		return nil
	}
}

func (w *world) says(err error, words ...string) {
	w.Helper()
	if err == nil {
		w.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.Errorf("the error %q doesn't say %q", err, word)
		}
	}
}

func TestVerifyMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.with("declare=verify"))
	sub := task.Subscription{Queue: w.queue, Prefetch: 1}
	w.says(w.refused(transport, sub), `queue "`+w.queue+`" is missing`, "topology", "declare=create")
	begin := time.Now()
	err := transport.Publish(w.ctx, w.message("x"))
	w.says(err, `queue "`+w.queue+`" is missing`)
	if errors.Is(err, task.ErrUnconfirmed) || time.Since(begin) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
	m := w.through(w.queue+"-exchange", task.Topic, "a", "x")
	w.says(transport.Publish(w.ctx, m), `exchange "`+w.queue+`-exchange" is missing`)
	if _, err := w.admin.QueueDeclarePassive(w.queue, true, false, false, false, nil); err == nil {
		t.Error("the queue was made")
	}
}

func TestNeverMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.with("declare=never"))
	err := transport.Publish(w.ctx, w.message("x"))
	w.says(err, "is missing", "declare=create")
	if !errors.Is(err, task.ErrUnroutable) {
		t.Error(err)
	}
}

// In every mode a queue that Celery has declared can be used as it is, unless somebody says how it must be.
func TestCelerysQueues(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string]amqp.Table{
		"classic":    nil,
		"quorum":     {"x-queue-type": "quorum"},
		"priorities": {"x-max-priority": int32(10)},
	} {
		for _, c := range []struct {
			options   string
			refusedBy map[string][]string // what the error says, by the kind of queue
		}{
			{"declare=create", nil},
			{"declare=never", nil},
			{"declare=verify&queue_type=classic", map[string][]string{
				"quorum": {"x-queue-type quorum at the broker, and none here", "declare=never", "queue_type", "delete it"},
			}},
			{"declare=verify", map[string][]string{
				"classic": {"x-queue-type classic (it was made without one) at the broker, and quorum here"},
			}},
			{"queue_type=classic", map[string][]string{
				"quorum": {"x-queue-type quorum at the broker, and none here", "leave out queue_type", "delete it"},
			}},
		} {
			t.Run(name+" "+c.options, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, brokerURL(t))
				w.celeryQueue(arguments)
				transport := w.open(w.with(c.options))
				if words := c.refusedBy[name]; words != nil {
					err := w.refused(transport, task.Subscription{Queue: w.queue, Prefetch: 1})
					w.says(err, append(words, w.queue)...)
					w.says(transport.Publish(w.ctx, w.message("x")), words...)
					return
				}
				in := w.consume(transport)
				w.eventually("the consumer is ready", in.Ready)
				w.publish(transport, "1")
				in.ack(in.next())
				// A Celery client publishes to the exchange that has the queue's name.
				w.check(w.admin.Publish(w.queue, w.queue, false, false, amqp.Publishing{Body: []byte("2")}))
				in.ack(in.next())
			})
		}
	}
}

// A queue that is made as classic can be declared by a Celery client that knows of no types.
func TestClassicIsCelerys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.with("queue_type=classic"))
	w.publish(transport, "1")
	w.celeryQueue(nil)
	in := w.consume(transport)
	in.ack(in.next())
	// And one that has been told to declare quorum queues, by task_default_queue_type.
	w.check(w.open(w.url).Publish(w.ctx, func() *task.Message { m := w.message("2"); m.Queue = w.named("quorum"); return m }()))
	_, err := w.admin.QueueDeclare(w.queue+"-quorum", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	w.check(err)
}

// definitionsSuffice imports what the definitions have, which is all that is needed where nothing is declared.
func definitionsSuffice(t *testing.T, n *node) {
	w := newPatientWorld(t, n.url, 3*time.Minute)
	exchange := "topic"
	subscriptions := []task.Subscription{
		{Queue: "mail", Prefetch: 10, Bindings: []task.Binding{{Exchange: exchange, Type: task.Topic, RoutingKey: "mail.*"}}},
		{Queue: task.ProbationQueue("mail"), Prefetch: 1},
		{Queue: "now", Prefetch: 1, Prioritized: true},
	}
	definitions, err := w.open(w.url).Definitions(subscriptions)
	w.check(err)
	text, err := json.Marshal(definitions)
	w.check(err)
	file := filepath.Join(t.TempDir(), "definitions.json")
	w.check(os.WriteFile(file, text, 0o666))
	n.ctl("import_definitions", file)
	for _, mode := range []string{"verify", "never"} {
		transport := w.open(w.with("declare=" + mode))
		in := w.consume(transport, func(c *task.ConsumeConfig) { c.Subscriptions = subscriptions })
		w.eventually(mode+": the consumer is ready", in.Ready)
		straight := w.message("straight")
		straight.Queue = "mail"
		w.check(transport.Publish(w.ctx, straight))
		in.ack(in.next())
		w.check(transport.Publish(w.ctx, w.through(exchange, task.Topic, "mail.a", "through")))
		in.ack(in.next())
		later := w.message("later")
		later.Queue, later.ETA = "mail", time.Now().Add(2*time.Second)
		w.check(transport.Publish(w.ctx, later))
		in.ack(in.next())
		parked := w.message("parked")
		parked.Queue = "now"
		w.check(transport.Publish(w.ctx, parked))
		w.check(in.Settle(w.ctx, in.next(), task.Outcome{Dead: &task.DeadLetter{Reason: "test"}}))
		w.check(in.Close())
	}
}

func TestDeclareOptions(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"declare=often", "queue_type=stream"} {
		if _, err := rabbitmq.Open(context.Background(), "amqp://localhost/?"+options); err == nil || !strings.Contains(err.Error(), "there are") {
			t.Errorf("%s: %v", options, err)
		}
	}
}
