package task

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
)

// chordPart is a part of the chord of a group.
type chordPart struct {
	group string
	ChordPart
}

// chordStoreError is a store that can't be asked now: what depends on it is tried again.
type chordStoreError struct{ error }

func (e *chordStoreError) Unwrap() error { return e.error }

// errNoChords: there is nobody to count the parts of a chord.
func errNoChords(t Transport) error {
	return fmt.Errorf("%s keeps no results, so that nobody counts the parts of a chord: it needs a store, as in -results redis://…", t)
}

// chords is who counts the parts of chords; nil if nobody does.
func (e *executor) chords() ChordStore {
	if e.client == nil {
		return nil
	}
	store, _ := e.client.transport.(ChordStore)
	return store
}

// part is the end of a request as a part of a chord.
func (r *request) part(state State, value []byte) chordPart {
	group, _ := nameHeader(r.message.Headers, "group", "")
	index, err := indexOf(r.message.Headers["group_index"])
	if err != nil {
		index = noIndex
	}
	part := chordPart{group: group, ChordPart: ChordPart{ID: r.id, Index: index, State: state, Body: value}}
	if r.serializer != nil {
		part.ContentType = r.serializer.ContentType()
	}
	return part
}

// failedPart is a part with the exception that it has ended with.
func failedPart(s codec.Serializer, part chordPart, failure *TaskError) (chordPart, error) {
	body, err := s.EncodeValue(func(v codec.Value) { writeException(v, failure) })
	part.ContentType, part.Body = s.ContentType(), body
	return part, err
}

// startChords makes the chords known whose parts are about to be sent.
func (e *executor) startChords(c *canvas) error {
	if len(c.starts) == 0 {
		return nil
	}
	store := e.chords()
	if store == nil {
		return errNoChords(e.client.transport)
	}
	return startChords(context.Background(), store, c.starts)
}

func startChords(ctx context.Context, store ChordStore, starts []chordStart) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for _, start := range starts {
		if err := store.StartChord(ctx, start.group, start.size); err != nil {
			return &chordStoreError{fmt.Errorf("starting the chord of group %s: %w", start.group, err)}
		}
	}
	return nil
}

// endPart notes the end of one part of a chord. The last one sends the body, or fails it if a part has failed. (Celery:
// on_chord_part_return.)
func (e *executor) endPart(c *canvas, r *request, body *signature, part chordPart) error {
	store := e.chords()
	switch {
	case part.group == "" || part.ID == "":
		return nil
	case store == nil:
		if _, told := e.chordless.LoadOrStore(r.name, true); !told {
			e.logger.Error("a task is part of a chord that is never going to be complete", "task", r.name, "id", r.id, "error", errNoChords(e.client.transport))
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	parts, err := store.EndChordPart(ctx, part.group, part.ChordPart)
	if errors.Is(err, ErrUnstorable) {
		return fmt.Errorf("the result can't be that of a part of a chord: %w", err)
	}
	if err != nil {
		return &chordStoreError{fmt.Errorf("ending a part of the chord of group %s: %w", part.group, err)}
	}
	if parts == nil {
		return nil
	}
	c.ended = append(c.ended, part.group)
	c.freeze(body, "")
	for _, p := range parts {
		if p.State != Success {
			return e.failChord(c, r, body, chordError(p))
		}
	}
	sent, starts, children := len(c.messages), len(c.starts), len(c.children)
	values, err := joinParts(c.serializer, parts)
	if err == nil {
		err = c.apply(body, place{partial: [][]byte{values}, index: noIndex})
	}
	if err != nil {
		c.messages, c.starts, c.children = c.messages[:sent], c.starts[:starts], c.children[:children]
		return e.failChord(c, r, body, &TaskError{State: Failure, Type: "ChordError", Module: celeryExceptions, Message: safeText(err)})
	}
	return nil
}

// failChord ends the body of a chord that can't run.
func (e *executor) failChord(c *canvas, r *request, body *signature, failure *TaskError) error {
	e.logger.Error("a chord has failed", "body", body.task, "id", body.end().id, "error", failure.Message)
	return errors.Join(e.skip(c, r, body, failure), c.errbacks(body.errlinks, body.end().id))
}

const celeryExceptions = "celery.exceptions"

// chordError is what the body of a chord fails with one of whose parts has failed.
func chordError(p ChordPart) *TaskError {
	text, id := "an error", p.ID
	if s, ok := codec.ByContentType(p.ContentType); ok {
		tree, _ := s.DecodeTree(p.Body)
		if exception, ok := tree.(map[string]any); ok {
			text = fmt.Sprintf("%v(%s)", exception["exc_type"], codec.ReprText(messageOf(exception["exc_message"])))
			if _, before := failedBefore(exception); before != "" {
				id = before
			}
		}
	}
	return &TaskError{
		State: Failure, Type: "ChordError", Module: celeryExceptions,
		Message: shorten(fmt.Sprintf("Dependency %s raised %s", id, text), maxErrorText),
	}
}

// joinParts is the list of the parts' values.
func joinParts(s codec.Serializer, parts []ChordPart) ([]byte, error) {
	var failed error
	list, err := s.EncodeValue(func(v codec.Value) {
		v.List(len(parts))
		for _, p := range parts {
			from, ok := codec.ByContentType(p.ContentType)
			if !ok {
				failed = fmt.Errorf("the result of %s has the content type %q, which has no serializer here", p.ID, p.ContentType)
				from = s
			}
			t := &transcoder{from: from, to: s}
			t.raw(v, p.Body)
			failed = errors.Join(failed, t.err)
		}
		v.End()
	})
	return list, errors.Join(err, failed)
}

// forgetChords deletes what is known of chords whose bodies have been sent.
func (w *Worker) forgetChords(groups []string) {
	store := w.executor.chords()
	if store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	for _, group := range groups {
		if err := store.ForgetChord(ctx, group); err != nil {
			w.logger.Warn("what is known of a chord stays until it expires", "group", group, "error", err)
		}
	}
}
