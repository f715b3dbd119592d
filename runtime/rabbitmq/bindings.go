package rabbitmq

import (
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// bindingsPause is how long a binding may be missing at most, before it is looked at again.
const bindingsPause = 4 * time.Second

// bind leads messages to the queues of the subscriptions. found is told the types of the exchanges.
func (c *consumer) bind(t *topology, subs []*subscription, found func(queue string, b task.Binding, kind string)) error {
	for _, sub := range subs {
		for _, b := range sub.Bindings {
			kind, err := t.lead(sub.Queue, sub.Own, b)
			if err != nil {
				return err
			}
			found(sub.Queue, b, kind)
		}
	}
	return nil
}

// keepBindings makes bindings anew that have gone, as long as the session lasts. They go with their exchange, and the broker
// tells nobody.
func (c *consumer) keepBindings(s *consumeSession) {
	t := newTopology(s.connection)
	defer t.close()
	for sleep(s.ctx, jitter(bindingsPause)) {
		err := c.bind(&t, c.wanted(), func(string, task.Binding, string) {})
		if err != nil && !s.over() && c.complaints.Fresh(err) {
			c.log.Warn("messages of exchanges may not arrive", "error", err)
		}
	}
}
