package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskgen/taskgen/runtime/task"
)

// Settle implements [task.Consumer]: the whole outcome is one transaction.
func (c *consumer) Settle(ctx context.Context, d *task.Delivery, o task.Outcome) error {
	s := &settlement{outcome: o}
	for _, m := range o.Publish {
		i, err := newInsertion(m)
		if err != nil {
			return fmt.Errorf("task %s: settle: %w", d.Message.ID, err)
		}
		s.publish = append(s.publish, i)
	}
	w := c.transport.writer
	w.mu.Lock()
	l, ok := c.leases[d.Tag]
	w.mu.Unlock()
	if !ok {
		return settleError(d, task.ErrStale)
	}
	s.lease = l
	return settleError(d, w.do(ctx, s))
}

func settleError(d *task.Delivery, err error) error {
	var undecided *undecidedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &undecided):
		return fmt.Errorf("task %s (%s): its delivery may be settled or not: %w", d.Message.ID, d.Message.Task, undecided)
	case errors.Is(err, task.ErrClosed):
		err = fmt.Errorf("%w: %w", task.ErrStale, err)
	}
	return fmt.Errorf("task %s (%s): its delivery is not settled: %w", d.Message.ID, d.Message.Task, err)
}

// A settlement is the end of one delivery.
type settlement struct {
	lease   *lease
	outcome task.Outcome
	publish []*insertion
}

const (
	sqlAck     = `DELETE FROM msg WHERE id = ? AND owner = ? AND lease = ? AND state = 2`
	sqlAckBody = `DELETE FROM body WHERE id = ?`
)

func (s *settlement) apply(t *tx) error {
	routes := make([][]int64, len(s.publish))
	for i, m := range s.publish {
		var err error
		if routes[i], err = m.queues(t); err != nil {
			return err
		}
	}
	if err := s.end(t); err != nil {
		return err
	}
	// The message itself is out of the way now: the next attempt may have its id.
	for i, m := range s.publish {
		if err := m.put(t, routes[i]); err != nil {
			return err
		}
	}
	if s.outcome.Result != nil {
		if err := storeResult(t, s.outcome.Result); err != nil {
			return err
		}
	}
	t.freed[s.lease.sub]++
	return nil
}

// end takes the message out of the hands of this process. Each way is fenced
// by the lease: who has lost it changes nothing.
func (s *settlement) end(t *tx) error {
	l := s.lease
	switch {
	case s.outcome.Requeue:
		return giveBack(t, l, true)
	case s.outcome.Dead != nil:
		if parked, err := park(t, l, s.outcome.Dead); err != nil || parked {
			return err
		}
		return task.ErrStale
	}
	acked, err := t.exec(sqlAck, l.id, t.owner, l.number)
	if err != nil {
		return err
	}
	if acked == 0 {
		return task.ErrStale
	}
	_, err = t.exec(sqlAckBody, l.id)
	return err
}

// settled forgets the delivery, unless it can be settled again.
func (s *settlement) settled(w *writer, err error) {
	if err != nil && !isStale(err) {
		return
	}
	c, tag := s.lease.sub.consumer, s.lease.delivery.Tag
	if c.leases[tag] == s.lease {
		delete(c.leases, tag)
		s.lease.sub.taken--
		w.disown(s.lease.sub)
	}
}
