package rabbitmq

import (
	"errors"
	"maps"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// A message for later that goes through an exchange makes a detour. It is routed when it is sent, as any other:
// whatever the type of the exchange and whoever has made the bindings, the same queues get it, and it is
// an error for a mandatory one if none does. A header says when it is due; the
// consumer of each queue, which need not be there yet, sends what comes too early up the ladder, straight to its queue.
// Celery's workers, which don't know that header, wait for the header "eta" as ever.
//
// Celery itself routes at the ladder's end. There a message that no binding takes can be neither returned nor
// dropped: RabbitMQ keeps and retries it, and 32 of these on one level
// stop the delayed messages of everybody. The key at the end is also all that Celery's bindings look at,
// so that the messages of two exchanges mix.
const (
	dueHeader        = "x-taskgen-due" // RFC 3339
	exchangeHeader   = "x-taskgen-exchange"
	routingKeyHeader = "x-taskgen-routing-key"
)

// detourPause keeps a detour that the broker refuses from spinning.
const detourPause = time.Second

// withDetour adds to a copy of the headers when the message is due, and how it was sent.
func withDetour(headers map[string]any, due time.Time, exchange, key string) map[string]any {
	headers = maps.Clone(headers)
	if headers == nil {
		headers = make(map[string]any)
	}
	headers[dueHeader] = due.UTC().Format(time.RFC3339Nano)
	headers[exchangeHeader], headers[routingKeyHeader] = exchange, key
	return headers
}

// readDetour moves what withDetour has added into the message.
func readDetour(m *task.Message) {
	text, ok := m.Headers[dueHeader].(string)
	if !ok {
		return
	}
	if due, err := time.Parse(time.RFC3339Nano, text); err == nil {
		m.ETA = due
	}
	if exchange, ok := m.Headers[exchangeHeader].(string); ok {
		m.Exchange = exchange
		m.RoutingKey, _ = m.Headers[routingKeyHeader].(string)
	}
	for _, name := range []string{dueHeader, exchangeHeader, routingKeyHeader} {
		delete(m.Headers, name)
	}
}

// detour sends a delivery that has come too early up the ladder.
func (c *consumer) detour(s *consumeSession, d *task.Delivery) {
	next := *d.Message
	next.Headers = withDetour(next.Headers, next.ETA, next.Exchange, next.RoutingKey)
	next.Exchange, next.RoutingKey = "", ""
	err := c.Settle(s.ctx, d, task.Outcome{Publish: []*task.Message{&next}})
	if err == nil || errors.Is(err, task.ErrStale) {
		return
	}
	c.log.Warn("a message for later came too early and can't be held back", "queue", next.Queue,
		"task", next.Task, "id", next.ID, "due", next.ETA, "error", err)
	sleep(s.ctx, jitter(detourPause))
	_ = c.Settle(s.ctx, d, task.Outcome{Requeue: true}) // a session that has ended delivers it again
}
