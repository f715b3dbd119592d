package events

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

// ListenConfig says what to listen to. The zero value listens to all events.
type ListenConfig struct {
	// Keys choose the events by routing key, such as worker.# or task.#. Default: #. Workers send most
	// events of tasks together, with the key task.multi.
	Keys []string
	// Enable asks all workers to send the events of tasks, now and every 5 s, for those that come later. They go on
	// when nobody listens any more, until somebody sends them disable_events.
	Enable bool
	// Logger takes what can't be read, and what happens to the session. nil: discarded.
	Logger *slog.Logger
}

const (
	// queueTTL is how long an event waits for a listener that is busy, as in Celery 5.6.
	queueTTL = 5 * time.Second
	// enableInterval is Flower's. A worker that has just told that it is there may not hear yet.
	enableInterval = 5 * time.Second
)

// Listen calls deliver with one event after the other, of all workers and clients of the broker, until ctx ends, and
// returns why it ended. First it asks all workers to tell that they are there. Events that come while the connection is lost, or faster
// than deliver takes them, are missed.
func Listen(ctx context.Context, b task.Broadcaster, config ListenConfig, deliver func(Event)) error {
	logger := cmp.Or(config.Logger, slog.New(slog.DiscardHandler))
	if len(config.Keys) == 0 {
		config.Keys = []string{"#"}
	}
	l, err := b.Listen(task.ListenConfig{
		Queue: "celeryev." + uuid.NewString(), Exchange: task.EventBulletin(), Keys: config.Keys, TTL: queueTTL, Logger: config.Logger,
		Deliver: func(news *task.Broadcast) {
			events, err := Decode(news)
			if err != nil {
				logger.Warn("events can't be read", "error", err)
			}
			for _, e := range events {
				deliver(e)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("listening to events: %w", err)
	}
	defer func() { _ = l.Close() }()
	if err := l.Ready(ctx); err != nil {
		return fmt.Errorf("listening to events: %w", err)
	}
	ask(ctx, b, "heartbeat", logger)
	again := time.NewTicker(enableInterval)
	defer again.Stop()
	for {
		if config.Enable {
			ask(ctx, b, "enable_events", logger)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ask sends a wish of remote control to all workers, as Celery's monitors do, and wants no answer.
func ask(ctx context.Context, b task.Broadcaster, method string, logger *slog.Logger) {
	err := b.Broadcast(ctx, &task.Broadcast{
		Exchange:    task.Bulletin{Name: "celery.pidbox", Type: task.Fanout},
		ContentType: "application/json", ContentEncoding: "utf-8",
		Headers: map[string]any{"clock": int32(0), "expires": int32(0)},
		Body:    []byte(`{"method": "` + method + `", "arguments": {}, "destination": null, "pattern": null, "matcher": null}`),
	})
	if err != nil {
		logger.Warn("the workers can't be asked", "for", method, "error", err)
	}
}
