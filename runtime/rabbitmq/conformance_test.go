package rabbitmq_test

import (
	"testing"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/tasktest"
)

var _ task.Transport = (*rabbitmq.Transport)(nil)

func TestConformance(t *testing.T) {
	url := brokerURL(t)
	tasktest.Run(t, func(t *testing.T) tasktest.Broker {
		w := newWorld(t, url)
		return tasktest.Broker{
			Open: func(testing.TB) task.Transport {
				transport, err := rabbitmq.Open(t.Context(), url)
				w.check(err)
				return transport
			},
			Delete: func(_ testing.TB, queues, exchanges []string) {
				w.connectAdmin()
				for _, queue := range queues {
					w.forget(queue)
				}
				for _, exchange := range exchanges {
					_ = w.admin.ExchangeDelete(exchange, false, false)
				}
			},
			DeadLetters: func(_ testing.TB, queue string) []tasktest.Dead { return w.deadLetters(queue) },
		}
	})
}

// deadLetters takes the dead letters out of a queue's, and deletes it and its queue when the test ends.
func (w *world) deadLetters(queue string) []tasktest.Dead {
	w.Helper()
	w.queue = queue
	if _, err := w.admin.QueueDeclarePassive(queue+".dead", true, false, false, false, nil); err != nil {
		w.connectAdmin()
		return nil
	}
	var out []tasktest.Dead
	for {
		d, more, err := w.admin.Get(queue+".dead", true)
		w.check(err)
		if !more {
			return out
		}
		reason, _ := d.Headers["x-taskgen-reason"].(string)
		text, _ := d.Headers["x-taskgen-error"].(string)
		out = append(out, tasktest.Dead{Reason: reason, Error: text, Body: d.Body})
	}
}
