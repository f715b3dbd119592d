package events

import (
	"fmt"
	"syscall"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/event"
	"github.com/taskgen/taskgen/runtime/task"
)

// encode writes the event of a stage, with the fields that Celery 5.6 gives it.
func (d *Dispatcher) encode(s *task.Stage) ([]byte, error) {
	kind, more, ok := form(s)
	if !ok {
		return nil, fmt.Errorf("there is no event of the state %q", s.State)
	}
	return d.source.Encode(kind, s.Time, func(f codec.Fields) {
		f.Field("uuid").String(s.ID)
		more(f, s)
	})
}

// form is the type of the event, and what writes its own fields.
func form(s *task.Stage) (kind string, more func(codec.Fields, *task.Stage), ok bool) {
	switch s.State {
	case task.Received:
		return "task-received", received, true
	case task.Started:
		return "task-started", func(codec.Fields, *task.Stage) {}, true
	case task.Success:
		return "task-succeeded", succeeded, true
	case task.Failure:
		return "task-failed", failed, true
	case task.Retried:
		return "task-retried", failed, true
	case task.Revoked:
		return "task-revoked", revoked, true
	case task.Rejected:
		return "task-rejected", func(f codec.Fields, _ *task.Stage) { f.Field("requeue").Bool(true) }, true
	}
	return "", nil, false
}

func received(f codec.Fields, s *task.Stage) {
	args, kwargs := s.Arguments()
	f.Field("name").String(s.Name)
	f.Field("args").String(args)
	f.Field("kwargs").String(kwargs)
	event.Text(f.Field("root_id"), s.RootID)
	event.Text(f.Field("parent_id"), s.ParentID)
	f.Field("retries").Int(int64(s.Retries), 64)
	event.Time(f.Field("eta"), s.ETA)
	event.Time(f.Field("expires"), s.Expires)
}

func succeeded(f codec.Fields, s *task.Stage) {
	f.Field("result").String(s.Result)
	f.Field("runtime").Float(s.Took.Seconds(), 64)
}

// failed leaves the traceback out, as Celery does, where the task did not run.
func failed(f codec.Fields, s *task.Stage) {
	f.Field("exception").String(s.Exception())
	if s.Err != nil && s.Err.Traceback != "" {
		f.Field("traceback").String(s.Err.Traceback)
	}
}

// revoked names the signal that Celery would have sent.
func revoked(f codec.Fields, s *task.Stage) {
	f.Field("terminated").Bool(s.Terminated)
	if signal := f.Field("signum"); signal.Present(s.Terminated) {
		signal.Int(int64(syscall.SIGTERM), 64)
	}
	f.Field("expired").Bool(s.Expired)
}
