package worker

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/broker"
)

// onBrokers runs a test with the embedded broker, and with RabbitMQ if there is one. The queue is of this test only.
func onBrokers(t *testing.T, test func(t *testing.T, url, queue string)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+t.TempDir(), "own")
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv("TASKGEN_TEST_AMQP")
		if url == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		queue := "test.worker." + uniqueName()
		t.Cleanup(func() { deleteQueue(t, url, queue) })
		test(t, url, queue)
	})
}

// brokerName is how a broker is named to people.
func brokerName(t *testing.T, url string) string {
	t.Helper()
	transport, err := broker.Transport(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	return transport.String()
}

func deleteQueue(t *testing.T, url, queue string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Log("the queue stays:", err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	for _, name := range []string{queue, queue + ".probation"} {
		if err == nil {
			_, err = channel.QueueDelete(name, false, false, false)
		}
	}
	if err != nil {
		t.Log("the queue stays:", err)
	}
}

func uniqueName() string { return strings.ToLower(uuid.NewString()) }
