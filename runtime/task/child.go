package task

import (
	"context"
	"sync"

	"github.com/taskgen/taskgen/runtime/codec"
)

// child is a task that another one has sent, or a group of them, for its result (Celery's AsyncResult.children).
type child struct {
	id      string
	group   bool
	members []string
}

// maxChildren bounds what a result tells of the tasks that its task has sent.
const maxChildren = 1000

// offspring are the tasks that a running one has sent so far.
type offspring struct {
	mu       sync.Mutex
	children []child
}

// note takes note of what the task of ctx has sent, if there is one.
func note(ctx context.Context, children ...child) {
	run := runningFrom(ctx)
	if run == nil || run.sent == nil {
		return
	}
	run.sent.mu.Lock()
	defer run.sent.mu.Unlock()
	room := max(0, maxChildren-len(run.sent.children))
	run.sent.children = append(run.sent.children, children[:min(room, len(children))]...)
}

func (o *offspring) list() []child {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.children
}

// writeChildren writes them as Celery does: each [[id, parent], members].
func writeChildren(v codec.Value, children []child) {
	v.List(len(children))
	for _, c := range children {
		v.List(2)
		writeResultID(v, c.id)
		if v.Present(c.group) {
			v.List(len(c.members))
			for _, id := range c.members {
				v.List(2)
				writeResultID(v, id)
				v.Present(false)
				v.End()
			}
			v.End()
		}
		v.End()
	}
	v.End()
}

// writeResultID writes [id, parent], where the parent is left out.
func writeResultID(v codec.Value, id string) {
	v.List(2)
	v.String(id)
	v.Present(false)
	v.End()
}
