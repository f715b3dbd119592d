package task

import (
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
)

// embed is what a message says of what follows its task: the third part of a body.
type embed struct {
	// callbacks are sent after success, with the result; errbacks after failure, with the id. chain are the steps that
	// follow, the next one last. chord is what follows when all tasks of the group have ended.
	callbacks, errbacks, chain []*signature
	chord                      *signature
}

// emptyEmbed is how long an embed is, in bytes, that surely has nothing in it.
const emptyEmbed = 2

// nothing follows a task whose message has an empty embed.
var nothing embed

// readEmbed reads the third part of a body, or the body of protocol 1, which has these keys too.
func readEmbed(s codec.Serializer, raw []byte) (*embed, error) {
	if len(raw) <= emptyEmbed {
		return &nothing, nil
	}
	e := &embed{}
	parts := map[string][]byte{}
	err := s.DecodeValue(raw, func(v codec.Value) {
		eachField(v, func(name string) {
			switch name {
			case "callbacks", "errbacks", "chain", "chord":
				if v.Present(true) {
					parts[name] = v.Raw(nil)
				}
			default:
				v.Raw(nil)
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	r := &signatureReader{serializer: s}
	list := func(name string) (out []*signature) {
		if raw, ok := parts[name]; ok && err == nil {
			if out, err = r.list(raw, 0); err != nil {
				err = fmt.Errorf("embed: %s: %w", name, err)
			}
		}
		return out
	}
	e.callbacks, e.errbacks, e.chain = list("callbacks"), list("errbacks"), list("chain")
	if chord := list("chord"); len(chord) > 0 {
		e.chord = chord[0]
	}
	return e, err
}

// write writes the embed, for a message of another serializer perhaps.
func (e *embed) write(v codec.Value, t *transcoder) {
	entries := t.links(e.callbacks, "callbacks", e.errbacks, "errbacks", e.chain)
	if e.chord != nil {
		entries = append(entries, entry{"chord", func(v codec.Value) { t.signature(v, e.chord) }})
	}
	writeEntries(v, entries)
}

// encode is the embed in the serializer that it was read with.
func (e *embed) encode(s codec.Serializer) ([]byte, error) {
	return s.EncodeValue(func(v codec.Value) { e.write(v, &transcoder{from: s, to: s}) })
}
