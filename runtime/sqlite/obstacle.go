package sqlite

import (
	"fmt"
	"os"
	"time"
)

// clear notes that the database works.
func (w *writer) clear() {
	w.backoff, w.retryAt = 0, time.Time{}
	w.stuck.Store(false)
	if !w.shuts() && w.obstacle.Swap(nil) != nil {
		w.logger().Info("the database can be written again", "path", w.location.path)
	}
}

// hinder notes why nothing can be written.
func (w *writer) hinder(err error) {
	if w.obstacle.Swap(&err) == nil {
		w.logger().Error("the database can't be written now", "path", w.location.path, "error", err)
	}
}

// block makes the writer wait before it tries again.
func (w *writer) block(err error) {
	w.stuck.Store(true)
	w.hinder(w.explainBlocked(err))
	w.backoff = min(max(2*w.backoff, minBackoff), maxBackoff)
	w.retryAt = time.Now().Add(w.backoff)
}

func (w *writer) explainBlocked(err error) error {
	path := w.location.path
	db := w.db.Load()
	switch {
	case isFull(err) && db != nil:
		if lacks, _ := db.lacksSpace(); lacks {
			return fmt.Errorf("the disk of %s is full: %w", path, err)
		}
	case isLocked(err):
		return fmt.Errorf("another process keeps %s locked: %w", path, err)
	}
	return fmt.Errorf("%s can't be written: %w", path, err)
}

// breakDown fails the changes and closes the database; the next change, or a
// consumer after a while, opens it again.
func (w *writer) breakDown(batch []*pending, err error) {
	if db := w.db.Load(); db != nil {
		err = explainOpen(w.location.path, err)
		if isDamage(err) {
			w.ruin = findRuin(db.path, err)
		}
		w.discard(db)
	}
	if isPermanent(err) {
		w.mu.Lock()
		for _, c := range w.consumers {
			c.refuse(err)
		}
		w.mu.Unlock()
	}
	w.stuck.Store(true)
	w.hinder(err)
	w.failAll(batch, err)
	w.retryAt = time.Now().Add(maxBackoff)
}

func (w *writer) failAll(batch []*pending, err error) {
	w.mu.Lock()
	for _, p := range batch {
		if s, ok := p.change.(settler); ok && p.state.Load() != finished {
			s.settled(w, err)
		}
	}
	w.mu.Unlock()
	for _, p := range batch {
		if p.state.Load() != finished {
			p.finish(err)
		}
	}
}

// checkSpace finds out, now and then, whether messages may come in.
func (w *writer) checkSpace() {
	db := w.db.Load()
	if db == nil {
		w.full = false
		return
	}
	if !w.scarce && time.Since(w.measured) < spaceInterval {
		return
	}
	w.measured = time.Now()
	if w.full, w.scarce = db.lacksSpace(); w.full {
		w.hinder(fmt.Errorf("the disk of %s is full", db.path))
	}
}

// shuts says that no message may come in: the disk is full, or the database is
// used elsewhere. What takes messages out goes on.
func (w *writer) shuts() bool { return w.full || w.elsewhere.Load() != nil }

// mayEnter says whether a change can be written now.
func (w *writer) mayEnter(p *pending) bool {
	if !w.shuts() {
		return true
	}
	_, isMessage := p.change.(*insertion)
	return !isMessage
}

// A ruin is a file in which damage was found. It isn't used again as long as it
// is the same: what is written to it makes it worse.
type ruin struct {
	path string
	file os.FileInfo
	err  error
}

func findRuin(path string, err error) *ruin {
	file, missing := os.Stat(path)
	if missing != nil {
		return nil
	}
	return &ruin{path, file, err}
}

// stands says whether the file is as it was.
func (r *ruin) stands() bool {
	if r == nil {
		return false
	}
	now, err := os.Stat(r.path)
	return err == nil && os.SameFile(now, r.file) && now.Size() == r.file.Size() && now.ModTime().Equal(r.file.ModTime())
}
