package task

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// TaskError is the error that a task ended with, as its caller sees it.
type TaskError struct {
	// Task and ID are those of the task that has failed: where one that was to follow it did not run, this one.
	Task, ID string
	// State is FAILURE, REVOKED, or RETRY while another attempt waits.
	State State
	// Type and Module name the error's type: the Go type and its package, or the
	// Python exception and its module.
	Type, Module string
	Message      string
	// Traceback is the stack of a panic or of an error that has one, the chain of
	// wrapped errors, or Python's traceback.
	Traceback string
}

func (e *TaskError) Error() string {
	verb := "failed"
	switch e.State {
	case Revoked:
		verb = "was revoked"
	case Retried:
		verb = "waits for a retry"
	}
	s := fmt.Sprintf("task %s %s %s", e.Task, e.ID, verb)
	if e.Type != "" && !genericErrors[e.Type] {
		s += ": " + e.Type
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is matches [ErrRevoked], [ErrTimeout], and another TaskError of the same Type.
func (e *TaskError) Is(target error) bool {
	switch target {
	case ErrRevoked:
		return e.State == Revoked
	case ErrTimeout:
		return e.Type == softTimeLimit || e.Type == "TimeLimitExceeded"
	}
	other, ok := target.(*TaskError)
	return ok && other.Type != "" && other.Type == e.Type
}

// PanicError is what a task that panicked failed with.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string {
	if text, ok := e.Value.(string); ok {
		return "panic: " + shorten(text, maxErrorText)
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// Unwrap returns the value if the task panicked with an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// genericErrors are types that say nothing about the error.
var genericErrors = map[string]bool{
	"errorString": true, "fundamental": true, "wrapError": true, "wrapErrors": true, "joinError": true,
	"permanentError": true, "retryError": true, "Error": true,
}

// softTimeLimit is what Celery calls the end of a task's time.
const softTimeLimit = "SoftTimeLimitExceeded"

// describe turns an error into what crosses the wire.
func describe(err error) *TaskError {
	e := &TaskError{State: Failure, Message: safeText(err), Type: "Error", Module: "go"}
	if rejected, ok := errors.AsType[*rejection](err); ok {
		e.Type, e.Module, e.Message = rejected.excType, rejected.excModule, safeText(rejected.err)
		return e
	}
	if errors.Is(err, ErrTimeout) {
		e.Type, e.Module = softTimeLimit, "billiard.exceptions"
		return e
	}
	e.Traceback = traceback(err)
	if _, exceeded := errors.AsType[*MaxRetriesExceededError](err); exceeded {
		e.Type, e.Module = "MaxRetriesExceededError", "celery.exceptions"
		return e
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		t := reflect.TypeOf(cause)
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if name := t.Name(); name != "" && !genericErrors[name] {
			e.Type, e.Module = name, t.PkgPath()
			break
		}
	}
	return e
}

// traceback is the stack of a panic, that of an error which prints one for %+v (as those
// of github.com/pkg/errors do), or the errors that err wraps, a line each.
func traceback(err error) (text string) {
	if p, ok := errors.AsType[*PanicError](err); ok {
		return shorten(string(p.Stack), maxTraceback)
	}
	defer func() {
		if recover() != nil {
			text = ""
		}
		text = shorten(text, maxTraceback)
	}()
	if stacked, ok := errors.AsType[interface {
		error
		fmt.Formatter
	}](err); ok {
		if text := fmt.Sprintf("%+v", stacked); strings.Contains(text, "\n\t") {
			return text
		}
	}
	var chain strings.Builder
	if errors.Unwrap(err) == nil {
		return ""
	}
	for cause := err; cause != nil && chain.Len() < maxTraceback; cause = errors.Unwrap(cause) {
		fmt.Fprintf(&chain, "%T: %s\n", cause, safeText(cause))
	}
	return strings.TrimSuffix(chain.String(), "\n")
}

// safeText is err's text, even if its Error method panics.
func safeText(err error) (s string) {
	defer func() {
		if v := recover(); v != nil {
			s = fmt.Sprintf("%T, whose Error method panics: %v", err, v)
		}
		s = shorten(s, maxErrorText)
	}()
	return err.Error()
}

// How much of an error is logged, and told to callers, in bytes.
const (
	maxErrorText = 8 << 10
	maxTraceback = 64 << 10
)

// shorten returns UTF-8 of about as many bytes at most.
func shorten(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// maxWrapped bounds how many errors an error may wrap.
const maxWrapped = 1000

// sound returns err, or a plain error with its text if the methods of an error that it is made of panic, or if
// there is no end to what it wraps: it is going to be asked often, in places that have to survive that.
func sound(err error) (checked error) {
	if err == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			checked = errors.New(safeText(err))
		}
	}()
	if wrapped(err, maxWrapped) < 0 {
		return errors.New(safeText(err))
	}
	errors.Is(err, ErrTimeout)
	errors.AsType[*PanicError](err)
	return err
}

// wrapped returns what is left of a number of errors after those that err is made of.
func wrapped(err error, left int) int {
	if err == nil || left < 0 {
		return left
	}
	_ = err.Error()
	switch x := err.(type) { //nolint:errorlint // one error after the other
	case interface{ Unwrap() error }:
		return wrapped(x.Unwrap(), left-1)
	case interface{ Unwrap() []error }:
		left--
		for _, e := range x.Unwrap() {
			left = wrapped(e, left)
		}
	}
	return left - 1
}
