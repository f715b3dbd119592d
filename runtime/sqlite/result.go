package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// defaultTTL is how long a result is kept that says nothing else.
const defaultTTL = 24 * time.Hour

// StoreResult implements [task.Transport].
func (t *Transport) StoreResult(ctx context.Context, r *task.Result) error {
	if err := t.writer.do(ctx, &storing{r}); err != nil {
		return fmt.Errorf("task %s: its result (%s) is not stored: %w", r.ID, r.State, err)
	}
	return nil
}

// A storing is a result on its way into the database.
type storing struct{ result *task.Result }

func (s *storing) apply(t *tx) error { return storeResult(t, s.result) }

const (
	sqlStore = `INSERT INTO result (task_id, state, stored, expires, type, encoding, body) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, stored = excluded.stored, expires = excluded.expires,
			type = excluded.type, encoding = excluded.encoding, body = excluded.body`
	// A final result doesn't give way to the news of an attempt before it, which may come late.
	sqlUnlessFinal = ` WHERE result.state NOT IN ('SUCCESS', 'FAILURE', 'REVOKED') OR result.expires <= excluded.stored`
)

func storeResult(t *tx, r *task.Result) error {
	ttl := r.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	var expires any
	if ttl > 0 {
		expires = t.now.Add(ttl)
	}
	sql := sqlStore
	if !r.State.Final() {
		sql += sqlUnlessFinal
	}
	_, err := t.exec(sql, resultKey(r.ID), string(r.State), t.now, expires, r.ContentType, r.ContentEncoding, r.Body)
	if err == nil {
		t.results = append(t.results, taskID(r.ID).hash())
	}
	return err
}

// resultKey keeps the key of a result without id from being NULL.
func resultKey(id string) any {
	if id == "" {
		return ""
	}
	return taskID(id)
}

const sqlResult = `SELECT state, type, encoding, body FROM result WHERE task_id = ? AND (expires IS NULL OR expires > ?)`

// Result implements [task.Transport].
func (t *Transport) Result(ctx context.Context, id string) (*task.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("task %s: read its result: %w", id, err)
	}
	if t.ctx.Err() != nil {
		return nil, task.ErrClosed
	}
	var found *task.Result
	err := t.writer.read(func(c *conn) error {
		return c.query(sqlResult, func(r row) error {
			found = &task.Result{
				ID: id, State: task.State(r.text(0)),
				ContentType: r.text(1), ContentEncoding: r.text(2), Body: r.blob(3),
			}
			return nil
		}, resultKey(id), t.writer.now())
	})
	if err != nil {
		return nil, fmt.Errorf("task %s: read its result: %w", id, err)
	}
	return found, nil
}

// AwaitResult implements [task.Transport].
func (t *Transport) AwaitResult(ctx context.Context, id string) (*task.Result, error) {
	if err := t.appear(""); err != nil {
		return nil, err
	}
	waiter := t.writer.await(taskID(id))
	defer t.writer.leave(waiter)
	for {
		r, err := t.Result(ctx, id)
		switch {
		case err == nil && r != nil && r.State.Final():
			return r, nil
		case err != nil && (ctx.Err() != nil || t.ctx.Err() != nil || classify(err) == broken):
			return nil, err
		}
		select {
		case <-waiter.wake:
		case <-ctx.Done():
			return nil, fmt.Errorf("task %s: no result yet: %w", id, context.Cause(ctx))
		case <-t.ctx.Done():
			return nil, task.ErrClosed
		}
	}
}

// A waiter is one call of AwaitResult.
type waiter struct {
	hash uint32
	wake chan struct{}
}

func (w *waiter) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// await makes the news of a result wake the waiter.
func (w *writer) await(id taskID) *waiter {
	waiter := &waiter{hash: id.hash(), wake: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiters[waiter.hash] = append(w.waiters[waiter.hash], waiter)
	return waiter
}

func (w *writer) leave(gone *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rest []*waiter
	for _, waiter := range w.waiters[gone.hash] {
		if waiter != gone {
			rest = append(rest, waiter)
		}
	}
	if rest == nil {
		delete(w.waiters, gone.hash)
	} else {
		w.waiters[gone.hash] = rest
	}
}

// notify wakes those who wait for the results. The caller holds w.mu.
func (w *writer) notify(hashes []uint32) {
	for _, hash := range hashes {
		for _, waiter := range w.waiters[hash] {
			waiter.wakeUp()
		}
	}
}

// DeleteExpiredResults implements [task.Transport].
func (t *Transport) DeleteExpiredResults(ctx context.Context) (int, error) {
	n, err := t.deleteExpired(ctx)
	if err != nil {
		return n, fmt.Errorf("delete expired results, after %d: %w", n, err)
	}
	return n, nil
}

// deleteExpired deletes in steps, so that others get their turn in between.
func (t *Transport) deleteExpired(ctx context.Context) (total int, err error) {
	for {
		step := &expiry{}
		if err := t.writer.do(ctx, step); err != nil {
			return total, err
		}
		if total += step.deleted; step.deleted < expiryStep {
			return total, nil
		}
	}
}

// expiryStep is how many expired results go in one transaction.
const expiryStep = 500

// An expiry deletes some of the results that have expired.
type expiry struct{ deleted int }

const sqlExpire = `DELETE FROM result WHERE task_id IN (SELECT task_id FROM result WHERE expires <= ? LIMIT ?)`

func (e *expiry) apply(t *tx) (err error) {
	e.deleted, err = t.exec(sqlExpire, t.now, expiryStep)
	return err
}
