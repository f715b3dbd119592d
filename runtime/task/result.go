package task

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

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
	// GroupID is the group that the task is part of, ParentID the task that sent it. "": none. Stores keep them for others than
	// us, and don't return them.
	GroupID, ParentID string
	// ContentType and ContentEncoding describe Body: Celery's result message
	// (docs/wire.md).
	ContentType, ContentEncoding string
	Body                         []byte
}

// writeResult writes Celery's result message, in the serializer of the call.
func writeResult(s codec.Serializer, id string, state State, value func(codec.Value), failure *TaskError, sent []child) ([]byte, error) {
	return s.EncodeMap(func(f codec.Fields) {
		codec.String(f.Field("task_id"), &id)
		codec.String(f.Field("status"), &state)
		if failure != nil {
			writeException(f.Field("result"), failure)
		} else {
			value(f.Field("result"))
		}
		trace := f.Field("traceback")
		if trace.Present(failure != nil && failure.Traceback != "") {
			codec.String(trace, &failure.Traceback)
		}
		writeChildren(f.Field("children"), sent)
	})
}

// The keys that name, in the exception of a task that did not run, the one that failed before it. Celery doesn't look at them.
const (
	failedTask = "taskgen_task"
	failedID   = "taskgen_id"
)

// writeException writes an error as Celery writes an exception. It names the task that failed if failure does.
func writeException(v codec.Value, failure *TaskError) {
	if failure.ID == "" {
		v.Map(3)
	} else {
		v.Map(5)
		v.String(failedTask)
		v.String(failure.Task)
		v.String(failedID)
		v.String(failure.ID)
	}
	v.String("exc_type")
	v.String(failure.Type)
	v.String("exc_module")
	v.String(failure.Module)
	v.String("exc_message")
	v.List(1)
	v.String(failure.Message)
	v.End()
	v.End()
}

// readResult reads such a message, of Celery or of our own. It returns the
// failure that the message tells of, or fills in the value, if asked.
func readResult(stored *Result, task string, value func(codec.Value)) (*TaskError, error) {
	broken := func(err error) error {
		return fmt.Errorf("task %s %s: its result can't be read: %w", task, stored.ID, err)
	}
	s, ok := codec.ByContentType(stored.ContentType)
	if !ok {
		return nil, broken(fmt.Errorf("no serializer for content type %q", stored.ContentType))
	}
	switch stored.State {
	case Failure, Revoked, Retried:
		e := &TaskError{Task: task, ID: stored.ID, State: stored.State}
		tree, err := s.DecodeTree(stored.Body)
		if err != nil {
			return nil, broken(err)
		}
		meta, _ := tree.(map[string]any)
		e.Traceback, _ = meta["traceback"].(string)
		exception, ok := meta["result"].(map[string]any)
		if !ok {
			return nil, broken(errors.New("the exception is missing"))
		}
		e.Type, _ = exception["exc_type"].(string)
		e.Module, _ = exception["exc_module"].(string)
		e.Message = messageOf(exception["exc_message"])
		if name, id := failedBefore(exception); id != "" {
			e.Task, e.ID = name, id
		}
		return e, nil
	}
	if value == nil {
		return nil, nil
	}
	if err := s.DecodeMap(stored.Body, func(f codec.Fields) { value(f.Field("result")) }); err != nil {
		return nil, broken(err)
	}
	return nil, nil
}

// failedBefore is the task that an exception names as the one that failed; "" if it names none.
func failedBefore(exception map[string]any) (name, id string) {
	name, _ = exception[failedTask].(string)
	id, _ = exception[failedID].(string)
	if checkName(name) != nil || checkName(id) != nil {
		return "", ""
	}
	return name, id
}

// messageOf is the text of a Python exception's arguments.
func messageOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, part := range v {
			parts[i] = messageOf(part)
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}
