package task

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// ClaimStore gives out the right to run a task, to one at a time. A [Transport] that stores results implements it too.
type ClaimStore interface {
	// Claim takes the right to run a task, for a time; the same owner may prolong it. false: somebody else has it.
	Claim(ctx context.Context, id, owner string, ttl time.Duration) (bool, error)
	// Unclaim gives it back, if owner has it.
	Unclaim(ctx context.Context, id, owner string) error
}

const (
	// claimTTL is how long the claim of a worker that has died is in the way; it is prolonged in time.
	claimTTL = 30 * time.Second
	// claimPatience is when a message comes again whose task runs elsewhere.
	claimPatience = 5 * time.Second
)

// claimStore returns where tasks that are to run once are claimed; nil if there are none.
func claimStore(t Transport, r *Registry) (ClaimStore, error) {
	for _, e := range r.Entries() {
		if !e.spec.Once {
			continue
		}
		if s, ok := t.(ClaimStore); ok {
			return s, nil
		}
		return nil, fmt.Errorf("task %s is to run once (//task:once), and %s stores no results by which that could be told: "+
			"have a store of results, as with -results redis://… or task.WithResults, for all workers and senders", e.Name(), t)
	}
	return nil, nil
}

// claim is the right of a request to run.
type claim struct {
	store     ClaimStore
	id, owner string
	stop      context.CancelFunc
}

// once claims the run of a task that is to run once. If it is not to run now, what becomes of the request is seen to, and once
// returns false.
func (w *Worker) once(ctx context.Context, r *request) bool {
	done, err := w.claim(ctx, r)
	switch {
	case err == nil && done == nil:
		return true
	case err == nil:
		w.logger.Info("the task has run before, and is to run once: not run", "task", r.name, "id", r.id)
		go func() { w.conclude(r, w.executor.repeated(r, done), false) }()
	default:
		w.logger.Warn("the task is to run once, and can't be claimed: it waits", "task", r.name, "id", r.id, "for", claimPatience, "why", err)
		next := later(r.message)
		next.ETA = w.executor.now().Add(claimPatience)
		go func() {
			defer w.held.done()
			defer w.probation.done(r, false)
			w.release(r, Outcome{Publish: []*Message{next}})
		}()
	}
	return false
}

// claim returns the result of a task that has succeeded before, or else claims its run.
func (w *Worker) claim(ctx context.Context, r *request) (done *Result, err error) {
	asking, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	c := &claim{store: w.claims, id: r.id, owner: uuid.NewString()}
	switch mine, err := c.store.Claim(asking, c.id, c.owner, claimTTL); {
	case err != nil:
		return nil, err
	case !mine:
		return nil, errRunsElsewhere
	}
	// Not sooner: what has ended before the claim was free is stored by now.
	stored, err := w.transport.Result(asking, r.id)
	if err != nil || stored != nil && stored.State == Success {
		w.unclaim(c)
		return stored, err
	}
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop, r.claim = stop, c
	go w.renew(renewing, c)
	return nil, nil
}

var errRunsElsewhere = fmt.Errorf("another run of it goes on, or its worker has died less than %s ago", claimTTL)

// repeated is the outcome of a request whose task has succeeded before: that result, and what follows from it, since the worker that
// has stored it may have died before it could send that. Whoever gets it twice knows it by its ids.
func (e *executor) repeated(r *request, stored *Result) Outcome {
	result := *stored
	result.ReplyTo, result.TTL = r.message.ReplyTo, e.resultTTL
	o := Outcome{Result: &result}
	if r.follows = e.peek(r); !r.follows.ofSuccess() {
		return o
	}
	c := e.canvas(r)
	err := guard(func() error { return e.followStored(c, r, stored) })
	if _, store := errors.AsType[*chordStoreError](err); store {
		return e.giveBack(r, err)
	}
	if err != nil {
		e.logger.Error("what follows a task that has run before can't be sent", "task", r.name, "id", r.id, "error", err)
		return o
	}
	o.add(c)
	return o
}

// followStored is follow for a result that was stored, by another serializer perhaps.
func (e *executor) followStored(c *canvas, r *request, stored *Result) error {
	s, ok := codec.ByContentType(stored.ContentType)
	if !ok {
		return fmt.Errorf("the stored result has the content type %q, which has no serializer here", stored.ContentType)
	}
	var value []byte
	if err := s.DecodeMap(stored.Body, func(f codec.Fields) { value = f.Field("result").Raw(nil) }); err != nil {
		return fmt.Errorf("the stored result: %w", err)
	}
	t := &transcoder{from: s, to: r.serializer}
	err := e.follow(c, r, func(v codec.Value) { t.raw(v, value) })
	return errors.Join(err, t.err)
}

// renew prolongs a claim until it is given back.
func (w *Worker) renew(ctx context.Context, c *claim) {
	tick := time.NewTicker(claimTTL / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if mine, err := c.store.Claim(ctx, c.id, c.owner, claimTTL); ctx.Err() == nil && (err != nil || !mine) {
			w.logger.Warn("the claim of a task that is to run once can't be prolonged: another worker may run it too", "id", c.id, "error", err)
		}
	}
}

// unclaim gives a claim back. nil: there is none.
func (w *Worker) unclaim(c *claim) {
	if c == nil {
		return
	}
	if c.stop != nil {
		c.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimPatience)
	defer cancel()
	if err := c.store.Unclaim(ctx, c.id, c.owner); err != nil {
		w.logger.Warn("the claim of a task can't be given back: it ends by itself", "id", c.id, "in", claimTTL, "error", err)
	}
}
