package mail

import (
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// failure is what is known of a task that has failed. Its texts are of one line and bounded, whatever came
// with the message.
type failure struct {
	worker, task, id string
	kind             string // the Go type of the error, "" if it says nothing
	text             string // of the error
	at               time.Time
	key              string // the same for failures that are told as one
}

// Bounds on texts, in characters.
const (
	maxName  = 255
	maxID    = 100
	maxError = 500
)

func newFailure(a *task.Attempt, now time.Time) *failure {
	e := a.TaskError()
	f := &failure{
		worker: oneLine(a.Info.Worker, maxName), task: oneLine(a.Info.Name, maxName), id: oneLine(a.Info.ID, maxID),
		kind: oneLine(e.Type, maxName), text: oneLine(e.Message, maxError), at: now,
	}
	if f.kind == "Error" {
		f.kind = ""
	}
	f.key = f.task + "\n" + f.kind + "\n" + fold(f.text)
	return f
}

// error is the text of the error after its type.
func (f *failure) error() string {
	switch {
	case f.kind == "":
		return f.text
	case f.text == "":
		return f.kind
	}
	return f.kind + ": " + f.text
}
