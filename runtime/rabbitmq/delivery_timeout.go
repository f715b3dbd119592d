package rabbitmq

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// brokerPatience is RabbitMQ's own consumer timeout.
	brokerPatience = 30 * time.Minute
	// timeoutGrace is what a queue's consumer timeout has over the longest time limit of its tasks.
	timeoutGrace = 5 * time.Minute
)

const timeoutAdvice = "a task that takes longer goes on in this process and is settled when it ends; to allow more, set " +
	"consumer_timeout in rabbitmq.conf, or from RabbitMQ 3.12 on consumer-timeout by a policy for the queue"

var timeoutValue = regexp.MustCompile(`Timeout value used: (\d+) ms`)

// channelClosed says why the broker has closed a channel. Up to RabbitMQ 4.2 a delivery that is unsettled for
// too long is one of the reasons; only the text tells.
func channelClosed(reply *amqp.Error) error {
	if reply == nil {
		reply = amqp.ErrClosed
	}
	err := fmt.Errorf("channel closed: %w", reply)
	if reply.Code != amqp.PreconditionFailed || !strings.Contains(reply.Reason, "timed out") {
		return err
	}
	limit := ""
	if found := timeoutValue.FindStringSubmatch(reply.Reason); found != nil {
		ms, _ := strconv.ParseInt(found[1], 10, 64)
		limit = " of " + (time.Duration(ms) * time.Millisecond).String()
	}
	return fmt.Errorf("%w%s: %s (%w)", task.ErrDeliveryTimeout, limit, timeoutAdvice, err)
}

// consumerCancelled says why the broker has cancelled a consumer. From RabbitMQ 4.3 on a delivery that is unsettled for
// too long may be the reason, which can't be told from the others.
func (c *connection) consumerCancelled(tag string) error {
	err := fmt.Errorf("%w %s: its queue was deleted or moved", errCancelled, tag)
	if !c.atLeast(4, 3) {
		return err
	}
	return fmt.Errorf("%w, or %w (the broker does not say which): %s", err, task.ErrDeliveryTimeout, timeoutAdvice)
}

// consumerTimeout adds to a quorum queue's arguments that its consumers may take longer than usual, where the
// broker knows of it. longest is the longest time limit of its tasks, 0 if some has none.
func (c *connection) consumerTimeout(arguments amqp.Table, longest time.Duration) {
	if longest+timeoutGrace > brokerPatience && arguments["x-queue-type"] == "quorum" && c.atLeast(3, 12) {
		arguments["x-consumer-timeout"] = (longest + timeoutGrace).Milliseconds()
	}
}
