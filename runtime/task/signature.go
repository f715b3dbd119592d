package task

import (
	"errors"
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
)

// signature is a call that has not been sent, or several: Celery's map of that name. The values in it are as
// the serializer of the message that it came in has encoded them, and go on as they are.
type signature struct {
	task      string
	args      [][]byte
	kwargs    []field
	immutable bool
	kind      string

	// id, replyTo, group and index are the options task_id, reply_to, group_id and group_index; noIndex where there is none.
	id, replyTo, group string
	index              int
	// links, errlinks, chain and chord are the options of these names that are signatures. The next of a chain is its last.
	links, errlinks, chain []*signature
	chord                  *signature
	// options are all others.
	options []field
	// delivery is what these say of how to send a call.
	delivery delivery

	// tasks are those of a group or chain, header and body those of a chord.
	tasks        []*signature
	header, body *signature
}

// field is one entry of a map.
type field struct {
	name string
	raw  []byte
}

// Kinds of signatures; every other one is a plain call.
const (
	kindGroup = "group"
	kindChain = "chain"
	kindChord = "chord"
)

// noIndex is the place of a signature that is in no group.
const noIndex = -1

// Bounds on what a message brings along, besides those of the codec: the number of signatures, how deep they stand in each
// other, and the sum of their bytes, where those of one in another count twice.
const (
	maxSignatures     = 10_000
	maxSignatureDepth = 32
	maxSignatureBytes = 64 << 20
)

// signatureReader reads the signatures of one message.
type signatureReader struct {
	serializer  codec.Serializer
	read, bytes int
}

// one reads a signature, and all that are in it.
func (r *signatureReader) one(raw []byte, depth int) (*signature, error) {
	if r.read++; r.read > maxSignatures {
		return nil, fmt.Errorf("more than %d signatures", maxSignatures)
	}
	if r.bytes += len(raw); r.bytes > maxSignatureBytes {
		return nil, fmt.Errorf("signatures of more than %d bytes, those in each other counted for each", maxSignatureBytes)
	}
	if depth > maxSignatureDepth {
		return nil, fmt.Errorf("signatures in signatures, more than %d deep", maxSignatureDepth)
	}
	s := &signature{index: noIndex}
	var kwargs, options []field
	err := r.serializer.DecodeValue(raw, func(v codec.Value) {
		eachField(v, func(name string) {
			switch name {
			case "task":
				s.task = v.String("")
			case "args":
				s.args = rawList(v)
			case "kwargs":
				kwargs = rawMap(v)
			case "options":
				options = rawMap(v)
			case "subtask_type":
				s.kind = optionalText(v)
			case "immutable":
				s.immutable = v.Present(true) && v.Bool(false)
			default:
				v.Raw(nil)
			}
		})
	})
	if err == nil {
		err = checkName(s.task)
	}
	if err != nil {
		return nil, fmt.Errorf("a signature: %w", err)
	}
	if err := r.options(s, options, depth); err != nil {
		return nil, fmt.Errorf("the signature of %s: option %w", s.task, err)
	}
	if err := r.kwargs(s, kwargs, depth); err != nil {
		return nil, fmt.Errorf("the signature of %s: %w", s.task, err)
	}
	return s, nil
}

// options tells apart the options that are signatures, and those that say how to send.
func (r *signatureReader) options(s *signature, options []field, depth int) (err error) {
	for _, o := range options {
		switch o.name {
		case "link":
			s.links, err = r.list(o.raw, depth)
		case "link_error":
			s.errlinks, err = r.list(o.raw, depth)
		case "chain":
			s.chain, err = r.list(o.raw, depth)
		case "chord":
			s.chord, err = r.optional(o.raw, depth)
		default:
			err = r.plain(s, o)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	return nil
}

// plain takes an option that is no signature.
func (r *signatureReader) plain(s *signature, o field) error {
	value, err := r.serializer.DecodeTree(o.raw)
	if err != nil {
		return err
	}
	switch o.name {
	case "task_id":
		s.id, err = nameOf(value)
	case "reply_to":
		s.replyTo, err = nameOf(value)
	case "group_id":
		s.group, err = nameOf(value)
	case "group_index":
		s.index, err = indexOf(value)
	default:
		s.options = append(s.options, o)
		err = s.delivery.set(o.name, value)
	}
	return err
}

// kwargs tells apart what a group, a chain or a chord is made of.
func (r *signatureReader) kwargs(s *signature, kwargs []field, depth int) (err error) {
	for _, k := range kwargs {
		switch {
		case (s.kind == kindGroup || s.kind == kindChain) && k.name == "tasks":
			s.tasks, err = r.list(k.raw, depth)
		case s.kind == kindChord && k.name == "header":
			s.header, err = r.head(k.raw, depth)
		case s.kind == kindChord && k.name == "body":
			s.body, err = r.optional(k.raw, depth)
		default:
			s.kwargs = append(s.kwargs, k)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	switch {
	case s.kind == kindChain && len(s.tasks) == 0:
		return errors.New("a chain of nothing")
	case s.kind == kindChord && (s.header == nil || s.body == nil):
		return errors.New("a chord without header or body")
	}
	return nil
}

// head reads the header of a chord: a group, or a list of signatures.
func (r *signatureReader) head(raw []byte, depth int) (*signature, error) {
	tasks, err := r.list(raw, depth)
	if err != nil || len(tasks) == 1 && tasks[0].kind == kindGroup {
		return first(tasks), err
	}
	return groupOf(tasks), nil
}

// list reads a list of signatures, or one, or null.
func (r *signatureReader) list(raw []byte, depth int) ([]*signature, error) {
	var items [][]byte
	if r.serializer.DecodeValue(raw, func(v codec.Value) { items = rawList(v) }) != nil {
		items = [][]byte{raw}
	}
	out := make([]*signature, 0, min(len(items), maxSignatures))
	for _, item := range items {
		s, err := r.one(item, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// optional reads a signature or null.
func (r *signatureReader) optional(raw []byte, depth int) (*signature, error) {
	list, err := r.list(raw, depth)
	if len(list) > 1 {
		err = errors.New("want one signature, got a list")
	}
	return first(list), err
}

func first(list []*signature) *signature {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// groupOf and chainOf put signatures together as Celery's classes do.
func groupOf(tasks []*signature) *signature {
	return &signature{task: "celery.group", kind: kindGroup, tasks: tasks, index: noIndex}
}

func chainOf(tasks []*signature) *signature {
	return &signature{task: "celery.chain", kind: kindChain, tasks: tasks, index: noIndex}
}

func chordOf(header, body *signature) *signature {
	return &signature{task: "celery.chord", kind: kindChord, header: header, body: body, index: noIndex}
}

// end is the signature whose result is that of the whole: of a chain its last, of a chord its body.
func (s *signature) end() *signature {
	switch s.kind {
	case kindChain:
		return s.tasks[len(s.tasks)-1].end()
	case kindChord:
		return s.body.end()
	}
	return s
}

// size is how many ends there are to it, as a part of a chord.
func (s *signature) size() int {
	s = s.end()
	if s.kind != kindGroup {
		return 1
	}
	n := 0
	for _, member := range s.tasks {
		n += member.size()
	}
	return n
}

// eachField calls visit for each entry of the map that a reader stands before, to read its value.
func eachField(v codec.Value, visit func(name string)) {
	n := v.Map(0)
	for i := 0; i < n && v.Grow(0); i++ {
		visit(v.String(""))
	}
	if n >= 0 {
		v.End()
	}
}

func rawList(v codec.Value) (out [][]byte) {
	n := v.List(0)
	for i := 0; i < n && v.Grow(rawSize); i++ {
		out = append(out, v.Raw(nil))
	}
	if n >= 0 {
		v.End()
	}
	return out
}

func rawMap(v codec.Value) (out []field) {
	eachField(v, func(name string) {
		if v.Grow(rawSize) {
			out = append(out, field{name, v.Raw(nil)})
		}
	})
	return out
}

// rawSize is about what an entry of a list or map takes.
const rawSize = 64

func optionalText(v codec.Value) string {
	if !v.Present(true) {
		return ""
	}
	return v.String("")
}

// nameOf reads an id or the name of a queue; null is none.
func nameOf(value any) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", nil
	case string:
		if value == "" {
			return "", nil
		}
		return value, checkName(value)
	}
	return "", fmt.Errorf("want text, got %T", value)
}

func indexOf(value any) (int, error) {
	if value == nil {
		return noIndex, nil
	}
	n, err := numberHeader(value)
	if err == nil && !(n >= 0 && n <= maxIndex) {
		err = fmt.Errorf("want a number from 0 to %d", maxIndex)
	}
	return int(n), err
}

// maxIndex is what a header can carry.
const maxIndex = 1<<31 - 1
