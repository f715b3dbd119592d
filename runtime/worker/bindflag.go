package worker

import (
	"net/url"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// bind adds bindings such as "site-eu=orders:topic/eu.#" to the queues, by default to those of the tasks.
func bind(queues []task.QueueConfig, bindings []string, tasks *catalog) ([]task.QueueConfig, error) {
	if len(bindings) == 0 {
		return queues, nil
	}
	if len(queues) == 0 {
		for _, name := range tasks.queues() {
			queues = append(queues, task.QueueConfig{Name: name})
		}
	}
	for _, text := range bindings {
		queue, b, err := parseBinding(text, tasks)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(queues, func(q task.QueueConfig) bool { return q.Name == queue })
		if i < 0 {
			var names []string
			for _, q := range queues {
				names = append(names, q.Name)
			}
			return nil, misuse("-bind %q: this worker does not take from queue %q, only from %s; name it with -Q", text, queue, strings.Join(names, ", "))
		}
		queues[i].Bindings = append(queues[i].Bindings, b)
	}
	return queues, nil
}

// parseBinding reads QUEUE=EXCHANGE/KEY or QUEUE=EXCHANGE:TYPE/KEY. What would end a part too soon is written
// as in a URL, with a percent sign. The key ends nowhere but at the end.
func parseBinding(text string, tasks *catalog) (queue string, b task.Binding, err error) {
	bad := func(why string) (string, task.Binding, error) {
		return "", task.Binding{}, misuse("-bind %q: %s; want QUEUE=EXCHANGE/KEY or QUEUE=EXCHANGE:TYPE/KEY", text, why)
	}
	queue, rest, _ := strings.Cut(text, "=")
	exchange, key, hasKey := strings.Cut(rest, "/")
	kind := task.Direct
	if i := strings.LastIndexByte(exchange, ':'); i >= 0 {
		exchange, kind = exchange[:i], exchange[i+1:]
	}
	for _, part := range []*string{&queue, &exchange, &key} {
		if *part, err = url.PathUnescape(*part); err != nil {
			return bad("a percent sign is written as %25")
		}
		if len(*part) > maxName {
			return bad("names and keys have at most 255 bytes")
		}
	}
	b = task.Binding{Exchange: exchange, Type: kind}
	switch {
	case queue == "":
		return bad("there is no queue")
	case exchange == "":
		return bad("there is no exchange")
	case kind == task.Fanout && hasKey:
		return bad("a fanout exchange leads everything to its queues, whatever the key")
	case kind == task.Fanout:
		return queue, b, nil
	case kind == task.Direct || kind == task.Topic:
		if !hasKey {
			return bad("there is no /KEY")
		}
		b.RoutingKey = key
	case kind == task.Headers:
		if key == "" {
			return bad("with a headers exchange, the name of a task stands in place of the key")
		}
		e, err := tasks.find(key)
		if err != nil {
			return "", task.Binding{}, misuse("-bind %q: %w", text, err)
		}
		b.Task = e.Name()
	default:
		return bad("there is no exchange type " + kind + ", there are direct, topic, fanout and headers; a colon in a name is written as %3A")
	}
	return queue, b, nil
}

// maxName is how long names and keys may be, in AMQP and so everywhere.
const maxName = 255
