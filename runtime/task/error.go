package task

import (
	"errors"
	"fmt"
)

// Errors of sending. Test with errors.Is.
var (
	// ErrUnroutable: no queue takes the message. It is not queued.
	ErrUnroutable = errors.New("no queue takes the message")
	// ErrNoWorker: no worker had a slot free for an immediate task. It is not queued.
	ErrNoWorker = errors.New("no worker takes the task now")
	// ErrBlocked: the broker takes no messages now (an alarm for memory or
	// disk, or the disk of the embedded broker is full), and the deadline passed.
	ErrBlocked = errors.New("the broker is blocked")
	// ErrRefused: the broker was reached and refuses the login: the user, the password, or the virtual host is wrong.
	ErrRefused = errors.New("the broker refuses the login")
	// ErrUnconfirmed: the message may be queued or not. It is safe to send it
	// again with the same id. [UnconfirmedError] has the id.
	ErrUnconfirmed = errors.New("the broker has not confirmed the message")
	// ErrStale: the delivery belongs to a session that has ended; the broker delivers it again.
	ErrStale = errors.New("the session of this delivery has ended")
	// ErrResultLost: a delivery was settled, but its result could not be stored or sent.
	ErrResultLost = errors.New("the result is lost")
	// ErrDeliveryTimeout: the broker has ended a session because a delivery was unsettled for longer than it allows.
	ErrDeliveryTimeout = errors.New("a message was not settled within the broker's consumer timeout")
	// ErrConnectionLost is the cause of the context of a task whose delivery was lost with its connection
	// and went to another worker.
	ErrConnectionLost = errors.New("the connection to the broker was lost, and another worker has the task")
	// ErrRevoked: the task expired or was revoked before it ran.
	ErrRevoked = errors.New("revoked")
	// ErrTerminated is the cause of the context of a task that was revoked while it ran; it matches ErrRevoked.
	ErrTerminated = fmt.Errorf("%w while it ran", ErrRevoked)
	// ErrNoResult: the task ignores its result, so there is none to wait for.
	ErrNoResult = errors.New("the task ignores its result")
	// ErrUnstorable: a store can't keep a value of this kind, now or later.
	ErrUnstorable = errors.New("the store can't keep this value")
	// ErrDraining is the cause with which the contexts of running tasks end when
	// the worker's drain time is over.
	ErrDraining = errors.New("the worker is shutting down")
	// ErrTimeout is the cause with which a task's context ends after its timeout.
	ErrTimeout = errors.New("the task's timeout has passed")
	// ErrClosed: the transport or client was closed.
	ErrClosed = errors.New("closed")
)

// UnconfirmedError is an [ErrUnconfirmed] with the id of the task.
type UnconfirmedError struct {
	ID    string
	Cause error
}

func (e *UnconfirmedError) Error() string {
	s := "task " + e.ID + " may or may not be queued"
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s + " (sending again with task.ID(\"" + e.ID + "\") is safe)"
}

// Is makes errors.Is(err, ErrUnconfirmed) true.
func (e *UnconfirmedError) Is(target error) bool { return target == ErrUnconfirmed }

// Unwrap returns the cause.
func (e *UnconfirmedError) Unwrap() error { return e.Cause }
