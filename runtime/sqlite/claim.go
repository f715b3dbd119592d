package sqlite

import (
	"context"
	"fmt"
	"time"
)

// Claim implements [task.ClaimStore].
func (t *Transport) Claim(ctx context.Context, id, owner string, ttl time.Duration) (bool, error) {
	c := &claiming{id: id, owner: owner, ttl: ttl}
	if err := t.writer.do(ctx, c); err != nil {
		return false, fmt.Errorf("task %s: its run can't be claimed: %w", id, err)
	}
	return c.mine, nil
}

// Unclaim implements [task.ClaimStore].
func (t *Transport) Unclaim(ctx context.Context, id, owner string) error {
	if err := t.writer.do(ctx, &unclaiming{id, owner}); err != nil {
		return fmt.Errorf("task %s: the claim of its run can't be given back: %w", id, err)
	}
	return nil
}

// A claiming takes a claim, which is a row among the results: its content type is the owner.
type claiming struct {
	id, owner string
	ttl       time.Duration
	mine      bool
}

const sqlClaim = `INSERT INTO result (task_id, state, stored, expires, type, encoding, body) VALUES (?, 'CLAIM', ?, ?, ?, '', x'')
	ON CONFLICT (task_id) DO UPDATE SET stored = excluded.stored, expires = excluded.expires, type = excluded.type
	WHERE result.type = excluded.type OR result.expires <= excluded.stored`

func (c *claiming) apply(t *tx) error {
	n, err := t.exec(sqlClaim, claimKey(c.id), t.now, t.now.Add(c.ttl), c.owner)
	c.mine = n > 0
	return err
}

// An unclaiming gives a claim back.
type unclaiming struct{ id, owner string }

const sqlUnclaim = `DELETE FROM result WHERE task_id = ? AND type = ?`

func (u *unclaiming) apply(t *tx) error {
	_, err := t.exec(sqlUnclaim, claimKey(u.id), u.owner)
	return err
}

// claimKey is no task's id: those have no control characters.
func claimKey(id string) string { return "\x1fclaim:" + id }
