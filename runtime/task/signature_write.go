package task

import (
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/runtime/codec"
)

// transcoder writes values that one serializer has encoded into the message of another one.
type transcoder struct {
	from, to codec.Serializer
	err      error
}

// gob is the serializer whose values only itself can read.
const gob = "gob"

func (t *transcoder) raw(v codec.Value, raw []byte) {
	if t.from.Name() == t.to.Name() {
		v.Raw(raw)
		return
	}
	tree, err := t.from.DecodeTree(raw)
	if t.from.Name() == gob || t.to.Name() == gob {
		err = fmt.Errorf("a value encoded as %s can't become one of %s", t.from.Name(), t.to.Name())
	}
	if err != nil {
		t.err, tree = err, nil
	}
	codec.WriteTree(v, tree)
}

func (t *transcoder) rawList(v codec.Value, list [][]byte) {
	v.List(len(list))
	for _, raw := range list {
		t.raw(v, raw)
	}
	v.End()
}

// entry is one entry of a map that is about to be written.
type entry struct {
	name  string
	write func(codec.Value)
}

func writeEntries(v codec.Value, entries []entry) {
	v.Map(len(entries))
	for _, e := range entries {
		v.String(e.name)
		e.write(v)
	}
	v.End()
}

func (t *transcoder) fields(list []field) []entry {
	out := make([]entry, len(list))
	for i, f := range list {
		out[i] = entry{f.name, func(v codec.Value) { t.raw(v, f.raw) }}
	}
	return out
}

// signature writes a signature as Celery does.
func (t *transcoder) signature(v codec.Value, s *signature) {
	writeEntries(v, []entry{
		{"task", func(v codec.Value) { v.String(s.task) }},
		{"args", func(v codec.Value) { t.rawList(v, s.args) }},
		{"kwargs", func(v codec.Value) { writeEntries(v, t.kwargs(s)) }},
		{"options", func(v codec.Value) { writeEntries(v, t.options(s)) }},
		{"subtask_type", func(v codec.Value) {
			if v.Present(s.kind != "") {
				v.String(s.kind)
			}
		}},
		{"immutable", func(v codec.Value) { v.Bool(s.immutable) }},
	})
}

func (t *transcoder) signatures(list []*signature) func(codec.Value) {
	return func(v codec.Value) {
		v.List(len(list))
		for _, s := range list {
			t.signature(v, s)
		}
		v.End()
	}
}

func (t *transcoder) kwargs(s *signature) []entry {
	out := t.fields(s.kwargs)
	switch s.kind {
	case kindGroup, kindChain:
		out = append(out, entry{"tasks", t.signatures(s.tasks)})
	case kindChord:
		if !slices.ContainsFunc(s.kwargs, func(f field) bool { return f.name == "kwargs" }) { // Celery asks for it
			out = append(out, entry{"kwargs", func(v codec.Value) { writeEntries(v, nil) }})
		}
		out = append(out,
			entry{"header", func(v codec.Value) { t.signature(v, s.header) }},
			entry{"body", func(v codec.Value) { t.signature(v, s.body) }})
	}
	return out
}

func (t *transcoder) options(s *signature) []entry {
	out := t.fields(s.options)
	text := func(name, value string) {
		if value != "" {
			out = append(out, entry{name, func(v codec.Value) { v.String(value) }})
		}
	}
	text("task_id", s.id)
	text("reply_to", s.replyTo)
	text("group_id", s.group)
	if s.index != noIndex {
		out = append(out, entry{"group_index", func(v codec.Value) { v.Int(int64(s.index), 64) }})
	}
	out = append(out, t.links(s.links, "link", s.errlinks, "link_error", s.chain)...)
	if s.chord != nil {
		out = append(out, entry{"chord", func(v codec.Value) { t.signature(v, s.chord) }})
	}
	return out
}

// links are the lists of signatures in the options of another one, or in an embed, under the names that they have there.
func (t *transcoder) links(links []*signature, link string, errlinks []*signature, linkError string, chain []*signature) []entry {
	var out []entry
	for _, l := range []struct {
		name string
		list []*signature
	}{{link, links}, {linkError, errlinks}, {"chain", chain}} {
		if len(l.list) > 0 {
			out = append(out, entry{l.name, t.signatures(l.list)})
		}
	}
	return out
}
