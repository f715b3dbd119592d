package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// resultTimeout bounds how long a result is offered to the broker after its
// task is done, if the context has no earlier end.
const resultTimeout = 30 * time.Second

// replyPatience is how long a consumer that is closed waits for the broker to confirm the last results.
const replyPatience = 5 * time.Second

// Settle implements [task.Consumer]: the messages that take this one's place are
// confirmed by the broker, then the dead letter; the result has left the process, and then the delivery is acked.
//
// That the broker has the result is awaited beside that, and it is sent again until it has: so a process that is killed leaves
// few tasks behind that have ended and are not acked. A result that can't be sent is given up, with an error that matches
// [task.ErrResultLost], or told to [task.ConsumeConfig.ResultLost]: to run the task again
// would not bring it back.
//
// What takes the place of a message of the consumer's own queue, or is parked from it, goes to the
// heir's; without an heir it goes with the queue.
//
// Requeue counts as a delivery on quorum queues: the message comes back with one
// more in Attempts.
func (c *consumer) Settle(ctx context.Context, d *task.Delivery, o task.Outcome) error {
	s := c.session.Load()
	if s == nil || s.id != d.Session || s.over() {
		return c.stale(d)
	}
	if o.Late && len(o.Publish) == 0 && o.Dead == nil && o.Result == nil && len(o.Others) == 0 && !o.Requeue {
		if !s.acks.settle(d.Tag) {
			return c.stale(d)
		}
		return nil
	}
	if !s.acks.claim(d.Tag) {
		return c.stale(d)
	}
	if o.Requeue {
		s.acks.requeue(d.Tag)
		return nil
	}
	if err := c.replace(ctx, d, o); err != nil {
		s.acks.unclaim(d.Tag)
		return fmt.Errorf("rabbitmq: task %s stays unsettled: %w", d.Message.ID, err)
	}
	results, lost := c.reply(ctx, d.Message, o)
	if o.Late && len(o.Publish) == 0 {
		s.acks.soon(d.Tag, results)
		return lost
	}
	if results != nil {
		results.flush(ctx)
	}
	// That it goes out proves nothing, and that it doesn't is the same: the broker delivers again what
	// has been carried out, and the worker must know it.
	s.acks.now(d.Tag)
	if len(o.Publish) > 0 { // what has taken the place of this message may end the process
		s.awaitHeard(ctx)
	} else {
		s.writes.flush(ctx)
	}
	return lost
}

// AcksLate implements [task.LateAcker].
func (c *consumer) AcksLate() {}

// replace does what the broker must have confirmed before the ack.
func (c *consumer) replace(ctx context.Context, d *task.Delivery, o task.Outcome) error {
	if len(o.Publish) > 0 {
		next := make([]*task.Message, len(o.Publish))
		for i, m := range o.Publish {
			next[i] = c.succeed(m)
		}
		if err := c.transport.replace(ctx, next); err != nil {
			return err
		}
	}
	if o.Dead == nil {
		return nil
	}
	return c.park(ctx, d.Message, o.Dead)
}

// reply puts what is to be told of the task, and of those that won't run because of it, on its way to the callers. When what was
// written to the connection that it returns, if any, has left the process, it arrives even if the process is killed.
func (c *consumer) reply(ctx context.Context, m *task.Message, o task.Outcome) (*coalescer, error) {
	if o.Result == nil && len(o.Others) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resultTimeout)
	defer cancel()
	var last *coalescer
	var lost error
	for _, r := range append(o.Others, o.Result) {
		if r == nil || r.ReplyTo == "" {
			continue
		}
		writes, err := c.send(ctx, m, r)
		if last != nil && last != writes { // the connection was lost between two
			last.flush(ctx)
		}
		last, lost = writes, errors.Join(lost, err)
	}
	return last, lost
}

// send puts a result on its way, and sees to it that it arrives. It returns where it was written to.
func (c *consumer) send(ctx context.Context, m *task.Message, r *task.Result) (*coalescer, error) {
	lost := func(err error) error {
		return fmt.Errorf("rabbitmq: task %s: %w: %s: %w", r.ID, task.ErrResultLost, r.State, err)
	}
	out, err := newReply(r)
	if err != nil {
		return nil, lost(err)
	}
	sent := &dispatch{publishing: out}
	if err := sent.send(ctx, c.transport.publisher); err != nil {
		return nil, lost(err)
	}
	writes := sent.channel.session.writes // another try may be over another connection
	c.unconfirmed.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, resultTimeout)
		defer cancel()
		if err := sent.confirmed(ctx); err != nil && c.config.ResultLost != nil {
			c.config.ResultLost(m, lost(err))
		}
	})
	return writes, nil
}

func (c *consumer) stale(d *task.Delivery) error {
	return fmt.Errorf("rabbitmq: task %s from queue %s can't be settled: %w", d.Message.ID, d.Message.Queue, task.ErrStale)
}

// replace publishes the messages that take another one's place.
func (t *Transport) replace(ctx context.Context, ms []*task.Message) error {
	now := time.Now()
	out := make([]*publishing, len(ms))
	for i, m := range ms {
		var err error
		if out[i], err = newPublishing(m, now, false); err != nil {
			return err
		}
		// Nobody is left to be told: one that gets lost must be an error here.
		out[i].Mandatory = true
	}
	return errors.Join(t.publisher.publishMany(ctx, len(out), func(i int) (*publishing, error) { return out[i], nil })...)
}

// The headers that a dead letter has besides the message's own. Its body and its other
// properties are untouched.
const (
	reasonHeader = "x-taskgen-reason"
	errorHeader  = "x-taskgen-error"
	stackHeader  = "x-taskgen-stack"
	workerHeader = "x-taskgen-worker"
	diedHeader   = "x-taskgen-died" // RFC 3339
	// headersHeader says that the message's own headers were too large to stay.
	headersHeader = "x-taskgen-headers"
)

// deadSuffix makes the name of the queue for dead letters.
const deadSuffix = ".dead"

// A header frame has a bound, and dead letters must fit however long their error is.
const (
	maxDeadReason = 256
	maxDeadError  = 8 << 10
	maxDeadStack  = 32 << 10
)

// park puts a message into the dead letters of its queue, or of that queue's heir. What would go with its
// queue is dropped.
func (c *consumer) park(ctx context.Context, m *task.Message, dead *task.DeadLetter) error {
	at := *m
	at.Exchange, at.Queue = "", cmp.Or(dead.Queue, m.Queue)
	kept := c.succeed(&at)
	if kept.Existing {
		c.log.Warn("a message can't be run and is dropped: its queue is the consumer's own", "queue", m.Queue,
			"task", m.Task, "id", m.ID, "reason", dead.Reason, "error", dead.Error)
		return nil
	}
	return c.transport.park(ctx, kept, dead)
}

// park puts a message into its queue's dead letters.
func (t *Transport) park(ctx context.Context, m *task.Message, dead *task.DeadLetter) error {
	headers := map[string]any{
		reasonHeader: clip(dead.Reason, maxDeadReason),
		errorHeader:  clip(dead.Error, maxDeadError),
		workerHeader: clip(dead.Worker, 255),
		diedHeader:   dead.Time.UTC().Format(time.RFC3339Nano),
	}
	if dead.Stack != "" {
		headers[stackHeader] = clip(dead.Stack, maxDeadStack)
	}
	if tableSize(headers)+tableSize(m.Headers) > maxHeaders {
		headers["task"], headers["id"], headers[headersHeader] = clip(m.Task, 255), clip(m.ID, 255), "dropped"
	} else {
		for name, value := range m.Headers {
			if _, ours := headers[name]; !ours {
				headers[name] = value
			}
		}
	}
	out, err := newPublishing(&task.Message{
		ID: m.ID, Task: m.Task, Queue: m.Queue + deadSuffix,
		Priority: m.Priority, Mandatory: true, ReplyTo: m.ReplyTo,
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding,
		Headers: headers, Body: m.Body,
	}, time.Now(), false)
	if err != nil {
		return err
	}
	return t.publisher.publish(ctx, out)
}

// clip cuts text to a number of bytes, without half a character at the end.
func clip(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "")
}
