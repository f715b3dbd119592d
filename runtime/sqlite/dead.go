package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// DeadLetters implements [task.Transport]. Which messages there are is noted
// first; each is read when its turn comes, and nothing is held while visit runs.
//
// One that can't be sent again, since a message with its id waits or runs in the queue
// already, stays a dead letter, and the visit goes on; in the end the error names it.
func (t *Transport) DeadLetters(ctx context.Context, queue string, visit func(*task.DeadMessage) (task.DeadAction, error)) error {
	graves, err := t.graves(ctx, queue)
	if err != nil {
		return fmt.Errorf("dead letters of queue %s: %w", queue, err)
	}
	var stayed []string
	for _, g := range graves {
		dead, err := t.exhume(ctx, g, queue)
		if err != nil {
			return fmt.Errorf("dead letters of queue %s: %w", queue, err)
		}
		if dead == nil { // somebody else has ended it meanwhile
			continue
		}
		id, name := dead.Message.ID, dead.Message.Task // visit may change them
		action, err := visit(dead)
		if err != nil {
			return err
		}
		switch err := t.endDead(ctx, g, action); {
		case errors.Is(err, errAlive):
			stayed = append(stayed, id)
		case err != nil:
			return fmt.Errorf("task %s (%s): dead letter of queue %s: %w", id, name, queue, err)
		}
	}
	return stayedError(queue, stayed)
}

// errAlive: a dead letter can't be sent again, because the queue has its message.
var errAlive = errors.New("a message with its id waits or runs in the queue already")

// stayedError is nil if every dead letter was ended as the visit said.
func stayedError(queue string, ids []string) error {
	const named = 10
	if len(ids) == 0 {
		return nil
	}
	list := strings.Join(ids[:min(len(ids), named)], ", ")
	if more := len(ids) - named; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Errorf("dead letters of queue %s: not sent again, and still dead letters: %s: %w", queue, list, errAlive)
}

// A grave is where a dead letter lies. The time is part of it since a message
// that is replayed and dies again keeps its row: that is another dead letter.
type grave struct{ queue, id, at int64 }

// gravesPage is how many graves are noted at a time, so that others get their turn
// to read in between.
const gravesPage = 1000

const (
	sqlGraves = `SELECT queue, id, at FROM msg
		WHERE state = 3 AND queue = (SELECT id FROM queue WHERE name = ?) AND (at, id) > (?, ?) ORDER BY at, id LIMIT ?`
	// A row that has lost its other parts is found all the same.
	sqlExhume = `SELECT task_id, task, prio, reason, error, stack, worker, props, body
		FROM msg LEFT JOIN dead ON dead.id = msg.id LEFT JOIN body ON body.id = msg.id
		WHERE msg.id = ? AND queue = ? AND at = ? AND state = 3`
	// OR IGNORE: the queue may have a message with this task id that is not dead.
	sqlReplay = `UPDATE OR IGNORE msg SET state = 0, live = 1, at = ?, attempt = 0 WHERE id = ? AND queue = ? AND at = ? AND state = 3`
	sqlDrop   = `DELETE FROM msg WHERE id = ? AND queue = ? AND at = ? AND state = 3`
	sqlIsDead = `SELECT count(*) FROM msg WHERE id = ? AND queue = ? AND at = ? AND state = 3`
)

// graves notes all dead letters of a queue, oldest first. It doesn't wait for
// the visits: those that come in meanwhile can't be told by their times, which
// are the workers'.
func (t *Transport) graves(ctx context.Context, queue string) ([]grave, error) {
	var all []grave
	last := grave{at: math.MinInt64}
	for {
		before := len(all)
		err := t.readDead(ctx, func(c *conn) error {
			return c.query(sqlGraves, func(r row) error {
				all = append(all, grave{queue: r.int(0), id: r.int(1), at: r.int(2)})
				return nil
			}, queue, last.at, last.id, gravesPage)
		})
		if err != nil || len(all)-before < gravesPage {
			return all, err
		}
		last = all[len(all)-1]
	}
}

func (t *Transport) readDead(ctx context.Context, do func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.ctx.Err() != nil {
		return task.ErrClosed
	}
	return t.writer.read(do)
}

// exhume reads a dead letter, nil if it is none any more.
func (t *Transport) exhume(ctx context.Context, g grave, queue string) (dead *task.DeadMessage, err error) {
	err = t.readDead(ctx, func(c *conn) error {
		return c.query(sqlExhume, func(r row) error {
			dead = readDeadMessage(r)
			dead.Message.Queue, dead.Time = queue, time.UnixMilli(g.at)
			return nil
		}, g.id, g.queue, g.at)
	})
	return dead, err
}

// readDeadMessage returns what a row of sqlExhume says. Of a damaged one that
// is all but the headers and what lies with them.
func readDeadMessage(r row) *task.DeadMessage {
	known := task.Message{ID: string(r.taskID(0)), Task: r.text(1), Priority: uint8(r.int(2)), Body: r.blob(8)}
	whole := known
	if r.null(7) || decodeProps(r.blob(7), &whole) != nil {
		whole = known // without what was decoded before the damage
	}
	letter := task.DeadLetter{Reason: r.text(3), Error: r.text(4), Stack: r.text(5), Worker: r.text(6)}
	return &task.DeadMessage{DeadLetter: letter, Message: &whole}
}

// endDead carries out what visit said of a dead letter. One that somebody else
// has ended meanwhile stays ended.
func (t *Transport) endDead(ctx context.Context, g grave, action task.DeadAction) error {
	switch action {
	case task.KeepDead:
		return nil
	case task.ReplayDead:
		return t.replayDead(ctx, g)
	case task.DropDead:
		if err := t.writer.do(ctx, &dropping{g}); err != nil {
			return fmt.Errorf("drop: %w", err)
		}
		return nil
	}
	return fmt.Errorf("there is no action %d", action)
}

func (t *Transport) replayDead(ctx context.Context, g grave) error {
	r := &replay{grave: g}
	err := t.writer.do(ctx, r)
	if err == nil && r.clash {
		return errAlive
	}
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// A replay gives a dead letter back to its queue, as if it had never been delivered.
type replay struct {
	grave
	// clash says that the queue has a message with this task id. It is no error of
	// apply, which would have the changes of others rolled back and tried again.
	clash bool
}

func (r *replay) apply(t *tx) error {
	r.clash = false
	replayed, err := t.exec(sqlReplay, t.now, r.id, r.queue, r.at)
	if err != nil {
		return err
	}
	if replayed == 0 {
		left, err := t.number(sqlIsDead, r.id, r.queue, r.at)
		r.clash = left > 0
		return err
	}
	t.ready[r.queue] = true
	_, err = t.exec(sqlForgetDead, r.id)
	return err
}

// A dropping deletes a dead letter.
type dropping struct{ grave }

func (d *dropping) apply(t *tx) error {
	dropped, err := t.exec(sqlDrop, d.id, d.queue, d.at)
	if err != nil || dropped == 0 {
		return err
	}
	for _, sql := range []string{sqlAckBody, sqlForgetDead} {
		if _, err := t.exec(sql, d.id); err != nil {
			return err
		}
	}
	return nil
}
