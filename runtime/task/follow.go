package task

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/taskgen/taskgen/runtime/codec"
)

// canvas is what makes the messages that follow from a request.
func (e *executor) canvas(r *request) *canvas {
	return &canvas{
		serializer: r.serializer, lookup: e.lookup, origin: e.name, queue: r.message.Queue, maxBody: e.maxBody, now: e.now(),
		root: r.rootID, parent: r.id, seed: r.id,
	}
}

// lookup finds what this process knows of a task.
func (e *executor) lookup(name string) *Spec {
	if entry, ok := e.registry.Lookup(name); ok {
		return entry.spec
	}
	return nil
}

// add adds to an outcome what follows.
func (o *Outcome) add(c *canvas) {
	o.Publish = append(o.Publish, c.messages...)
	o.Others = append(o.Others, c.others...)
	o.chords = append(o.chords, c.ended...)
}

// succeed is the outcome of a run without an error: callbacks, the next step of a chain, the body of a chord that it completes, and the result, which
// tells of them.
func (e *executor) succeed(r *request, result func(codec.Value)) (o Outcome, err error) {
	c := &canvas{}
	if r.follows.ofSuccess() {
		c = e.canvas(r)
		if err = guard(func() error { return e.follow(c, r, result) }); err != nil {
			return Outcome{}, err
		}
	}
	if !e.ignores(r) {
		body, err := e.success(r, result, append(r.sent.list(), c.children...))
		if err != nil {
			return Outcome{}, err
		}
		o.Result = e.result(r, e.answer(r), Success, body)
	}
	o.add(c)
	return o, nil
}

// ofSuccess says whether something follows from a success.
func (e *embed) ofSuccess() bool {
	return e != nil && (len(e.callbacks) > 0 || len(e.chain) > 0 || e.chord != nil)
}

// follow makes what follows from a success. (Celery: celery/app/trace.py.)
func (e *executor) follow(c *canvas, r *request, result func(codec.Value)) error {
	f := r.follows
	raw, err := r.serializer.EncodeValue(result)
	if err != nil {
		return fmt.Errorf("the result can't be encoded as %s: %w", r.serializer.Name(), err)
	}
	if err := c.callbacks(f.callbacks, raw); err != nil {
		return err
	}
	if n := len(f.chain); n > 0 {
		if err := c.sendAt(f.chain[n-1], place{partial: [][]byte{raw}, chain: f.chain[:n-1], index: noIndex}); err != nil {
			return err
		}
	}
	if len(c.starts) > 0 && e.chords() == nil {
		return errNoChords(e.client.transport)
	}
	if f.chord != nil {
		if err := e.endPart(c, r, f.chord, r.part(Success, raw)); err != nil {
			return err
		}
	}
	return e.startChords(c)
}

// callbacks sends what a success calls: several of them as a group, but those that are groups themselves.
func (c *canvas) callbacks(list []*signature, result []byte) error {
	if len(list) == 1 {
		return c.send(list[0], result)
	}
	var plain []*signature
	for _, s := range list {
		if s.kind != kindGroup {
			plain = append(plain, s)
		} else if err := c.send(s, result); err != nil {
			return err
		}
	}
	if len(plain) == 0 {
		return nil
	}
	return c.send(groupOf(plain), result)
}

// errbacks sends what a failure calls: a group, each with the id of the task that has failed.
func (c *canvas) errbacks(list []*signature, id string) error {
	if len(list) == 0 {
		return nil
	}
	raw, err := c.serializer.EncodeValue(func(v codec.Value) { v.String(id) })
	if err != nil {
		return err
	}
	return c.send(groupOf(list), raw)
}

// end is the outcome of a request that has come to a final state other than success: the result, what the failure calls, the
// same failure for all that was to follow, and the end of its part of a chord.
func (e *executor) end(r *request, state State, cause error) (Outcome, error) {
	o := Outcome{Result: e.failure(r, state, cause)}
	if r.follows == nil {
		r.follows = e.peek(r)
	}
	if r.follows == nil || r.serializer == nil || r.id == "" {
		return o, nil
	}
	c := e.canvas(r)
	if err := guard(func() error { return e.spread(c, r, state, describe(cause)) }); err != nil {
		return o, err
	}
	o.add(c)
	return o, nil
}

func (e *executor) spread(c *canvas, r *request, state State, failure *TaskError) error {
	failure.State = state
	f := r.follows
	if f.chord != nil {
		part, err := failedPart(r.serializer, r.part(state, nil), failure)
		if err != nil {
			return err
		}
		if err := e.endPart(c, r, f.chord, part); err != nil {
			return err
		}
	}
	if state == Failure {
		failure.Task, failure.ID = r.name, r.id // who waits for the last step is told which one it was
		for _, v := range slices.Backward(f.chain) {
			if err := e.skip(c, r, v, failure); err != nil {
				return err
			}
		}
		if err := c.errbacks(f.errbacks, r.id); err != nil {
			return err
		}
	}
	return e.startChords(c)
}

// skip tells those who wait for a signature that it won't run, and ends its parts of chords. (Celery: mark_as_failure; it tells
// only of the steps themselves, and leaves waiting who waits for what is in them.)
func (e *executor) skip(c *canvas, r *request, s *signature, failure *TaskError) error {
	for _, part := range s.parts(nil) {
		ended, err := failedPart(c.serializer, chordPart{group: part.group, ChordPart: ChordPart{ID: part.end().id, Index: part.index, State: Failure}}, failure)
		if err != nil {
			return err
		}
		if err := e.endPart(c, r, part.chord, ended); err != nil {
			return err
		}
	}
	for _, call := range s.calls(nil) {
		if call.id == "" {
			continue
		}
		body, err := writeResult(e.answer(r), call.id, Failure, nil, failure, nil)
		if err != nil {
			return err
		}
		result := e.result(r, e.answer(r), Failure, body)
		result.ID, result.ReplyTo = call.id, call.replyTo
		c.others = append(c.others, result)
	}
	return nil
}

// parts adds those signatures whose ends are parts of chords that s belongs to.
func (s *signature) parts(out []*signature) []*signature {
	switch {
	case s.chord != nil:
		return append(out, s)
	case s.kind == kindChain:
		return s.tasks[len(s.tasks)-1].parts(out)
	case s.kind == kindChord:
		return s.body.parts(out)
	case s.kind == kindGroup:
		for _, member := range s.tasks {
			out = member.parts(out)
		}
	}
	return out
}

// calls adds all plain calls that s is made of, and that follow it.
func (s *signature) calls(out []*signature) []*signature {
	for _, t := range s.tasks {
		out = t.calls(out)
	}
	switch s.kind {
	case kindChord:
		out = s.body.calls(s.header.calls(out))
	case kindGroup, kindChain:
	default:
		out = append(out, s)
	}
	for _, step := range s.chain {
		out = step.calls(out)
	}
	return out
}

// peek reads what follows from a message that is not run, as far as that can be read; else nil.
func (e *executor) peek(r *request) *embed {
	if r.serializer == nil || len(r.message.Body) > e.maxBody {
		return nil
	}
	e.large.Lock()
	defer e.large.Unlock()
	body, err := decompress(r.message, e.maxDecompressed)
	if err != nil {
		return nil
	}
	var raw []byte
	large := len(body) > largeBody
	defer func() {
		if large { // or the next one would have to do without this memory
			body, raw = nil, nil
			debug.FreeOSMemory()
		}
	}()
	err = guard(func() error {
		return r.serializer.DecodeValue(body, func(v codec.Value) {
			if v.List(0) == 3 {
				v.Raw(nil)
				v.Raw(nil)
				raw = v.Raw(nil)
			}
		})
	})
	if err != nil && large {
		return nil
	}
	if err != nil {
		raw = body // of protocol 1
	}
	var f *embed
	err = guard(func() (err error) {
		f, err = readEmbed(r.serializer, raw)
		return err
	})
	if err != nil {
		return nil
	}
	return f
}
