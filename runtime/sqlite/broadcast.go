package sqlite

import (
	"context"
	"errors"

	"github.com/taskgen/taskgen/runtime/task"
)

// Broadcast implements [task.Transport].
func (t *Transport) Broadcast(context.Context, *task.Broadcast) error {
	return errors.New("sqlite: broadcasts are not carried yet")
}

// Listen implements [task.Transport].
func (t *Transport) Listen(task.ListenConfig) (task.Listener, error) {
	return nil, errors.New("sqlite: broadcasts are not carried yet")
}
