package sqlite

import (
	"context"
	"time"
)

// Tidy runs the housekeeping now, instead of every half minute.
func (t *Transport) Tidy(ctx context.Context) { t.tidy(ctx) }

// OpenAt is Open with another wall clock.
func OpenAt(ctx context.Context, url string, now func() time.Time) (*Transport, error) {
	return openAt(ctx, url, now)
}

// Schema is the version of the schema that this program writes.
func Schema() int { return len(migrations) }

// AddMigration makes this process one of a newer program.
func AddMigration(script string) { migrations = append(migrations, script) }

// MoveElsewhere makes this process one of another machine: its kernel is another, and its
// file locks are not those of the processes here.
func MoveElsewhere(boot string) {
	bootID = func() string { return boot }
	locksSuffix = "-locks-of-" + boot
}

// Poll looks for what other programs have written now, instead of every second.
func (t *Transport) Poll() { t.presence.poll(-1) }

// CountCommits counts the transactions of this process that write, from now on.
func (t *Transport) CountCommits(ctx context.Context, count func()) error {
	return t.writer.do(ctx, commitHook(count))
}

// commitHook is a change, since only the writer may touch its connection.
type commitHook func()

func (h commitHook) apply(t *tx) error {
	t.db.CommitHook(func() bool {
		h()
		return true
	})
	return nil
}
