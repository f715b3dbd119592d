package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Publish implements [task.Transport].
func (t *Transport) Publish(ctx context.Context, m *task.Message) error {
	c, err := newInsertion(m)
	if err != nil {
		return err
	}
	return publishError(m, t.writer.do(ctx, c))
}

// PublishMany implements [task.Transport].
func (t *Transport) PublishMany(ctx context.Context, ms []*task.Message) []error {
	errs := make([]error, len(ms))
	changes := make([]change, 0, len(ms))
	index := make([]int, 0, len(ms))
	for i, m := range ms {
		c, err := newInsertion(m)
		if err != nil {
			errs[i] = err
			continue
		}
		changes, index = append(changes, c), append(index, i)
	}
	failed := len(changes) < len(ms)
	// One transaction at a time, so that other callers get their turn in between.
	for chunk := range slices.Chunk(changes, maxBatch) {
		for j, err := range t.writer.doMany(ctx, chunk) {
			if err != nil {
				errs[index[j]], failed = publishError(ms[index[j]], err), true
			}
		}
		index = index[len(chunk):]
	}
	if !failed {
		return nil
	}
	return errs
}

func publishError(m *task.Message, err error) error {
	var undecided *undecidedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &undecided):
		return &task.UnconfirmedError{ID: m.ID, Cause: undecided.cause}
	default:
		return notQueued(m, err)
	}
}

func notQueued(m *task.Message, err error) error {
	return fmt.Errorf("task %s (%s) is not queued: %w", m.ID, m.Task, err)
}

// An insertion is a message on its way into its queues.
type insertion struct {
	route
	prio  int
	eta   int64 // in ms; 0: none
	id    taskID
	props []byte
	body  []byte
}

func newInsertion(m *task.Message) (*insertion, error) {
	route, err := newRoute(m)
	if err != nil {
		return nil, notQueued(m, err)
	}
	props, err := encodeProps(m)
	if err != nil {
		return nil, notQueued(m, err)
	}
	return &insertion{
		route: route,
		prio:  int(min(m.Priority, 9)),
		eta:   etaMillis(m.ETA),
		id:    taskID(m.ID),
		props: props,
		body:  m.Body,
	}, nil
}

// etaMillis rounds up: a message is never early.
func etaMillis(eta time.Time) int64 {
	if eta.IsZero() {
		return 0
	}
	ms := eta.UnixMilli()
	if eta.Sub(time.UnixMilli(ms)) > 0 {
		ms++
	}
	return ms
}

func (i *insertion) apply(t *tx) error {
	queues, err := i.queues(t)
	if err != nil {
		return err
	}
	return i.put(t, queues)
}

const (
	sqlQueue  = `SELECT id, owner FROM queue WHERE name = ?`
	sqlInsert = `INSERT INTO msg (queue, prio, state, at, task_id, task) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (queue, task_id) WHERE live DO NOTHING`
	// OR REPLACE: as for sqlDead.
	sqlInsertBody = `INSERT OR REPLACE INTO body (id, props, body) VALUES (?, ?, ?)`
)

// put puts a copy of the message into each queue, unless one with this id waits or
// runs there already: then a sender repeats what it has no confirmation of.
func (i *insertion) put(t *tx, queues []int64) error {
	state, at := stateReady, t.now.UnixMilli()
	if i.eta > at {
		state, at = stateDelayed, i.eta
	}
	for _, queue := range queues {
		added, err := t.exec(sqlInsert, queue, i.prio, state, at, i.id, i.task)
		if err != nil {
			return err
		}
		if added == 0 {
			continue
		}
		if _, err := t.exec(sqlInsertBody, t.lastID(), i.props, i.body); err != nil {
			return err
		}
		if state == stateDelayed {
			t.dueBy(at)
		} else {
			t.ready[queue] = true
		}
	}
	return nil
}

// dueBy notes when a delayed message is due.
func (t *tx) dueBy(at int64) {
	if t.due == 0 || at < t.due {
		t.due = at
	}
}
