// Package sqlite is the embedded broker: messages and results in one SQLite
// database that all processes of a machine open together, with no server.
//
// A message is on disk before its sender hears of it, and leaves the database
// in the same transaction that stores its result or queues its next attempt,
// so that no process can lose it by dying, whenever that is. docs/architecture.md
// has the reasons and the figures.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Transport is a [task.Transport] over one database.
type Transport struct {
	path     string
	writer   *writer
	presence presence
	herald   *herald

	// ctx ends with Close.
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

var _ task.Transport = (*Transport)(nil)

// Open opens the database that a URL names, and makes it, and its folder, if they are missing; but not what the folder
// is in, since a path with a slip of the pen would be a broker that nobody else knows:
//
//	sqlite:                        .taskgen/queue.db, at the root of the module that the current folder is in
//	sqlite:path/to/folder          queue.db in that folder
//	sqlite:path/to/file.db         that file
//	sqlite:///path/to/file.db      that file, in the form of a URL: %20 is a space
//
// The option ?sync=normal doesn't wait for the disk: faster, and the death of
// a process still loses nothing, but a power failure can lose the last
// messages. The default is sync=full: what Publish and StoreResult have accepted survives a power failure. The end of a task that no call
// waits for may be undone by one, its result and next attempt with it; then the task runs again.
//
// It is an error if the database is damaged, is another program's, was written
// by a newer version, can't be written, or lies on a network file system. Then
// nothing was changed. While other processes keep it locked, or its disk is full, Open waits, until ctx
// ends or for 30 seconds.
//
// A message for later is due at a time of the machine's wall clock. Whoever sets the clock moves it as any
// other appointment: it comes when the clock says so, never before, and at most a second later,
// however far the clock has jumped. So do a countdown and the time between two attempts, which are times of the clock
// once they are sent, and so does the end of a result's time. Nothing else goes by the wall clock: a
// task that runs belongs to its process as long as that lives, whatever the time is.
func Open(ctx context.Context, url string) (*Transport, error) {
	return openAt(ctx, url, time.Now)
}

// ErrMissing says that there is no database to open.
var ErrMissing = errors.New("there is no embedded broker")

// OpenExisting is Open for who only asks: it makes no database where there is none, and matches [ErrMissing] then.
func OpenExisting(ctx context.Context, url string) (*Transport, error) {
	loc, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(loc.path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s: no client or worker has made one", ErrMissing, loc.path)
	}
	return Open(ctx, url)
}

// openAt is Open with a wall clock.
func openAt(ctx context.Context, url string, now func() time.Time) (*Transport, error) {
	loc, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	db, err := openWithin(ctx, loc)
	if err != nil {
		return nil, err
	}
	owner := rand.Int64()
	t := &Transport{path: loc.path, writer: newWriter(loc, db, owner, newDoorbell(), now)}
	t.presence.transport, t.presence.owner = t, owner
	t.herald = newHerald(t.writer)
	t.ctx, t.cancel = context.WithCancel(context.Background())
	go t.writer.run()
	return t, nil
}

// openPatience is how long Open waits for a database that others keep locked,
// unless its context ends before.
const openPatience = 30 * time.Second

// openWithin opens the database, or gives up when ctx ends, however long the
// files take to answer.
func openWithin(ctx context.Context, loc location) (*database, error) {
	type opened struct {
		db  *database
		err error
	}
	waiting, cancel := context.WithTimeout(ctx, openPatience)
	done := make(chan opened, 1)
	go func() {
		defer cancel()
		db, err := openDatabase(waiting, loc)
		done <- opened{db, err}
	}()
	select {
	case o := <-done:
		return o.db, o.err
	case <-ctx.Done():
	}
	select { // it knows better why
	case o := <-done:
		return o.db, o.err
	case <-time.After(busyTimeout + busyTimeout/2):
	}
	go func() {
		if o := <-done; o.db != nil {
			_ = o.db.close()
		}
	}()
	return nil, fmt.Errorf("sqlite: open %s: %w", loc.path, context.Cause(ctx))
}

// appear makes this process known to the others, so that it can lease and be
// woken. A process that only sends never does.
func (t *Transport) appear(worker string) error {
	if t.ctx.Err() != nil {
		return task.ErrClosed
	}
	return t.presence.appear(worker)
}

// ReplyTo implements [task.Transport]: results are stored by task id.
func (t *Transport) ReplyTo() string { return "" }

// String implements [task.Transport].
func (t *Transport) String() string { return "sqlite:" + t.path }

// Close implements [task.Transport]. What this process has leased goes back to
// its queue; publishes that are not in a transaction yet end with
// [task.ErrClosed].
func (t *Transport) Close() error {
	t.once.Do(func() {
		t.herald.close()
		t.cancel()
		w := t.writer
		w.mu.Lock()
		consumers := append([]*consumer(nil), w.consumers...)
		listeners := slices.Collect(maps.Keys(w.listeners))
		w.mu.Unlock()
		for _, l := range listeners {
			_ = l.Close()
		}
		for _, c := range consumers {
			_ = c.Close()
		}
		w.shut()
		w.doorbell.close()
		t.presence.vanish()
	})
	return nil
}
