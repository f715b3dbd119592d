package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// defaultTTL is how long a result is kept that says nothing else, as in Celery.
	defaultTTL = 24 * time.Hour
	// slowPoll is how often who waits for a result looks for it, besides being told.
	slowPoll = 5 * time.Second
)

func (s *Store) taskKey(id string) string { return s.address.prefix + "celery-task-meta-" + id }

// StoreResult implements [task.ResultStore]. As in Celery, success stays, whatever comes after it; a final state
// gives way to a final one only.
func (s *Store) StoreResult(ctx context.Context, r *task.Result) error {
	meta, err := encodeMeta(r, s.now())
	if err != nil {
		return fmt.Errorf("task %s: its result (%s) can't be stored as JSON: %w", r.ID, r.State, err)
	}
	_, err = insist(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.put(ctx, r, meta)
	})
	if err != nil {
		return fmt.Errorf("task %s: its result (%s) is not stored: %w", r.ID, r.State, err)
	}
	return nil
}

// put stores a result and tells who waits, unless there is one that stays.
func (s *Store) put(ctx context.Context, r *task.Result, meta []byte) error {
	key := s.taskKey(r.ID)
	err := s.client.Watch(ctx, func(tx *goredis.Tx) error {
		before, err := tx.GetRange(ctx, key, 0, maxMeta).Bytes()
		if err != nil {
			return err
		}
		if old, err := decodeMeta(r.ID, before); err == nil && (old.State == task.Success || old.State.Final() && !r.State.Final()) {
			return nil
		}
		_, err = tx.TxPipelined(ctx, func(p goredis.Pipeliner) error {
			set(ctx, p, key, meta, r.TTL)
			return nil
		})
		return err
	}, key)
	return err
}

// set is Celery's way to store: the value goes to the channel of the same name too.
func set(ctx context.Context, p goredis.Pipeliner, key string, value any, ttl time.Duration) {
	switch {
	case ttl == 0:
		ttl = defaultTTL
	case ttl < 0:
		ttl = 0 // for ever
	}
	p.Set(ctx, key, value, ttl)
	p.Publish(ctx, key, value)
}

// Result implements [task.ResultStore].
func (s *Store) Result(ctx context.Context, id string) (*task.Result, error) {
	meta, err := insist(ctx, s, func(ctx context.Context) ([]byte, error) { return s.get(ctx, id) })
	switch {
	case err != nil:
		return nil, fmt.Errorf("task %s: read its result: %w", id, err)
	case len(meta) == 0:
		return nil, nil
	}
	return decodeMeta(id, meta)
}

// get reads a meta, no more of it than shows that it is too long; nothing if there is none.
func (s *Store) get(ctx context.Context, id string) ([]byte, error) {
	return s.client.GetRange(ctx, s.taskKey(id), 0, maxMeta).Bytes()
}

// AwaitResult implements [task.ResultStore].
func (s *Store) AwaitResult(ctx context.Context, id string) (*task.Result, error) {
	w := s.news.watch(s.taskKey(id))
	defer s.news.leave(w)
	poll := time.NewTicker(slowPoll)
	defer poll.Stop()
	for {
		r, err := s.Result(ctx, id)
		if err != nil || r != nil && r.State.Final() {
			return r, err
		}
		select {
		case <-w.wake:
		case <-poll.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("task %s: no result yet: %w", id, context.Cause(ctx))
		case <-s.ctx.Done():
			return nil, task.ErrClosed
		}
	}
}

// Claim implements [task.ClaimStore].
func (s *Store) Claim(ctx context.Context, id, owner string, ttl time.Duration) (bool, error) {
	mine, err := within(ctx, s, func(ctx context.Context) (bool, error) {
		return claimScript.Run(ctx, s.client, []string{s.claimKey(id)}, owner, ttl.Milliseconds()).Bool()
	})
	if errors.Is(err, goredis.Nil) {
		return false, nil
	}
	return mine, err
}

// Unclaim implements [task.ClaimStore].
func (s *Store) Unclaim(ctx context.Context, id, owner string) error {
	_, err := within(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, unclaimScript.Run(ctx, s.client, []string{s.claimKey(id)}, owner).Err()
	})
	return err
}

func (s *Store) claimKey(id string) string { return s.address.prefix + "taskgen-claim-" + id }

var (
	claimScript = goredis.NewScript(`
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)
	unclaimScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)
