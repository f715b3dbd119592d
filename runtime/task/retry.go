package task

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Permanent marks an error as final: the task is not retried, whatever it asks for.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ cause error }

func (e *permanentError) Error() string { return e.cause.Error() }
func (e *permanentError) Unwrap() error { return e.cause }

// RetryIn asks to run the task again after d with the same arguments. cause, which
// may be nil, is what went wrong.
func RetryIn(d time.Duration, cause error) error {
	return &retryError{cause: cause, options: []Option{In(d)}}
}

// retryError asks for another run.
type retryError struct {
	cause   error
	options []Option
	// visit visits the new arguments; nil for the same ones.
	visit func(codec.Fields)
}

func (e *retryError) Error() string {
	if e.cause == nil {
		return "retry"
	}
	return "retry: " + e.cause.Error()
}

func (e *retryError) Unwrap() error { return e.cause }

// MaxRetriesExceededError is what a task fails with that asked for one retry too
// many without naming a cause.
type MaxRetriesExceededError struct{ MaxRetries int }

func (e *MaxRetriesExceededError) Error() string {
	return fmt.Sprintf("can't retry: the limit of %d retries is reached", e.MaxRetries)
}

// verdict is what follows from one run of a task.
type verdict struct {
	// state is Success, Failure or Retried.
	state State
	// err is what the caller sees; nil after Success.
	err error
	// delay is the wait before the next run, if state is Retried.
	delay time.Duration
	// retry is the task's own wish for the next run, or nil.
	retry *retryError
}

// judge decides what follows from the error of the run after so many retries. random is
// in [0, 1).
func judge(spec *Spec, retries int, err error, now time.Time, random float64) verdict {
	if err == nil {
		return verdict{state: Success}
	}
	if _, permanent := errors.AsType[*permanentError](err); permanent {
		return verdict{state: Failure, err: err}
	}
	asked, wanted := errors.AsType[*retryError](err)
	if !wanted && !spec.AutoRetry {
		return verdict{state: Failure, err: err}
	}
	cause := err
	if asked != nil {
		cause = asked.cause
	}
	if limit := spec.maxRetries(); limit != Forever && retries >= limit {
		if cause == nil {
			cause = &MaxRetriesExceededError{MaxRetries: limit}
		}
		return verdict{state: Failure, err: cause}
	}
	if cause == nil {
		cause = err
	}
	v := verdict{state: Retried, err: cause, retry: asked, delay: retryDelay(spec, retries, random)}
	if asked != nil {
		o, _ := newCallOptions(spec, asked.options)
		if o.countdown != nil {
			v.delay = max(0, *o.countdown)
		} else if !o.eta.IsZero() {
			v.delay = max(0, o.eta.Sub(now))
		}
	}
	return v
}

// maxBackoff is where the doubling of retry delays ends.
const maxBackoff = 10 * time.Minute

func retryDelay(spec *Spec, retries int, random float64) time.Duration {
	delay := DefaultRetryDelay
	if spec.RetryBackoff {
		delay = time.Second
	}
	if spec.DefaultRetryDelay != nil {
		delay = *spec.DefaultRetryDelay
	}
	if spec.RetryBackoff {
		delay = time.Duration(min(float64(maxBackoff), float64(delay)*math.Pow(2, float64(min(retries, 62)))))
	}
	if spec.RetryJitter {
		delay = time.Duration(float64(delay) * random)
	}
	return delay
}
