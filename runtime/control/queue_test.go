package control_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

// declareInPython makes the queues that a Celery worker has in its task_queues, and prints what it answers to active_queues.
const declareInPython = `
import json, sys
from kombu import Connection, Exchange, Queue, binding
url, name = sys.argv[1:]
queues = [
    Queue(name, Exchange(name), name),
    Queue(name + ".extra", Exchange(name + ".topic", "topic"), "a.#", max_priority=5, message_ttl=60, expires=600.5, max_length=7, max_length_bytes=4096,
          queue_arguments={"x-max-priority": 5, "x-message-ttl": 60000, "x-expires": 600500, "x-max-length": 7, "x-max-length-bytes": 4096,
                           "x-overflow": "reject-publish"}),
    Queue(name + ".quorum", Exchange(name + ".quorum"), name + ".quorum", queue_arguments={"x-queue-type": "quorum"}),
]
with Connection(url) as connection:
    for queue in queues:
        queue(connection.default_channel).declare()
infos = [queue.as_dict(recurse=True) for queue in queues]
# Of a queue with several bindings Celery tells no exchange; the Go worker tells the first, and the others as Celery does.
infos[1]["bindings"] = [binding(Exchange(name + ".news", "fanout")).as_dict(recurse=True)]
print(json.dumps(infos))
`

// A worker tells of queues that others have made what a Celery worker tells of them, whose own they are.
func TestQueueAttributes(t *testing.T) {
	t.Parallel()
	url, python := os.Getenv("TASKGEN_TEST_AMQP"), os.Getenv("TASKGEN_TEST_PYTHON")
	if url == "" || python == "" {
		t.Skip("TASKGEN_TEST_AMQP (scripts/rabbitmq.sh start) or TASKGEN_TEST_PYTHON (scripts/celery.sh) is not set")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx, url: url, queue: "control-" + uuid.NewString(), released: make(chan struct{})}
	t.Cleanup(w.deleteQueues)
	t.Cleanup(func() {
		conn, err := amqp.Dial(url)
		w.check(err)
		defer conn.Close()
		channel, err := conn.Channel()
		w.check(err)
		for _, name := range []string{"", ".topic", ".news", ".quorum"} {
			w.check(channel.ExchangeDelete(w.queue+name, false, false))
		}
		for _, name := range []string{".quorum", ".quorum.probation"} {
			_, err := channel.QueueDelete(w.queue+name, false, false, false)
			w.check(err)
		}
	})
	text, err := exec.CommandContext(ctx, python, "-c", declareInPython, url, w.queue).Output()
	w.check(err)
	want := queueInfos(w, text)

	name := w.name()
	worker, fleet := w.serve(name), w.fleet(name)
	w.check(worker.AddQueue(w.queue+".extra", task.Binding{Exchange: w.queue + ".topic", Type: task.Topic, RoutingKey: "a.#"}, task.Binding{Exchange: w.queue + ".news", Type: task.Fanout}))
	w.check(worker.AddQueue(w.queue + ".quorum"))
	w.eventually("the worker takes from all", worker.Ready)
	for range 2 { // the second time from memory
		answers, err := fleet.Ask(ctx, "active_queues", nil)
		w.check(err)
		if diff := cmp.Diff(want, queueInfos(w, answers[0].Value)); diff != "" {
			t.Errorf("not as a Celery worker says it: %s", diff)
		}
	}
}

// queueInfos reads an answer as JSON has it, but for the whole numbers that Python writes with a fraction.
func queueInfos(w *world, text []byte) (out []string) {
	var all []control.QueueInfo
	w.check(json.Unmarshal(text, &all))
	for _, q := range all {
		text, err := json.MarshalIndent(q, "", "  ")
		w.check(err)
		out = append(out, string(text))
	}
	return out
}
