package task

import "time"

// State is the state of a task, as Celery names it.
type State string

// The states. A task that nobody has heard of is Pending too.
const (
	Pending State = "PENDING"
	Started State = "STARTED"
	Retried State = "RETRY"
	Success State = "SUCCESS"
	Failure State = "FAILURE"
	Revoked State = "REVOKED"
)

// Final says whether no other state can follow.
func (s State) Final() bool { return s == Success || s == Failure || s == Revoked }

// Result is the state of a task as it is stored, or sent to the caller.
type Result struct {
	ID    string
	State State
	// ReplyTo is the message's; a transport that sends results needs it, one
	// that stores them ignores it.
	ReplyTo string
	// TTL is how long to keep it. 0 means 1 day; negative for ever.
	TTL time.Duration
	// ContentType and ContentEncoding describe Body: Celery's result message
	// (docs/wire.md).
	ContentType, ContentEncoding string
	Body                         []byte
}
