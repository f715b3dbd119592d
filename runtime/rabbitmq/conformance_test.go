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
		}
	})
}
