package tasks

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// sendTimeout is how long a visitor waits for a broker that is down.
	sendTimeout = 2 * time.Second
	sweepEvery  = time.Minute
	// unsentAfter is the age at which a comment whose task nobody took was surely not sent: its
	// request has ended.
	unsentAfter = 30 * time.Second
	// lostAfter is the age at which a task has done with its retries, or is lost.
	lostAfter = time.Hour
	// sweepLimit is how many comments one sweep sends, so that an outage does not end in a flood.
	sweepLimit = 500
)

// Outbox sends the task that checks a comment, and sends it again where that came to nothing.
//
// A comment is saved first and its task is sent after the commit: the other way round, a worker could look
// for a comment that is not there yet, or never will be. So there is a moment in which the comment
// exists and its task does not. If the broker is down just then, or the web server dies, nobody would ever check
// that comment. That is what the sweep is for: what has no verdict, and no task that could still bring it, gets
// another one. It may be one too many, which the task does not mind.
type Outbox struct {
	store  *store.Store
	client *task.Client
	queue  string
	logger *slog.Logger
}

// NewOutbox makes an outbox that sends through client. queue is the blog's own, "" for the task's.
func NewOutbox(s *store.Store, client *task.Client, queue string, logger *slog.Logger) *Outbox {
	return &Outbox{store: s, client: client, queue: cmp.Or(queue, SpamFilter.Spec().Queue), logger: logger}
}

// Send has a saved comment checked. After an error, the sweep will send it.
func (o *Outbox) Send(ctx context.Context, comment *store.Comment) error {
	// The visitor may leave now; the comment stays.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendTimeout)
	defer cancel()
	ctx = task.WithClient(ctx, o.client)
	call, err := SpamFilter.With(task.Queue(o.queue)).Delay(ctx, comment.ID, comment.RemoteAddr)
	if err != nil {
		return fmt.Errorf("comment %d is not being checked yet: %w", comment.ID, err)
	}
	o.logger.InfoContext(ctx, "the comment is to be checked", "comment", comment.ID, "id", call.ID)
	return o.store.Queued(ctx, comment.ID, time.Now())
}

// Run sweeps at once and then every minute, until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := o.Sweep(ctx, time.Now()); err != nil && ctx.Err() == nil {
			o.logger.WarnContext(ctx, "unchecked comments stay so for another minute", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Sweep sends what should have been checked by now. It stops at the first error: the broker is
// down, and the rest would only wait for it too.
func (o *Outbox) Sweep(ctx context.Context, now time.Time) error {
	comments, err := o.store.Unchecked(ctx, now.Add(-unsentAfter), now.Add(-lostAfter), sweepLimit)
	if err != nil {
		return err
	}
	for i := range comments {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.Send(ctx, &comments[i]); err != nil {
			return err
		}
	}
	return nil
}
