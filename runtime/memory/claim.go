package memory

import (
	"context"
	"time"
)

// claim is somebody's right to run a task.
type claim struct {
	owner   string
	expires time.Time
}

// Claim implements [task.ClaimStore].
func (t *Transport) Claim(_ context.Context, id, owner string, ttl time.Duration) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if c, ok := t.claims[id]; ok && c.owner != owner && now.Before(c.expires) {
		return false, nil
	}
	t.claims[id] = claim{owner, now.Add(ttl)}
	return true, nil
}

// Unclaim implements [task.ClaimStore].
func (t *Transport) Unclaim(_ context.Context, id, owner string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.claims[id].owner == owner {
		delete(t.claims, id)
	}
	return nil
}
