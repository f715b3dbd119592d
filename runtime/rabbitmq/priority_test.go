package rabbitmq_test

import (
	"fmt"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

const noPriorities = "priorities have no effect"

// prioritized makes the first queue of a consumer one of tasks that have priorities.
func prioritized(c *task.ConsumeConfig) { c.Subscriptions[0].Prioritized = true }

// A queue that can't sort is told of in each session, and consumed all the same.
func TestPrioritiesWithoutEffect(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exists amqp.Table
		warned bool
	}{
		"quorum":               {amqp.Table{"x-queue-type": "quorum"}, true},
		"classic":              {amqp.Table{"x-queue-type": "classic"}, true},
		"of the broker's type": {nil, true},
		"own priorities":       {amqp.Table{"x-max-priority": int32(5)}, false},
		"as Celery makes it":   {amqp.Table{"x-max-priority": int32(9)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, brokerURL(t))
			_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, c.exists)
			w.check(err)
			p := newProxy(t, w.url)
			p.pretendVersion(4, 3)
			transport := w.open(p.url)
			in := w.consume(transport, prioritized)
			w.eventually("the consumer is ready", in.Ready)
			warnings := 0
			if c.warned {
				warnings++
			}
			in.warned(w.queue, warnings)
			p.cut()
			w.eventually("there is another session", func() bool { return strings.Count(in.log.String(), "msg=consuming") == 2 && in.Ready() })
			in.warned(w.queue, 2*warnings)
			w.publish(transport, "works")
			in.ack(in.next())
		})
	}
}

// Quorum queues of RabbitMQ 4 have priorities of their own; and who asks for none misses none.
func TestPrioritiesThatNobodyMisses(t *testing.T) {
	t.Parallel()
	for kind, warnings := range map[string]int{"quorum": 0, "classic": 1} {
		t.Run("RabbitMQ 4, "+kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, brokerURL(t))
			p := newProxy(t, w.url)
			p.pretendVersion(3, 4)
			_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, amqp.Table{"x-queue-type": kind})
			w.check(err)
			in := w.consume(w.open(p.url), prioritized)
			w.eventually("the consumer is ready", in.Ready)
			in.warned(w.queue, warnings)
		})
	}
	t.Run("new queue", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, brokerURL(t))
		in := w.consume(w.open(w.url), prioritized)
		w.eventually("the consumer is ready", in.Ready)
		in.warned(w.queue, 0)
	})
	t.Run("no priorities", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, brokerURL(t))
		_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		w.check(err)
		in := w.consume(w.open(w.url))
		w.eventually("the consumer is ready", in.Ready)
		in.warned(w.queue, 0)
	})
}

// pretendVersion has a broker of one major version say that it is another.
func (p *proxy) pretendVersion(actual, other int) {
	p.pretend(fmt.Sprintf(`(?s)(versionS.{4})%d\.`, actual), fmt.Sprintf("${1}%d.", other))
}

// warned checks how often the log has told that the queue has no priorities.
func (in *inbox) warned(queue string, want int) {
	in.w.Helper()
	got := 0
	for line := range strings.Lines(in.log.String()) {
		if !strings.Contains(line, noPriorities) {
			continue
		}
		got++
		if !strings.Contains(line, "level=WARN") || !strings.Contains(line, "queue="+queue) {
			in.w.Errorf("logged: %s", line)
		}
	}
	if got != want {
		in.w.Errorf("warned %d times, want %d:\n%s", got, want, in.log)
	}
}
