package sqlite

const (
	sqlOwnQueue  = `SELECT id, heir FROM queue WHERE name = ? AND owner = ?`
	sqlOwnQueues = `SELECT id, heir FROM queue WHERE owner = ?`
	sqlInherit   = `UPDATE OR IGNORE msg SET queue = ?, state = iif(state = 2, 0, state), at = iif(state = 2, ?, at),
		owner = NULL, lease = NULL, attempt = 0 WHERE queue = ? AND live`
	sqlInheritDead = `UPDATE msg SET queue = ? WHERE queue = ? AND state = 3`
	sqlEmpty       = `DELETE FROM msg WHERE queue = ? AND live RETURNING id`
	sqlEmptyDead   = `DELETE FROM msg WHERE queue = ? AND state = 3 RETURNING id`
	sqlForgetDead  = `DELETE FROM dead WHERE id = ?`
)

// An estate is a queue that goes with its owner, and who gets what is in it.
type estate struct {
	queue int64
	heir  string
}

// estates returns what a query of ids and heirs finds.
func (t *tx) estates(sql string, args ...any) (all []estate, err error) {
	err = t.query(sql, func(r row) error {
		all = append(all, estate{queue: r.int(0), heir: r.text(1)})
		return nil
	}, args...)
	return all, err
}

// settle ends the queue: what leads to it goes, what is in it goes to the heir
// as if it had never been delivered.
func (e estate) settle(t *tx) error {
	unbound, err := t.exec(sqlUnbind, e.queue)
	if err != nil {
		return err
	}
	if unbound > 0 {
		if err := t.rerouted(""); err != nil {
			return err
		}
	}
	if e.heir != "" {
		if err := e.handDown(t); err != nil {
			return err
		}
	}
	if err := e.empty(t); err != nil {
		return err
	}
	delete(t.ready, e.queue)
	_, err = t.exec(`DELETE FROM queue WHERE id = ?`, e.queue)
	return err
}

// handDown moves the messages to the heir. One that waits or runs there
// already, by its id, stays behind.
func (e estate) handDown(t *tx) error {
	heir, err := t.queue(e.heir)
	if err != nil {
		return err
	}
	moved, err := t.exec(sqlInherit, heir, t.now, e.queue)
	if err != nil {
		return err
	}
	if moved > 0 {
		t.ready[heir] = true
	}
	_, err = t.exec(sqlInheritDead, heir, e.queue)
	return err
}

// empty deletes what is left in the queue.
func (e estate) empty(t *tx) error {
	var ids []int64
	for _, sql := range []string{sqlEmpty, sqlEmptyDead} {
		err := t.query(sql, func(r row) error {
			ids = append(ids, r.int(0))
			return nil
		}, e.queue)
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		for _, sql := range []string{sqlAckBody, sqlForgetDead} {
			if _, err := t.exec(sql, id); err != nil {
				return err
			}
		}
	}
	return nil
}
