package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// consumerTimeout lets the broker take back, again and again, the message of a task that takes its time: it runs once.
func consumerTimeout(t *testing.T, n *node) {
	n.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1000), application:set_env(rabbit, channel_tick_interval, 300).")
	defer n.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000).")
	w := newWorld(t, n.url)
	var starts, losses atomic.Int64
	done := make(chan struct{})
	long := task.New("test.long", func(ctx context.Context, _ int) (task.None, error) {
		starts.Add(1)
		w.eventually("the broker has taken it back twice", func() bool { return losses.Load() >= 2 })
		close(done)
		return task.None{}, context.Cause(ctx)
	}, task.Spec{Queue: w.queue})
	registry := task.NewRegistry()
	long.Register(registry)
	transport, log := w.open(n.url), &lines{}
	worker, err := task.NewWorker(&losing{transport, &losses}, registry, task.WorkerConfig{Concurrency: 2, Logger: slog.New(slog.NewTextHandler(log, nil))})
	w.check(err)
	ctx, stop := context.WithCancel(w.ctx)
	stopped := make(chan error)
	go func() { stopped <- worker.Run(ctx) }()
	call, err := long.Delay(task.WithClient(w.ctx, task.NewClient(transport, task.ClientConfig{})), 1)
	w.check(err)
	<-done
	_, err = call.Get(w.ctx)
	w.check(err)
	stop()
	w.check(<-stopped)
	if starts.Load() != 1 {
		t.Errorf("it ran %d times", starts.Load())
	}
	w.eventually("nothing is left", func() bool {
		q, err := w.admin.QueueDeclarePassive(w.queue, true, false, false, false, nil)
		w.check(err)
		return q.Messages == 0 && q.Consumers == 0
	})
	if text := log.String(); !strings.Contains(text, "consumer timeout of 1s: a task that takes longer goes on in this process") {
		t.Errorf("the log:\n%s", text)
	}
}

// losing counts the sessions that end because the broker waits no longer for a message to be settled.
type losing struct {
	task.Transport
	losses *atomic.Int64
}

func (l *losing) Consume(config task.ConsumeConfig) (task.Consumer, error) {
	lost := config.Lost
	config.Lost = func(session uint64, cause error) {
		if errors.Is(cause, task.ErrDeliveryTimeout) {
			l.losses.Add(1)
		}
		lost(session, cause)
	}
	return l.Transport.Consume(config)
}

// From RabbitMQ 4.3 on a delivery that takes too long may end with a cancelled consumer instead; nothing else tells.
func TestConsumerCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	for version, timeout := range map[string]bool{"4.3.00": true, "4.2.99": false} {
		proxy := newProxy(t, w.url)
		proxy.pretend(`3\.10\.\d`, version)
		lost := make(chan error, 1)
		in := w.consume(w.open(proxy.url), func(c *task.ConsumeConfig) {
			c.Lost = func(_ uint64, cause error) { lost <- cause }
		})
		w.eventually("the consumer is ready", in.Ready)
		// In front of each delivery the broker seems to cancel the consumer.
		tag := "test@here.0"
		proxy.pretend(`(?s)\x01(\x00.)\x00\x00\x00.\x00\x3c\x00\x3c`,
			fmt.Sprintf("\x01${1}\x00\x00\x00%c\x00\x3c\x00\x1e%c%s\x01\xce${0}", 4+1+len(tag)+1, len(tag), tag))
		w.publish(w.open(w.url), version)
		cause := <-lost
		proxy.pretend(`nothing`, "")
		if errors.Is(cause, task.ErrDeliveryTimeout) != timeout || !strings.Contains(cause.Error(), "has cancelled consumer test@here.0: its queue was deleted or moved") {
			t.Errorf("RabbitMQ %s: %v", version, cause)
		}
		w.within(reconnect, "the next session", func() { in.ack(in.next()) })
		w.check(in.Close())
	}
}

// A queue whose tasks may take long is made so that the broker waits for them, if it knows how.
func consumerTimeoutOfQueue(t *testing.T, n *node) {
	w := newWorld(t, n.url)
	cases := []struct {
		version string
		longest time.Duration
		want    string
	}{
		{"3.12.0", 2 * time.Hour, `"x-consumer-timeout",7500000}`},
		{"3.12.0", 20 * time.Minute, ""},
		{"3.12.0", 0, ""},
		{"3.11.9", 2 * time.Hour, ""},
	}
	queues := make([]string, len(cases))
	for i, c := range cases {
		proxy := newProxy(t, w.url)
		proxy.pretend(`3\.10\.\d`, c.version)
		queues[i] = w.named(fmt.Sprint(i))
		in := w.consume(w.open(proxy.url), func(config *task.ConsumeConfig) {
			config.Subscriptions = []task.Subscription{{Queue: queues[i], Prefetch: 1, Longest: c.longest}}
		})
		w.eventually("the consumer is ready", in.Ready)
	}
	list := n.ctl("list_queues", "name", "arguments")
	for i, c := range cases {
		_, arguments, _ := strings.Cut(list, queues[i])
		arguments, _, _ = strings.Cut(arguments, "\n")
		if strings.Contains(arguments, "timeout") != (c.want != "") || !strings.Contains(arguments, c.want) {
			t.Errorf("RabbitMQ %s, %s: made with %s", c.version, c.longest, arguments)
		}
	}
}
