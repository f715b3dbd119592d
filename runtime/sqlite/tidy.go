package sqlite

import (
	"context"
	"os"
	"strconv"
	"time"
)

const (
	// tidyInterval is how often a worker process tidies up, if no other does.
	tidyInterval = 30 * time.Second
	// vacuumStep is how many free pages go back to the file system in one
	// transaction, about 15 ms worth; maxVacuums how many of those in a row.
	vacuumStep, maxVacuums = 200, 50
	// maxLog is how large the write-ahead log may stay while nothing happens.
	maxLog = 16 << 20
)

// tidy deletes expired results, and gives free space back, unless another
// process is at it.
func (t *Transport) tidy(ctx context.Context) {
	db := t.writer.db.Load()
	if db == nil {
		return
	}
	lock, err := openLock(db.lockPath("maint.lock"))
	if err != nil {
		return
	}
	defer lock.close()
	if free, err := lock.tryLock(); err != nil || !free {
		return
	}
	if _, err := t.deleteExpired(ctx); err != nil {
		return
	}
	if t.writer.do(ctx, &fading{}) != nil {
		return
	}
	vacuum := &vacuuming{logPath: db.path + "-wal", more: true}
	for i := 0; vacuum.more && i < maxVacuums; i++ {
		if t.writer.do(ctx, vacuum) != nil {
			return
		}
	}
}

// A vacuuming shortens the file if more than a quarter of it is free, and the
// log if it is long.
type vacuuming struct {
	logPath string
	more    bool
	shrunk  bool // the file will be shorter once the log is emptied into it
}

func (v *vacuuming) apply(t *tx) error {
	v.more = false
	pages, err := t.pragma("page_count")
	if err != nil {
		return err
	}
	free, err := t.pragma("freelist_count")
	if err != nil {
		return err
	}
	if free > vacuumStep && free > pages/4 {
		v.more, v.shrunk = true, true
		// Each row is one page that is gone.
		return t.query(`PRAGMA incremental_vacuum(`+strconv.Itoa(vacuumStep)+`)`, func(row) error { return nil })
	}
	info, err := os.Stat(v.logPath)
	t.checkpoint = v.shrunk || err == nil && info.Size() > maxLog
	return nil
}
