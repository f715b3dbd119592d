package store

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"
)

// changesTick is how long a change may go unnoticed. A look costs some microseconds.
const changesTick = 100 * time.Millisecond

// changes notices when anybody writes to the database: the verdicts are written by the worker, in
// another process, and pages wait for them here.
//
// The worker's result comes back through the broker too; but only to the process that sent the task, and
// only while it lives. The database tells everybody, after any restart.
type changes struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	next chan struct{} // closed at the next change; nil if nobody waits
}

// watch begins to look, on a connection of its own: SQLite counts for each connection what the others commit.
func watch(ctx context.Context, db *sql.DB) (*changes, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &changes{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer func() { _ = conn.Close() }()
		c.look(ctx, conn)
	}()
	return c, nil
}

func (c *changes) look(ctx context.Context, conn *sql.Conn) {
	tick := time.NewTicker(changesTick)
	defer tick.Stop()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var version int64
		err := conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // rather once too often than never
			slog.WarnContext(ctx, "can't tell whether the database has changed", "error", err)
			c.tell()
		case version != last:
			last = version
			c.tell()
		}
	}
}

func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

func (c *changes) stop() {
	c.cancel()
	<-c.done
}

// Changed returns a channel that is closed when something changes after the call, or sometimes for nothing.
// Take it first, read then, and wait at last: so no change is missed.
func (s *Store) Changed() <-chan struct{} {
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.next == nil {
		s.changes.next = make(chan struct{})
	}
	return s.changes.next
}
