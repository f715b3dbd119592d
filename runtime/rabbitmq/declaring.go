package rabbitmq

import (
	"cmp"
	"fmt"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// declaring is how a transport treats the queues and exchanges that it shares with others. Those of one
// process it makes in any case.
type declaring struct {
	mode declareMode
	// queueType of queues that are made: quorum, classic; "" is quorum, of which nobody has said that it must be so.
	queueType string
}

type declareMode int

const (
	// declareCreate makes what is missing, and takes what exists as it is.
	declareCreate declareMode = iota
	// declareVerify makes nothing: what is missing, or a queue that is otherwise, is an error.
	declareVerify
	// declareNothing asks for nothing, and assumes that all is there.
	declareNothing
)

// The types of queues.
const (
	quorumType  = "quorum"
	classicType = "classic"
)

func parseDeclareMode(text string) (declareMode, error) {
	for mode, name := range []string{"create", "verify", "never"} {
		if text == name {
			return declareMode(mode), nil
		}
	}
	return 0, fmt.Errorf("there is no mode %q: there are create, verify and never", text)
}

func parseQueueType(text string) (string, error) {
	if text != quorumType && text != classicType {
		return "", fmt.Errorf("there is no type %q: there are quorum and classic", text)
	}
	return text, nil
}

// queueKind says how a queue is created if it is missing. One that exists is taken as it is.
type queueKind int

const (
	quorumQueue queueKind = iota
	// foreignQueue is one of Celery's: classic, without arguments.
	foreignQueue
	// priorityQueue is classic: quorum queues know no priorities before RabbitMQ 4.
	priorityQueue
	// replyQueue takes the results for one process, and goes when that has been gone for a while.
	replyQueue
)

// maxPriority is the largest priority on the wire, see [task.Message].
const maxPriority = 9

// replyQueueTTL is how long a reply queue outlives its process.
const replyQueueTTL = 30 * 60 * 1000 // ms

// arguments has nothing but what can't be had by a policy: arguments are for ever, and who declares
// the queue with others is refused. A classic queue of tasks has no type among them: so does Celery declare it.
func (d declaring) arguments(kind queueKind) amqp.Table {
	switch classic := d.queueType == classicType; {
	case kind == replyQueue:
		return amqp.Table{"x-queue-type": classicType, "x-expires": int32(replyQueueTTL)}
	case kind == priorityQueue && classic:
		return amqp.Table{"x-max-priority": int32(maxPriority)}
	case kind == priorityQueue:
		return amqp.Table{"x-queue-type": classicType, "x-max-priority": int32(maxPriority)}
	case classic || kind == foreignQueue:
		return amqp.Table{}
	default:
		return amqp.Table{"x-queue-type": quorumType}
	}
}

// compares says whether a queue that exists must be as it would be made.
func (d declaring) compares() bool {
	return d.mode == declareVerify || d.mode == declareCreate && d.queueType != ""
}

// declareError is a refusal of our own, with the broker's answer that is its cause.
type declareError struct {
	text  string
	cause error
}

func (e *declareError) Error() string { return e.text }
func (e *declareError) Unwrap() error { return e.cause }

// missing is the error for what should be there.
func (d declaring) missing(what, name string, cause error) error {
	return &declareError{cause: cause, text: fmt.Sprintf("%s %q is missing, and declare=verify (-declare verify) makes none: create it (the worker's "+
		"command topology prints what is needed), or use declare=create", what, name)}
}

// mismatch is the error for a queue that is otherwise.
func (d declaring) mismatch(queue, argument, received, current string, cause error) error {
	use := "declare=never"
	if d.mode == declareCreate {
		use = "leave out queue_type (-queue-type)"
	}
	if argument == "x-queue-type" && current == "none" {
		current = classicType + " (it was made without one)"
	}
	return &declareError{cause: cause, text: fmt.Sprintf("queue %q has %s %s at the broker, and %s here; that can't be changed. To use it as it is: %s, or "+
		"say the queue_type that it has. To have it as it is here: drain it and delete it, so that it is made anew",
		queue, argument, plainValue(current), plainValue(received), use)}
}

// plainValue takes a value out of the broker's words: "the value 'classic' of type 'longstr'".
func plainValue(text string) string {
	value, found := strings.CutPrefix(text, "the value '")
	if found {
		value, _, _ = strings.Cut(value, "'")
		return value
	}
	return cmp.Or(strings.Trim(text, "'"), "otherwise")
}
