package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// A change is one caller's part of a transaction. It may be applied several
// times, since a transaction that fails is rolled back and tried again. A
// change that finds its delivery stale returns [task.ErrStale] and has written
// nothing.
type change interface {
	apply(*tx) error
}

// sizeOf returns about how many bytes a change writes, if they can be many.
func sizeOf(c change) int {
	switch c := c.(type) {
	case *insertion:
		return len(c.props) + len(c.body)
	case *announcement:
		size := 0
		for _, h := range c.hearers {
			size += h.size
		}
		return size
	case *storing:
		return len(c.result.Body)
	case *settlement:
		size := 0
		for _, m := range c.publish {
			size += sizeOf(m)
		}
		if c.outcome.Result != nil {
			size += len(c.outcome.Result.Body)
		}
		return size
	}
	return 0
}

// A settler is told when its change is committed, or refused for good. It runs
// with the writer's mutex held.
type settler interface {
	settled(w *writer, err error)
}

// A tx is the transaction that changes are applied to, and what must be known
// of them when it is committed.
type tx struct {
	*conn
	owner int64
	now   time.Time
	// queues are the ids of queues by name, as this process knows them; made
	// are those that the transaction adds.
	queues, made map[string]int64
	// known is what this process knows of the exchanges; topology what is
	// true in this transaction, nil until it is needed; reroutes says that the
	// transaction changes it.
	known, topology *topology
	reroutes        bool

	// ready are the queues with new messages to deliver; -n is the listener n with new broadcasts.
	ready map[int64]bool
	// freed counts the settled deliveries of a subscription.
	freed map[*subscription]int
	// drained are the subscriptions whose queue is empty.
	drained []*subscription
	// nextDue is when the next delayed message of all is due in ms, 0: not looked up.
	nextDue int64
	// due is the earliest time of a new delayed message in ms, 0: none.
	due int64
	// results are the hashes of the ids whose results are new.
	results []uint32
	// checkpoint asks for the log to be emptied after the commit.
	checkpoint bool
}

// queue returns the id of a queue, which it makes if it is missing.
func (t *tx) queue(name string) (int64, error) {
	if id, ok := t.queues[name]; ok {
		return id, nil
	}
	if id, ok := t.made[name]; ok {
		return id, nil
	}
	id, owned, err := t.findQueue(name)
	if err != nil {
		return 0, err
	}
	if id == 0 {
		if _, err := t.exec(`INSERT INTO queue (name) VALUES (?)`, name); err != nil {
			return 0, err
		}
		id = t.lastID()
	}
	if !owned { // one that goes with its owner can't be remembered
		t.made[name] = id
	}
	return id, nil
}

// findQueue returns the id of a queue, 0 if there is none, and whether it goes with an owner.
func (t *tx) findQueue(name string) (id int64, owned bool, err error) {
	err = t.query(sqlQueue, func(r row) error {
		id, owned = r.int(0), !r.null(1)
		return nil
	}, name)
	return id, owned, err
}

// forget drops what the transaction has noted of what was rolled back.
func (t *tx) forget() {
	clear(t.made)
	t.topology, t.reroutes = nil, false
}

// A pending is a change on its way through the writer.
type pending struct {
	change change
	state  atomic.Int32
	group  *group
	// err is the outcome, valid in state finished.
	err error
	// uncertain is the error of a commit that may have reached the disk.
	uncertain atomic.Pointer[error]
}

// The states of a pending.
const (
	waiting  = iota // in the queue: surely not written
	entered         // in a transaction
	finished        // err says how
	gone            // nobody waits for it any more
)

// A group is what one caller waits for.
type group struct {
	left atomic.Int32
	done chan struct{}
}

func newPendings(changes []change) []*pending {
	g := &group{done: make(chan struct{})}
	g.left.Store(int32(len(changes)))
	ps := make([]*pending, len(changes))
	for i, c := range changes {
		ps[i] = &pending{change: c, group: g}
	}
	return ps
}

// enter takes the change into a transaction, unless its caller has gone.
func (p *pending) enter() bool { return p.state.CompareAndSwap(waiting, entered) }

// back returns the change to the queue after a rollback, unless its caller has gone.
func (p *pending) back() bool { return p.state.CompareAndSwap(entered, waiting) }

// finish tells the caller. What failed in the end, after a commit that may have
// reached the disk, may be written all the same.
func (p *pending) finish(err error) {
	if uncertain := p.uncertain.Load(); err != nil && uncertain != nil {
		err = &undecidedError{*uncertain}
	}
	p.err = err
	p.state.Store(finished)
	if p.group.left.Add(-1) == 0 {
		close(p.group.done)
	}
}

// leave ends the wait for a change because of cause, and returns what is known of it.
func (p *pending) leave(cause error) error {
	for {
		switch {
		case p.state.CompareAndSwap(waiting, gone):
			if uncertain := p.uncertain.Load(); uncertain != nil {
				return &undecidedError{fmt.Errorf("%w: %w", cause, *uncertain)}
			}
			return cause
		case p.state.CompareAndSwap(entered, gone):
			return &undecidedError{cause}
		case p.state.Load() == finished:
			return p.err
		}
	}
}

// An undecidedError: the change may be written or not.
type undecidedError struct{ cause error }

func (e *undecidedError) Error() string        { return "it may or may not be written: " + e.cause.Error() }
func (e *undecidedError) Unwrap() error        { return e.cause }
func (e *undecidedError) Is(target error) bool { return target == task.ErrUnconfirmed }

// do has the writer apply one change and waits for the commit.
func (w *writer) do(ctx context.Context, c change) error {
	return w.doMany(ctx, []change{c})[0]
}

// doMany has the writer apply changes and waits for the commit of each. It
// returns one error for each, or nil.
func (w *writer) doMany(ctx context.Context, changes []change) []error {
	errs := make([]error, len(changes))
	ps := newPendings(changes)
	err := ctx.Err()
	if err == nil {
		err = w.enqueue(ps)
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	select {
	case <-ps[0].group.done:
		for i, p := range ps {
			errs[i] = p.err
		}
	case <-ctx.Done():
		cause := w.whyWaiting(ctx)
		for i, p := range ps {
			errs[i] = p.leave(cause)
		}
	}
	return errs
}

// whyWaiting returns the error of a caller whose context has ended.
func (w *writer) whyWaiting(ctx context.Context) error {
	err := context.Cause(ctx)
	if obstacle := w.obstacle.Load(); obstacle != nil {
		return fmt.Errorf("%w: %w (%w)", task.ErrBlocked, *obstacle, err)
	}
	return err
}

// enqueue hands changes to the writer.
func (w *writer) enqueue(ps []*pending) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return task.ErrClosed
	}
	w.queue = append(w.queue, ps...)
	w.wakeUp()
	return nil
}

// post enqueues a change that nobody waits for.
func (w *writer) post(c change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.postLocked(c)
}

// postLocked is post for who holds w.mu.
func (w *writer) postLocked(c change) {
	w.queue = append(w.queue, newPendings([]change{c})...)
	w.wakeUp()
}

func isStale(err error) bool { return errors.Is(err, task.ErrStale) }

// isHarmless says whether a change that ended so leaves the transaction as good as it was.
func isHarmless(err error) bool { return isStale(err) || errors.Is(err, task.ErrUnroutable) }
