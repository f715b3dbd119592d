package task

import (
	"context"
	"fmt"
	"log/slog"
)

// calmHandler is a handler whose panics lose a record, and no worker.
type calmHandler struct{ slog.Handler }

func (h calmHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	_ = guard(func() error {
		enabled = h.Handler.Enabled(ctx, level)
		return nil
	})
	return enabled
}

func (h calmHandler) Handle(ctx context.Context, record slog.Record) error {
	if err := guard(func() error { return h.Handler.Handle(ctx, record) }); err != nil {
		return fmt.Errorf("the log handler: %w", err)
	}
	return nil
}

func (h calmHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithAttrs(attrs) })
}

func (h calmHandler) WithGroup(name string) slog.Handler {
	return h.with(func() slog.Handler { return h.Handler.WithGroup(name) })
}

func (h calmHandler) with(derive func() slog.Handler) slog.Handler {
	derived := h
	_ = guard(func() error {
		derived = calmHandler{derive()}
		return nil
	})
	return derived
}
