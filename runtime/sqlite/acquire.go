package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// acquire returns the open database with its write lock held.
func (w *writer) acquire() (*database, error) {
	db := w.db.Load()
	for {
		if db == nil {
			var err error
			if db, err = w.reopen(); err != nil {
				return nil, err
			}
		}
		if err := w.lockFor(db); err != nil {
			return nil, err
		}
		if !db.moved() {
			return db, nil
		}
		w.logger().Warn("the database file was removed or replaced; the one that is there now is used", "path", db.path)
		w.discard(db)
		db.setLogAside()
		db = nil
	}
}

// lockFor takes the write lock of db, unless the transport is closed meanwhile.
func (w *writer) lockFor(db *database) error {
	if free, err := db.writeLock.tryLock(); err != nil || free {
		return err
	}
	got := make(chan error, 1)
	go func() { got <- db.writeLock.lock() }()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	closing, closeBy := w.closing, (<-chan time.Time)(nil)
	for {
		select {
		case err := <-got:
			return err
		case <-slow.C:
			w.hinder(&lockedError{db.path})
		case <-closing:
			closing, closeBy = nil, time.After(patience)
		case <-closeBy:
			// The lock file is closed with the database: that gives the lock
			// back as soon as it is granted.
			return fmt.Errorf("%w while another process held the write lock of %s", task.ErrClosed, db.path)
		}
	}
}

func (w *writer) release(db *database) {
	if w.db.Load() == db {
		_ = db.writeLock.unlock()
	}
}

// reopen opens the database after it broke or was moved away.
func (w *writer) reopen() (*database, error) {
	if w.ruin.stands() {
		return nil, w.ruin.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := openDatabase(ctx, w.location)
	if err != nil {
		return nil, err
	}
	clear(w.queues)
	w.topology = nil
	w.db.Store(db)
	w.undeclare()
	w.mu.Lock()
	w.dueAt = 0
	onReopen := w.onReopen
	w.mu.Unlock()
	onReopen(db)
	return db, nil
}

// discard closes a database that is of no more use.
func (w *writer) discard(db *database) {
	w.db.Store(nil)
	_ = db.close()
}
