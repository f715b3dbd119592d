package sqlite

import (
	"errors"
	"maps"
	"slices"
)

// process carries out the changes, and leases. On an error nothing of what is
// not finished was written.
func (w *writer) process(db *database, batch []*pending) error {
	err := w.transact(db, batch, false)
	if err == nil || len(batch) == 0 {
		return err
	}
	if classify(err) == refused {
		// One change can't be carried out. Find out which, and spare the others.
		err = w.transact(db, batch, true)
	}
	if !isFull(err) {
		return err
	}
	// Shorter logs leave room; and what settles a delivery, or is small, may
	// fit where the whole does not.
	_ = db.writer.query(`PRAGMA wal_checkpoint(TRUNCATE)`, func(row) error { return nil })
	for _, p := range batch {
		if one := w.transact(db, []*pending{p}, true); one != nil && classify(one) != blocked {
			return one
		}
	}
	for _, p := range batch {
		if p.state.Load() != finished {
			return err
		}
	}
	return nil
}

// transact tries to carry out changes in one transaction. A careful one gives
// each change a savepoint, so that one that is refused does not fail the rest.
func (w *writer) transact(db *database, batch []*pending, careful bool) (err error) {
	t := w.begin(db)
	if err := db.setSync(slices.ContainsFunc(batch, isDurable)); err != nil {
		return err
	}
	if _, err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	defer func() {
		if err != nil && t.inTransaction() {
			_, failed := t.exec(`ROLLBACK`)
			err = errors.Join(err, failed)
		}
	}()
	if err := checkVersion(t.conn); err != nil {
		return err
	}
	outcomes := make([]error, len(batch))
	for i, p := range batch {
		outcomes[i], err = applyOne(t, p.change, careful)
		if err != nil {
			return err
		}
	}
	leases, err := w.takeLeases(t)
	if err != nil {
		return err
	}
	news, ports, err := w.news(t)
	if err != nil {
		return err
	}
	if _, err := t.exec(`COMMIT`); err != nil {
		if isUncertain(err) { // the log may hold the commit all the same
			for i, p := range batch {
				if outcomes[i] == nil {
					p.uncertain.Store(&err)
				}
			}
		}
		return err
	}
	w.doorbell.ring(news, ports)
	w.committed(t, batch, outcomes, leases)
	return nil
}

// isDurable says whether the caller of a change relies on it after a power failure too. Who settles a delivery doesn't: if that is
// undone, then all of it, the result and the next attempt included, and the task runs again.
func isDurable(p *pending) bool {
	s, settles := p.change.(*settlement)
	return !settles || s.outcome.Early
}

func (w *writer) begin(db *database) *tx {
	return &tx{
		conn: db.writer, owner: w.owner, now: w.now(),
		queues: w.queues, made: map[string]int64{}, known: w.topology, ready: map[int64]bool{}, freed: map[*subscription]int{},
	}
}

// applyOne returns the outcome for the caller of the change, and the error that
// ends the transaction.
func applyOne(t *tx, c change, careful bool) (outcome, err error) {
	if !careful {
		err := c.apply(t)
		if isHarmless(err) {
			return err, nil
		}
		return nil, err
	}
	if _, err := t.exec(`SAVEPOINT one`); err != nil {
		return nil, err
	}
	outcome = c.apply(t)
	if outcome != nil && !isHarmless(outcome) {
		if classify(outcome) != refused || !t.inTransaction() {
			return nil, outcome
		}
		if _, err := t.exec(`ROLLBACK TO one`); err != nil {
			return nil, err
		}
		t.forget()
	}
	_, err = t.exec(`RELEASE one`)
	return outcome, err
}

// committed spreads the news of a transaction.
func (w *writer) committed(t *tx, batch []*pending, outcomes []error, leases []*lease) {
	maps.Copy(w.queues, t.made)
	if t.topology != nil {
		w.topology = t.topology
	}
	if t.checkpoint {
		_ = t.query(`PRAGMA wal_checkpoint(TRUNCATE)`, func(row) error { return nil })
	}
	w.mu.Lock()
	for i, p := range batch {
		if s, ok := p.change.(settler); ok {
			s.settled(w, outcomes[i])
		}
	}
	w.handOut(t, leases)
	w.notify(t.results)
	w.mu.Unlock()
	for i, p := range batch {
		p.finish(outcomes[i])
	}
}

// news returns what other processes must hear of the transaction, and where.
func (w *writer) news(t *tx) (ring, []uint16, error) {
	r := ring{due: t.due, results: t.results}
	for queue := range t.ready {
		r.queues = append(r.queues, queue)
	}
	if r.empty() {
		return r, nil, nil
	}
	var ports []uint16
	err := t.query(`SELECT port FROM proc WHERE owner <> ? AND host = ? AND port BETWEEN 1 AND 65535`, func(row row) error {
		ports = append(ports, uint16(row.int(0)))
		return nil
	}, t.owner, w.doorbell.machine.String())
	return r, ports, err
}
