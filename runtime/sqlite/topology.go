package sqlite

import (
	"cmp"
	"maps"
	"slices"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// A topology is what a process remembers of the exchanges and their bindings.
// The table topology has a version that every change raises, so that one
// look at it in a transaction tells whether another process has changed them.
type topology struct {
	version   int64
	exchanges map[string]*exchange // those that were asked for
}

// An exchange leads messages to the queues that are bound to it.
type exchange struct {
	id       int64
	kind     string
	bindings []bound
}

// A bound is one binding: to a queue, by a routing key or the name of a task,
// as the kind of the exchange has it.
type bound struct {
	pattern string
	queue   int64
}

const (
	sqlExchange = `SELECT id, type FROM exchange WHERE name = ?`
	sqlBindings = `SELECT pattern, queue FROM binding WHERE exchange = ?`
	sqlBind     = `INSERT INTO binding (exchange, pattern, queue) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	sqlUnbind   = `DELETE FROM binding WHERE queue = ?`
)

// exchange returns the exchange of that name with its bindings, nil if there is none.
func (t *tx) exchange(name string) (*exchange, error) {
	topology, err := t.currentTopology()
	if err != nil {
		return nil, err
	}
	if x, ok := topology.exchanges[name]; ok {
		return x, nil
	}
	x, err := t.findExchange(name)
	if err != nil || x == nil {
		return nil, err
	}
	err = t.query(sqlBindings, func(r row) error {
		x.bindings = append(x.bindings, bound{r.text(0), r.int(1)})
		return nil
	}, x.id)
	if err == nil {
		topology.exchanges[name] = x
	}
	return x, err
}

// currentTopology returns what is known of the exchanges, and true in this transaction.
func (t *tx) currentTopology() (*topology, error) {
	if t.topology != nil {
		return t.topology, nil
	}
	version, err := t.number(`SELECT version FROM topology`)
	if err != nil {
		return nil, err
	}
	if t.topology = t.known; t.known == nil || t.known.version != version {
		t.topology = &topology{version: version, exchanges: map[string]*exchange{}}
	}
	return t.topology, nil
}

// rerouted notes that exchanges or bindings have changed. What the transaction
// knows of them is its own from now on, since it may be rolled back; name is
// the exchange that has changed, "" is any.
func (t *tx) rerouted(name string) error {
	before, err := t.currentTopology()
	if err != nil {
		return err
	}
	if !t.reroutes {
		if _, err := t.exec(`UPDATE topology SET version = version + 1`); err != nil {
			return err
		}
		t.topology = &topology{version: before.version + 1, exchanges: maps.Clone(before.exchanges)}
		t.reroutes = true
	}
	if name == "" {
		clear(t.topology.exchanges)
	}
	delete(t.topology.exchanges, name)
	return nil
}

// findExchange returns the exchange of that name without its bindings, nil if there is none.
func (t *tx) findExchange(name string) (x *exchange, err error) {
	err = t.query(sqlExchange, func(r row) error {
		x = &exchange{id: r.int(0), kind: r.text(1)}
		return nil
	}, name)
	return x, err
}

// declare makes the exchange of a binding if it is missing, binds the queue, and
// returns the type of the exchange: one that exists keeps its own.
func (t *tx) declare(b task.Binding, queue int64) (kind string, err error) {
	x, err := t.makeExchange(b.Exchange, b.Type)
	if err != nil {
		return "", err
	}
	return x.kind, t.bind(x, b, queue)
}

func (t *tx) makeExchange(name, kind string) (*exchange, error) {
	x, err := t.findExchange(name)
	if err != nil || x != nil {
		return x, err
	}
	x = &exchange{kind: cmp.Or(kind, task.Direct)}
	if _, err := t.exec(`INSERT INTO exchange (name, type) VALUES (?, ?)`, name, x.kind); err != nil {
		return nil, err
	}
	x.id = t.lastID()
	return x, t.rerouted(name)
}

// bind leads messages of the exchange to a queue, if they are not led there yet.
func (t *tx) bind(x *exchange, b task.Binding, queue int64) error {
	added, err := t.exec(sqlBind, x.id, x.pattern(b), queue)
	if err != nil || added == 0 {
		return err
	}
	return t.rerouted(b.Exchange)
}

// pattern is what of a binding matters to the exchange.
func (x *exchange) pattern(b task.Binding) string {
	switch x.kind {
	case task.Fanout:
		return ""
	case task.Headers:
		return b.Task
	default:
		return b.RoutingKey
	}
}

// leads returns the queues that a message with this routing key, of this task, goes to.
func (x *exchange) leads(key, name string) []int64 {
	var queues []int64
	for _, b := range x.bindings {
		binding := task.Binding{RoutingKey: b.pattern, Task: b.pattern}
		if routing.Leads(x.kind, binding, key, name) && !slices.Contains(queues, b.queue) {
			queues = append(queues, b.queue)
		}
	}
	return queues
}
