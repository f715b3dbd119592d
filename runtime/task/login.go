package task

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/taskgen/taskgen/runtime/internal/complaint"
)

// login is whether the broker takes the worker.
type login struct {
	wait       bool // whatever it says
	logger     *slog.Logger
	complaints complaint.Book
	admitted   atomic.Bool           // it once did
	refusal    atomic.Pointer[error] // why it doesn't
	refused    chan error
}

func newLogin(wait bool, logger *slog.Logger) *login {
	return &login{wait: wait, logger: logger, refused: make(chan error, 1)}
}

// refuse is what [ConsumeConfig] calls Refused. Run ends with the first error, and whoever calls it tells of that; else the log does.
func (l *login) refuse(err error) {
	l.refusal.Store(&err)
	if l.wait || l.admitted.Load() {
		if l.complaints.Fresh(err) {
			l.logger.Error("the broker refuses the worker; trying again", "error", err)
		}
		return
	}
	select {
	case l.refused <- err:
	default: // the first is as good
	}
}

// admit notes that there was a session.
func (l *login) admit() {
	l.admitted.Store(true)
	l.refusal.Store(nil)
	l.complaints.Over()
}

// await waits until ctx ends, or the broker has refused the worker.
func (l *login) await(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.refused:
		return fmt.Errorf("the broker refuses the worker: %w", err)
	}
}

// Refused is why the broker, when it was reached last, did not take the worker; nil if it did. It matches [ErrRefused] if it is the
// login that was refused, and else it is a queue.
func (w *Worker) Refused() error {
	if err := w.login.refusal.Load(); err != nil && !w.Ready() {
		return *err
	}
	return nil
}
