package task

import (
	"context"
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Call is a task that was sent.
type Call[R any] struct {
	// ID is the task id.
	ID string

	task    string
	client  *Client
	result  func(codec.Value, *R)
	ignored bool
	// destination is where it was sent.
	destination destination
	// gather and states collect what is known of the members of a group; nil for any other call.
	gather func(context.Context) (R, error)
	states func(context.Context) (Status, error)
}

// Get waits for the task to end and returns its result, or the error it ended
// with: a [*TaskError] if the task failed or was revoked, else what ended the
// waiting. Always give ctx a deadline: a task that nobody runs never ends.
func (c *Call[R]) Get(ctx context.Context) (R, error) {
	var value R
	if c.gather != nil {
		return c.gather(ctx)
	}
	if c.ignored {
		return value, fmt.Errorf("task %s %s: %w", c.task, c.ID, ErrNoResult)
	}
	stored, err := c.client.transport.AwaitResult(ctx, c.ID)
	if err != nil {
		return value, fmt.Errorf("waiting for the result of task %s %s%s: %w", c.task, c.ID, c.sentTo(), err)
	}
	failure, err := readResult(stored, c.task, func(v codec.Value) { c.result(v, &value) })
	if err != nil {
		return value, err
	}
	if failure != nil {
		return value, failure
	}
	return value, nil
}

// sentTo says where the task may still wait.
func (c *Call[R]) sentTo() string {
	to := c.destination.String()
	if to == "" {
		return ""
	}
	return " (sent to " + to + " of " + c.client.transport.String() + ": does a worker take from there?)"
}

// Status is what is known of a call at one moment.
type Status struct {
	State State
	// Err is the error of the last run in the states RETRY, FAILURE and REVOKED.
	Err *TaskError
}

// Status asks for the state of the call without waiting. A task that waits, runs, or is unknown is [Pending].
func (c *Call[R]) Status(ctx context.Context) (Status, error) {
	if c.states != nil {
		return c.states(ctx)
	}
	stored, err := c.client.transport.Result(ctx, c.ID)
	if err != nil {
		return Status{}, fmt.Errorf("status of task %s %s: %w", c.task, c.ID, err)
	}
	if stored == nil {
		return Status{State: Pending}, nil
	}
	failure, err := readResult(stored, c.task, nil)
	if err != nil {
		return Status{}, err
	}
	return Status{State: stored.State, Err: failure}, nil
}
