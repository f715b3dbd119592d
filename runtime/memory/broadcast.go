package memory

import (
	"context"
	"fmt"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/task"
)

// listener is one of the broker's listeners.
type listener struct {
	transport *Transport
	config    task.ListenConfig
	inbox     *bulletin.Inbox
}

// Broadcast puts b into the queues of those that listen.
func (t *Transport) Broadcast(ctx context.Context, b *task.Broadcast) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := bulletin.Check(b); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return task.ErrClosed
	}
	for l := range t.listeners {
		if bulletin.Leads(b.Exchange, b.RoutingKey, l.config.Queue, l.config.Exchange, l.config.Keys) {
			l.inbox.Put(b)
		}
	}
	return nil
}

// Listen adds a listener.
func (t *Transport) Listen(config task.ListenConfig) (task.Listener, error) {
	if err := bulletin.Complete(&config); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, task.ErrClosed
	}
	l := &listener{transport: t, config: config, inbox: bulletin.NewInbox(config)}
	t.listeners[l] = struct{}{}
	return l, nil
}

// Ready says that the listener hears, which it does until it or the broker is closed.
func (l *listener) Ready(ctx context.Context) error {
	l.transport.mu.Lock()
	defer l.transport.mu.Unlock()
	if _, listens := l.transport.listeners[l]; !listens {
		return task.ErrClosed
	}
	return ctx.Err()
}

// Close ends the listener.
func (l *listener) Close() error {
	l.transport.mu.Lock()
	delete(l.transport.listeners, l)
	l.transport.mu.Unlock()
	l.inbox.Close()
	return nil
}
