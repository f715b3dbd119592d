package worker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
)

func TestTopology(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if code := s.run("topology", "-json", "-broker", "amqp://nobody:secret@nowhere/app", "-queue-type", "classic", "-Q", "mail", "-bind", "mail=news:topic/mail.new"); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.err.String())
	}
	var d rabbitmq.Definitions
	if err := json.Unmarshal(s.out.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range d.Queues {
		if q.VHost != "app" || !q.Durable || q.AutoDelete || q.Arguments == nil {
			t.Errorf("queue %+v", q)
		}
		if !strings.HasPrefix(q.Name, "celery_delayed_") {
			names = append(names, q.Name)
			if len(q.Arguments) > 0 {
				t.Errorf("a classic queue has arguments: %v", q)
			}
		}
	}
	if slices.Sort(names); strings.Join(names, " ") != "mail mail.dead mail.probation" {
		t.Errorf("queues %s", names)
	}
	if !slices.ContainsFunc(d.Bindings, func(b rabbitmq.Binding) bool {
		return b.Source == "news" && b.Destination == "mail" && b.RoutingKey == "mail.new" && b.DestinationType == "queue"
	}) {
		t.Errorf("the queue is not bound in %v", d.Bindings)
	}
	if code := s.run("topology", "-broker", "amqp://nobody:secret@nowhere/"); code != 0 ||
		!strings.Contains(s.out.String(), "queue mail: durable, x-queue-type=quorum\n") || strings.Contains(s.out.String(), "secret") {
		t.Errorf("exit code %d:\n%s%s", code, s.out.String(), s.err.String())
	}
}

func TestDeclareFlags(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for words, args := range map[string][]string{
		"want create, or verify, or never": {"purge", "-yes", "-broker", "amqp://nowhere/", "-declare", "often"},
		"want quorum, or classic":          {"purge", "-yes", "-broker", "amqp://nowhere/", "-queue-type", "stream"},
		"-declare is for RabbitMQ":         {"purge", "-yes", "-broker", "memory:x", "-declare", "verify"},
		"topology is for RabbitMQ":         {"topology", "-broker", "memory:x"},
		"-broker or TASKGEN_BROKER":        {"topology"},
	} {
		if code := s.run(args...); code != 2 || !strings.Contains(s.err.String(), words) {
			t.Errorf("%v: exit code %d: %s", args, code, s.err.String())
		}
	}
}
