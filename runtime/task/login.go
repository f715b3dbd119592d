package task

import (
	"context"
	"fmt"
)

// login is whether the broker takes the worker.
type login struct {
	wait    bool // whatever it says
	refused chan error
}

func newLogin(wait bool) *login { return &login{wait: wait, refused: make(chan error, 1)} }

// refuse is what [ConsumeConfig] calls Refused. The transport logs the error, and goes on trying.
func (l *login) refuse(err error) {
	select {
	case l.refused <- err:
	default: // the first is as good
	}
}

// await waits until ctx ends, or the broker has refused the worker.
func (l *login) await(ctx context.Context) error {
	if l.wait {
		<-ctx.Done()
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-l.refused:
		return fmt.Errorf("the broker refuses the worker: %w", err)
	}
}
