package task

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Stage is a step in the life of a task at a worker: it was received, it starts, or so has its run ended.
type Stage struct {
	// State is what has come: Received, Started, Success, Failure, Retried, Revoked, or Rejected.
	State State
	Time  time.Time
	ID    string
	// Name is the registered name.
	Name             string
	RootID, ParentID string
	Retries          int
	ETA, Expires     time.Time
	// Result is what the task returned, after Success, as Python shows values, at most 1,024 characters.
	Result string
	// Err is why there is no result, after Failure, Retried and Revoked.
	Err *TaskError
	// Took is how long the run lasted, Delay the wait before the next one.
	Took, Delay time.Duration
	// Terminated says that a Revoked task was running, Expired that it was too late to start it.
	Terminated, Expired bool

	request *request
}

// The states that only observers see.
const (
	// Received: the worker has the task's message.
	Received State = "RECEIVED"
	// Rejected: the run was interrupted and the message has gone back to the broker.
	Rejected State = "REJECTED"
)

// Observe has observer told of the stages of all tasks, from many goroutines at a time. It must not block. While there
// is none, nil, a stage costs nothing.
func (w *Worker) Observe(observer func(*Stage)) {
	if observer == nil {
		w.executor.stages.observer.Store(nil)
		return
	}
	w.executor.stages.observer.Store(&observer)
}

// errExpired is why a task is revoked that nobody has asked to revoke.
var errExpired = errors.New("expired")

// stages tells the observer.
type stages struct {
	observer atomic.Pointer[func(*Stage)]
}

// tell tells of a stage outside of a run, with the cause if it has failed.
func (s *stages) tell(r *request, state State, err error) {
	if observer := s.observer.Load(); observer != nil && r.id != "" {
		stage := newStage(r, state)
		stage.Expired = errors.Is(err, errExpired)
		if err != nil {
			stage.Err = describe(err)
		}
		(*observer)(stage)
	}
}

// ended tells how a run has ended; terminated says that somebody has ended it.
func (s *stages) ended(r *request, a *Attempt, terminated bool) {
	observer := s.observer.Load()
	if observer == nil {
		return
	}
	stage := newStage(r, a.State)
	stage.Took, stage.Delay, stage.Terminated = a.Took, a.Delay, terminated
	switch {
	case a.Err != nil:
		stage.Err = describe(a.Err)
		stage.Err.Traceback = or(stage.Err.Traceback, stage.Err.Type+": "+stage.Err.Message)
	case a.State == Success:
		stage.Result = unshown
		_ = guard(func() error {
			stage.Result = codec.ReprValue(a.invocation.result, maxRepr)
			return nil
		})
	}
	(*observer)(stage)
}

func newStage(r *request, state State) *Stage {
	s := &Stage{
		State: state, Time: time.Now(), ID: r.id, Name: r.name, RootID: r.rootID, ParentID: r.parentID,
		Retries: r.retries, ETA: r.eta, Expires: r.expires,
	}
	if r.entry != nil && len(r.message.Body) <= maxShown {
		s.request = r // which holds the body
	}
	return s
}

// Exception shows Err as Python shows exceptions, such as ValueError('boom'), at most 1,024 characters of the text.
func (s *Stage) Exception() string {
	if s.Err == nil {
		return ""
	}
	exception := s.Err.Type + "(" + codec.ReprValue(func(v codec.Value) { v.String(s.Err.Message) }, maxRepr) + ")"
	if s.State == Retried { // as Celery shows its Retry
		return fmt.Sprintf("Retry(Retry(...), %s, %v)", exception, s.Delay.Seconds())
	}
	return exception
}

// Arguments shows the arguments as Python does, positional ones and those by name, at most 1,024 characters of each: as
// the sender has, if the task has no secret ones, or else as they are decoded for it here, and secret ones as ***. It
// takes as long as that takes, and shows ... for large ones, those that can't be read, and those of an unknown task.
func (s *Stage) Arguments() (args, kwargs string) {
	r := s.request
	if r == nil {
		return unshown, unshown
	}
	if len(r.entry.spec.Secret) == 0 {
		args, problem := textHeader(r.message.Headers, "argsrepr", "")
		kwargs, problem2 := textHeader(r.message.Headers, "kwargsrepr", "")
		if problem == nil && problem2 == nil && args != "" && kwargs != "" {
			return shorten(args, maxRepr), shorten(kwargs, maxRepr)
		}
	}
	kwargs = unshown
	_ = guard(func() error {
		body, err := decompress(r.message, maxShown)
		if err != nil {
			return err
		}
		invocation := r.entry.prepare()
		if _, err := r.serializer.DecodeCall(body, invocation.visit); err != nil {
			return err
		}
		kwargs = codec.Repr(invocation.visit, r.entry.spec.Secret, maxRepr)
		return nil
	})
	return "()", kwargs
}

// unshown stands for what is not shown.
const unshown = "..."
