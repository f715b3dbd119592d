package sqlite

import (
	"context"
	"fmt"
)

// purgeStep is how many messages one transaction of Purge deletes, so that
// others get their turn.
const purgeStep = 2000

// Purge implements [task.Transport]. Messages that arrive meanwhile stay.
func (t *Transport) Purge(ctx context.Context, queue string) (int, error) {
	total := 0
	p := &purge{queue: queue}
	for {
		if err := t.writer.do(ctx, p); err != nil {
			return total, fmt.Errorf("purge of queue %s, after %d messages: %w", queue, total, err)
		}
		total += p.deleted
		if p.deleted == 0 {
			return total, nil
		}
	}
}

// A purge deletes some of the messages that wait in a queue.
type purge struct {
	queue   string
	upTo    int64 // the newest message to delete, 0: not known yet
	deleted int
}

const (
	sqlPurge = `DELETE FROM msg WHERE id IN (
		SELECT id FROM msg WHERE state = 0 AND queue = ? AND id <= ? LIMIT ?) RETURNING id`
	sqlPurgeDelayed = `DELETE FROM msg WHERE id IN (
		SELECT id FROM msg WHERE state = 1 AND queue = ? AND id <= ? LIMIT ?) RETURNING id`
)

func (p *purge) apply(t *tx) error {
	p.deleted = 0
	id, err := t.number(`SELECT id FROM queue WHERE name = ?`, p.queue)
	if err != nil || id == 0 {
		return err
	}
	if p.upTo == 0 {
		if p.upTo, err = t.number(`SELECT max(id) FROM msg`); err != nil {
			return err
		}
	}
	var ids []int64
	for _, sql := range []string{sqlPurge, sqlPurgeDelayed} {
		err := t.query(sql, func(r row) error {
			ids = append(ids, r.int(0))
			return nil
		}, id, p.upTo, purgeStep-len(ids))
		if err != nil {
			return err
		}
	}
	for _, id := range ids {
		if _, err := t.exec(sqlAckBody, id); err != nil {
			return err
		}
	}
	p.deleted = len(ids)
	return nil
}
