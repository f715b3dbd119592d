package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// chordTTL is how long a chord is remembered in which nothing happens.
const chordTTL = 24 * time.Hour

// StartChord implements [task.ChordStore].
func (t *Transport) StartChord(ctx context.Context, group string, size int) error {
	return chordError(group, t.writer.do(ctx, &chordStart{group, size}))
}

// EndChordPart implements [task.ChordStore].
func (t *Transport) EndChordPart(ctx context.Context, group string, part task.ChordPart) ([]task.ChordPart, error) {
	end := &chordEnding{group: group, part: part}
	err := t.writer.do(ctx, end)
	if err != nil {
		return nil, chordError(group, err)
	}
	return end.whole, nil
}

// ForgetChord implements [task.ChordStore].
func (t *Transport) ForgetChord(ctx context.Context, group string) error {
	return chordError(group, t.writer.do(ctx, chordForgetting(group)))
}

func chordError(group string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the chord of group %s: %w", group, err)
}

// A chordStart makes the size of a chord known.
type chordStart struct {
	group string
	size  int
}

const (
	sqlTouchChord = `INSERT INTO chord (name, size, ended, expires) VALUES (?, 0, 0, ?) ON CONFLICT (name) DO UPDATE SET expires = excluded.expires`
	sqlSizeChord  = `UPDATE chord SET size = ? WHERE name = ?`
	sqlEndPart    = `INSERT INTO chord_part (chord, task_id, place, state, type, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	sqlCountPart  = `UPDATE chord SET ended = ended + 1 WHERE name = ?`
	sqlComplete   = `SELECT count(*) FROM chord WHERE name = ? AND size > 0 AND ended >= size`
	sqlParts      = `SELECT task_id, place, state, type, body FROM chord_part WHERE chord = ?`
	sqlForget     = `DELETE FROM chord WHERE name = ?`
	sqlForgetPart = `DELETE FROM chord_part WHERE chord = ?`
	sqlOldChords  = `SELECT name FROM chord WHERE expires <= ? LIMIT ?`
)

func (s *chordStart) apply(t *tx) error {
	if err := touchChord(t, s.group); err != nil {
		return err
	}
	_, err := t.exec(sqlSizeChord, s.size, s.group)
	return err
}

// touchChord makes room for a chord, and keeps it.
func touchChord(t *tx, group string) error {
	_, err := t.exec(sqlTouchChord, group, t.now.Add(chordTTL))
	return err
}

// A chordEnding notes the end of one part, and finds all if that was the last.
type chordEnding struct {
	group string
	part  task.ChordPart
	whole []task.ChordPart
}

func (e *chordEnding) apply(t *tx) error {
	e.whole = nil
	if err := touchChord(t, e.group); err != nil {
		return err
	}
	noted, err := t.exec(sqlEndPart, e.group, e.part.ID, e.part.Index, string(e.part.State), e.part.ContentType, e.part.Body)
	if err == nil && noted > 0 {
		_, err = t.exec(sqlCountPart, e.group)
	}
	if err != nil {
		return err
	}
	complete, err := t.number(sqlComplete, e.group)
	if err != nil || complete == 0 {
		return err
	}
	err = t.query(sqlParts, func(r row) error {
		e.whole = append(e.whole, task.ChordPart{
			ID: r.text(0), Index: int(r.int(1)), State: task.State(r.text(2)), ContentType: r.text(3), Body: r.blob(4),
		})
		return nil
	}, e.group)
	slices.SortFunc(e.whole, func(a, b task.ChordPart) int {
		return cmp.Or(cmp.Compare(uint(a.Index), uint(b.Index)), cmp.Compare(a.ID, b.ID))
	})
	return err
}

// A chordForgetting deletes a chord.
type chordForgetting string

func (group chordForgetting) apply(t *tx) error {
	if _, err := t.exec(sqlForget, string(group)); err != nil {
		return err
	}
	_, err := t.exec(sqlForgetPart, string(group))
	return err
}

// A chordExpiry deletes some of the chords that were never complete.
type chordExpiry struct{}

func (chordExpiry) apply(t *tx) error {
	var old []string
	err := t.query(sqlOldChords, func(r row) error {
		old = append(old, r.text(0))
		return nil
	}, t.now, expiryStep)
	for _, group := range old {
		if err == nil {
			err = chordForgetting(group).apply(t)
		}
	}
	return err
}
