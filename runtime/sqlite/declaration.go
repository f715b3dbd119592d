package sqlite

import (
	"errors"
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/internal/routing"
	"github.com/taskgen/taskgen/runtime/task"
)

// A declaration makes the queues of a consumer and what leads to them.
type declaration struct {
	consumer   *consumer
	subs       []*subscription
	ids        []int64 // of the queues, in the order of subs
	mismatches routing.Mismatches
}

// declared says whether the queues and bindings of a consumer are in the database.
type declared int

const (
	undeclared declared = iota
	declaring
	isDeclared
)

// declare has the writer make what a consumer needs, unless it is there or on
// its way. The caller holds w.mu.
func (w *writer) declare(c *consumer) {
	if c.declared == undeclared {
		c.declared = declaring
		w.postLocked(&declaration{consumer: c, subs: slices.Clone(c.subs)})
	}
}

// undeclare notes that what the consumers need may have gone. The next arrival makes it again.
func (w *writer) undeclare() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.consumers {
		if c.declared == isDeclared {
			c.declared = undeclared
		}
		for _, s := range c.subs {
			s.id = 0
		}
	}
	w.unregister()
}

func (d *declaration) apply(t *tx) error {
	d.ids, d.mismatches = d.ids[:0], nil
	for _, s := range d.subs {
		id, err := d.declareQueue(t, s.Subscription)
		if err != nil {
			return fmt.Errorf("queue %s: %w", s.Queue, err)
		}
		d.ids = append(d.ids, id)
	}
	return nil
}

// settled lets the subscriptions lease.
func (d *declaration) settled(w *writer, err error) {
	c := d.consumer
	if err != nil {
		c.declared = undeclared
		if errors.Is(err, task.ErrClosed) {
			return
		}
		c.config.Logger.Error("the queues and bindings can't be declared", "worker", c.config.Worker, "error", err)
		return
	}
	for i, s := range d.subs {
		s.id = d.ids[i]
		s.know(true)
	}
	if len(d.mismatches) > 0 && !c.warned {
		d.mismatches.Log(c.config.Logger.With("worker", c.config.Worker))
		c.warned = true
	}
	c.declared = isDeclared
	if slices.ContainsFunc(c.subs, func(s *subscription) bool { return s.id == 0 }) { // added meanwhile
		c.declared = undeclared
		w.declare(c)
	}
	w.beginConsumers()
	w.wakeUp()
}

const sqlOwn = `INSERT INTO queue (name, owner, heir) VALUES (?, ?, nullif(?, ''))
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, heir = excluded.heir WHERE queue.owner IS NOT NULL`

// declareQueue makes the queue of a subscription and its bindings. One that
// was there before as anybody's stays so, even if it is asked for as an own one.
func (d *declaration) declareQueue(t *tx, s task.Subscription) (id int64, err error) {
	if s.Own {
		if _, err := t.exec(sqlOwn, s.Queue, t.owner, s.Heir); err != nil {
			return 0, err
		}
	}
	if id, err = t.queue(s.Queue); err != nil {
		return 0, err
	}
	for _, b := range s.Bindings {
		kind, err := t.declare(b, id)
		if err != nil {
			return 0, fmt.Errorf("binding to exchange %s: %w", b.Exchange, err)
		}
		d.mismatches.Compare(s.Queue, b, kind)
	}
	return id, nil
}
