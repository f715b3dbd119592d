package codec

import (
	"bytes"
	"strconv"
	"strings"
)

// envelope is a map of kombu's for what JSON has no type for:
//
//	{"__type__": "datetime", "__value__": "2026-08-20T01:02:03+00:00"}
type envelope struct {
	// kind is datetime, date, time, decimal, uuid, bytes or base64.
	kind string
	// text is the value as text; that of bytes and base64 is the data itself.
	text string
}

var envelopeKey = []byte(`"__type__"`)

func (e envelope) bytes() []byte { return []byte(e.text) }

// enveloped passes the map at pos, which must be an envelope with what the
// given kind of value can be made from.
func (r *jsonReader) enveloped(want string) envelope {
	e, end, ok := r.readEnvelope()
	r.pos = end
	switch {
	case !ok:
		r.want(want, kindMap)
	case want == "time" && e.kind == "time":
		r.problem("want a date with a time, got a time of day")
	case want == "bytes" && e.kind != "bytes" && e.kind != "base64",
		want == "time" && e.kind != "datetime" && e.kind != "date":
		r.problem("want " + want + ", got " + e.kind)
	default:
		return e
	}
	return envelope{}
}

// decimal reads the map at pos as the envelope of a Python Decimal.
func (r *jsonReader) decimal(bits int) float64 {
	e, end, ok := r.readEnvelope()
	r.pos = end
	if !ok || e.kind != "decimal" {
		r.want(floatName(bits), kindMap)
		return 0
	}
	x, err := strconv.ParseFloat(e.text, bits)
	if err != nil {
		r.want(floatName(bits), kindString)
	}
	return x
}

// readEnvelope reads the map at pos and tells where it ends. ok is false if it
// is not an envelope; that shows early, so that nested maps are not gone over
// again and again.
func (r *jsonReader) readEnvelope() (e envelope, end int, ok bool) {
	s := scanner{text: r.text}
	var value []byte
	n := 0
	at, done := s.first(r.pos, '}')
	for ; !done; n++ {
		keyEnd, start := s.key(at)
		key := string(r.text[at:keyEnd])
		switch r.kindAt(start) {
		case kindString:
			at = s.skip(start, 0)
		case kindMap:
			at = r.uuidEnd(start)
		default:
			return e, 0, false
		}
		switch {
		case n > 1 || at < 0:
			return e, 0, false
		case key == `"__type__"` && r.kindAt(start) == kindString:
			e.kind = string(r.unquote(r.text[start:at]))
		case key == `"__value__"`:
			value = r.text[start:at]
		default:
			return e, 0, false
		}
		at, done = s.more(at, '}')
	}
	return e, at, n == 2 && value != nil && e.open(r, value)
}

// open sets the text of e from its value.
func (e *envelope) open(r *jsonReader, value []byte) (ok bool) {
	if value[0] == '{' {
		e.text, ok = dashed(value)
		return ok && e.kind == "uuid"
	}
	text := r.unquote(value)
	switch e.kind {
	case "datetime", "date", "time", "decimal", "bytes":
		ok = true
	case "base64":
		text, ok = decodeBase64(text)
	}
	e.text = string(text)
	return ok
}

// uuidEnd returns where {"hex": "…"} at i ends, or -1 if that isn't there.
func (r *jsonReader) uuidEnd(i int) int {
	s := scanner{text: r.text}
	at, done := s.first(i, '}')
	if done {
		return -1
	}
	keyEnd, value := s.key(at)
	if string(r.text[at:keyEnd]) != `"hex"` || r.kindAt(value) != kindString {
		return -1
	}
	if at, done = s.more(s.skip(value, 0), '}'); !done {
		return -1
	}
	return at
}

// dashed turns {"hex": "0123456789abcdef0123456789abcdef"} into the text of
// that UUID.
func dashed(object []byte) (text string, ok bool) {
	quotes := bytes.Split(object, []byte{'"'})
	h := string(quotes[3])
	if len(h) != 32 || strings.Trim(h, "0123456789abcdefABCDEF") != "" {
		return "", false
	}
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:], true
}

// appendPlain appends the value at pos with the text that encoding/json wants
// in place of each envelope, and passes it.
func (r *jsonReader) appendPlain(dst []byte) []byte {
	r.separate()
	end := byte(']')
	switch r.kindAt(r.pos) {
	case kindMap:
		if e, at, ok := r.readEnvelope(); ok {
			r.pos = at
			return e.appendJSON(dst)
		}
		end = '}'
	case kindList:
	default:
		return append(dst, r.take()...)
	}
	s := scanner{text: r.text}
	dst = append(dst, r.text[r.pos])
	at, done := s.first(r.pos, end)
	for !done {
		r.pos = at
		if end == '}' {
			dst = append(append(dst, r.take()...), ':')
		}
		dst = r.appendPlain(dst)
		if at, done = s.more(r.pos, end); !done {
			dst = append(dst, ',')
		}
	}
	r.pos = at
	return append(dst, end)
}

// appendJSON appends the envelope's value as encoding/json reads it.
func (e envelope) appendJSON(dst []byte) []byte {
	w := jsonWriter{buf: dst}
	switch t, ok := parseTime([]byte(e.text)); {
	case e.kind == "bytes" || e.kind == "base64":
		w.Bytes([]byte(e.text))
	case ok && (e.kind == "datetime" || e.kind == "date"):
		w.Time(t)
	default:
		w.String(e.text)
	}
	return w.buf
}

// value returns what the envelope stands for in a tree.
func (e envelope) value() any {
	switch e.kind {
	case "bytes", "base64":
		return []byte(e.text)
	case "datetime", "date":
		if t, ok := parseTime([]byte(e.text)); ok {
			return t
		}
	}
	return e.text
}
