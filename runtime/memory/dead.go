package memory

import (
	"context"
	"slices"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// DeadLetters visits the messages that were parked from a queue, oldest first.
func (t *Transport) DeadLetters(ctx context.Context, queue string, visit func(*task.DeadMessage) (task.DeadAction, error)) error {
	t.mu.Lock()
	dead := slices.Clone(t.queue(queue).dead)
	t.mu.Unlock()
	for _, d := range dead {
		if err := ctx.Err(); err != nil {
			return err
		}
		shown := *d
		shown.Message = clone(d.Message)
		action, err := visit(&shown)
		if err != nil {
			return err
		}
		t.bury(queue, d, action)
	}
	return nil
}

// bury carries an action out, unless somebody else has ended the dead letter meanwhile.
func (t *Transport) bury(queue string, d *task.DeadMessage, action task.DeadAction) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue(queue)
	at := slices.Index(q.dead, d)
	if at < 0 || action != task.ReplayDead && action != task.DropDead {
		return
	}
	q.dead = slices.Delete(q.dead, at, at+1)
	if action == task.ReplayDead {
		m := clone(d.Message)
		m.ETA = time.Time{}
		t.put(m, queue)
	}
}
