package sqlite

import (
	"fmt"
	"time"
)

// clear notes that the database works.
func (w *writer) clear() {
	w.backoff, w.retryAt = 0, time.Time{}
	w.stuck.Store(false)
	if !w.full && w.obstacle.Swap(nil) != nil {
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
	case isFull(err) && db != nil && db.lacksSpace():
		return fmt.Errorf("the disk of %s is full: %w", path, err)
	case isLocked(err):
		return fmt.Errorf("another program keeps %s locked: %w", path, err)
	}
	return fmt.Errorf("%s can't be written: %w", path, err)
}

// breakDown fails the changes and closes the database; the next change, or a
// consumer after a while, opens it again.
func (w *writer) breakDown(batch []*pending, err error) {
	if db := w.db.Load(); db != nil {
		err = explainOpen(w.location.path, err)
		w.discard(db)
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
	if time.Since(w.measured) < spaceInterval {
		return
	}
	w.measured = time.Now()
	db := w.db.Load()
	if w.full = db != nil && db.lacksSpace(); w.full {
		w.hinder(fmt.Errorf("the disk of %s is full", db.path))
	}
}

// mayEnter says whether a change can be written now. On a full disk no message
// comes in.
func (w *writer) mayEnter(p *pending) bool {
	if !w.full {
		return true
	}
	_, isMessage := p.change.(*insertion)
	return !isMessage
}
