package routing

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"

	"github.com/taskgen/taskgen/runtime/task"
)

// Differs says whether an exchange routes otherwise than a task or binding thinks that names its type. An unknown
// type, "", differs from none; nor does one that a plugin of the broker adds, whose rules are not known here.
func Differs(actual, named string) bool {
	return actual != "" && actual != cmp.Or(named, task.Direct) && Check("exchange", actual) == nil
}

// Unroutable is the error for a message that no binding of its exchange takes, which has the type actual, "" if that is
// not known. route is how the message names the exchange.
func Unroutable(route task.Binding, actual string) error {
	switch {
	case Differs(actual, route.Type):
		return fmt.Errorf("%w: exchange %q is %s here, the task says %s: routing key %q leads nowhere there: "+
			"delete the exchange, so that it is made anew, or give the task the type that the exchange has",
			task.ErrUnroutable, route.Exchange, actual, spoken(route.Type), route.RoutingKey)
	case actual == "":
		return fmt.Errorf("%w: %s", task.ErrUnroutable, bindOne)
	}
	return fmt.Errorf("%w: exchange %q (%s) leads nowhere for routing key %q: %s",
		task.ErrUnroutable, route.Exchange, actual, route.RoutingKey, bindOne)
}

const bindOne = "bind one, by a worker that has this binding (task.QueueConfig.Bindings) or at the broker"

// spoken is the type that a task or binding names, for people.
func spoken(named string) string { return cmp.Or(named, task.Direct+" (the default)") }

// Mismatches are the bindings of a consumer that name another type than their exchange has.
type Mismatches []mismatch

type mismatch struct{ queue, exchange, actual, named string }

// Compare adds a binding of a queue if the exchange is of another type; several that are alike count once.
func (m *Mismatches) Compare(queue string, b task.Binding, actual string) {
	found := mismatch{queue, b.Exchange, actual, spoken(b.Type)}
	if Differs(actual, b.Type) && !slices.Contains(*m, found) {
		*m = append(*m, found)
	}
}

// Log tells of them: nothing else would say why no message comes.
func (m Mismatches) Log(log *slog.Logger) {
	for _, found := range m {
		log.Error("an exchange has another type than a binding to it says, and may lead nothing to the queue: "+
			"delete the exchange, so that it is made anew, or give the binding the type that the exchange has",
			"exchange", found.exchange, "type", found.actual, "binding_says", found.named, "queue", found.queue)
	}
}
