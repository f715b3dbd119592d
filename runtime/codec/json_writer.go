package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// jsonWriter is the Fields and the Value that write JSON.
type jsonWriter struct {
	failure
	nesting
	buf   buffer
	enc   *json.Encoder // to buf, for users' types
	count int           // of fields
}

func newJSONWriter() *jsonWriter {
	w := new(jsonWriter)
	w.enc = json.NewEncoder(&w.buf)
	w.enc.SetEscapeHTML(false)
	return w
}

// fields writes what visit visits as a map.
func (w *jsonWriter) fields(visit func(Fields)) {
	w.buf = append(w.buf, '{')
	w.count = 0
	visit(w)
	w.buf = append(w.buf, '}')
}

// JSONText returns what visit visits, one value, as JSON text.
func JSONText(visit func(Value)) ([]byte, error) {
	w := newJSONWriter()
	w.result, w.name = true, "value"
	visit(w)
	return w.finish()
}

func (w *jsonWriter) finish() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	return w.buf.take(), nil
}

func (w *jsonWriter) Field(name string) Value {
	if w.err != nil {
		return w
	}
	if w.count > 0 {
		w.buf = append(w.buf, ',')
	}
	w.count++
	w.name = name
	w.quote(name)
	w.buf = append(w.buf, ':')
	return w
}

// separate writes what stands between the last value and this one, and says
// whether this one is a map's key.
func (w *jsonWriter) separate() (key bool) {
	if len(w.levels) == 0 {
		return false
	}
	key = w.next()
	l := w.levels[len(w.levels)-1]
	switch {
	case l.isMap && !key:
		w.buf = append(w.buf, ':')
	case l.seen > 1:
		w.buf = append(w.buf, ',')
	}
	return key
}

// begin says whether a value may be written here.
func (w *jsonWriter) begin() bool {
	if w.separate() {
		w.problem(badKey)
	}
	return w.err == nil
}

func (w *jsonWriter) Bool(b bool) bool {
	if w.begin() {
		w.buf = strconv.AppendBool(w.buf, b)
	}
	return b
}

func (w *jsonWriter) Int(n int64, _ int) int64 {
	if w.separate() {
		w.buf = append(w.buf, '"')
		w.buf = strconv.AppendInt(w.buf, n, 10)
		w.buf = append(w.buf, '"')
	} else {
		w.buf = strconv.AppendInt(w.buf, n, 10)
	}
	return n
}

func (w *jsonWriter) Uint(n uint64, _ int) uint64 {
	if w.separate() {
		w.buf = append(w.buf, '"')
		w.buf = strconv.AppendUint(w.buf, n, 10)
		w.buf = append(w.buf, '"')
	} else {
		w.buf = strconv.AppendUint(w.buf, n, 10)
	}
	return n
}

func (w *jsonWriter) Float(x float64, bits int) float64 {
	if w.begin() {
		w.buf = appendFloat(w.buf, x, bits)
	}
	return x
}

// appendFloat appends a float so that Python reads a float, not an int, and
// reads what Python itself writes for what JSON has no number for.
func appendFloat(dst []byte, x float64, bits int) []byte {
	switch {
	case math.IsNaN(x):
		return append(dst, "NaN"...)
	case math.IsInf(x, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(x, -1):
		return append(dst, "-Infinity"...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, x, 'g', -1, bits)
	if bytes.ContainsAny(dst[start:], ".e") {
		return dst
	}
	return append(dst, ".0"...)
}

func (w *jsonWriter) String(s string) string {
	w.separate()
	w.quote(s)
	return s
}

// quote writes a string. One that isn't UTF-8 is an error: what JSON could
// carry in its place would be another string.
func (w *jsonWriter) quote(s string) {
	w.buf = append(w.buf, '"')
	done := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n - 1
				continue
			}
			w.problem("a string that is not UTF-8 can't travel as JSON; use []byte or another serializer")
			return
		case c < 0x20 || c == '"' || c == '\\':
			w.buf = append(w.buf, s[done:i]...)
			w.buf = appendEscape(w.buf, c)
			done = i + 1
		}
	}
	w.buf = append(w.buf, s[done:]...)
	w.buf = append(w.buf, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}

func (w *jsonWriter) Bytes(b []byte) []byte {
	if w.begin() {
		w.buf = append(w.buf, '"')
		w.buf = base64.StdEncoding.AppendEncode(w.buf, b)
		w.buf = append(w.buf, '"')
	}
	return b
}

func (w *jsonWriter) Time(t time.Time) time.Time {
	if w.begin() {
		w.buf = append(w.buf, '"')
		var ok bool
		if w.buf, ok = appendTime(w.buf, t); !ok {
			w.problem(badYear)
		}
		w.buf = append(w.buf, '"')
	}
	return t
}

func (w *jsonWriter) Duration(d time.Duration) time.Duration {
	if w.begin() {
		if seconds, exact := durationSeconds(d); exact {
			w.buf = appendFloat(w.buf, seconds, 64)
		} else {
			w.quote(d.String())
		}
	}
	return d
}

func (w *jsonWriter) JSON(j json.RawMessage) json.RawMessage {
	if w.begin() {
		s := scanner{text: j}
		switch {
		case j == nil:
			w.buf = append(w.buf, "null"...)
		case s.whole(2+len(w.levels)) != nil:
			w.problem(badJSON)
		default:
			w.buf = append(w.buf, j...)
		}
	}
	return j
}

func (w *jsonWriter) Raw(raw []byte) []byte {
	if w.separate(); w.err == nil {
		w.buf = append(w.buf, raw...)
	}
	return raw
}

func (w *jsonWriter) Any(p any) {
	if !w.begin() {
		return
	}
	if err := w.encode(p); err != nil {
		w.problem(err.Error())
	}
}

func (w *jsonWriter) encode(p any) error {
	if err := checkDepth(p); err != nil {
		return err
	}
	start := len(w.buf)
	err := guard(func() error { return w.enc.Encode(p) })
	if _, unsupported := errors.AsType[*json.UnsupportedValueError](err); unsupported { // NaN, which Python reads
		text, err := JSONText(func(v Value) { visitReflected(v.(*jsonWriter), p) }) //nolint:forcetypeassert // made there
		w.buf = append(w.buf[:start], text...)
		return err
	}
	if err != nil {
		return cannotEncode(p, err)
	}
	w.buf = w.buf[:len(w.buf)-1] // the encoder ends with a newline
	if s := (scanner{text: w.buf[start:]}); s.whole(2+len(w.levels)) != nil {
		return errTooDeep
	}
	return nil
}

func (w *jsonWriter) Present(set bool) bool {
	if !set && w.begin() {
		w.buf = append(w.buf, "null"...)
	}
	return set
}

func (w *jsonWriter) List(n int) int {
	w.begin()
	if n < 0 {
		w.buf = append(w.buf, "[]"...)
		return n
	}
	w.buf = append(w.buf, '[')
	w.open(false)
	return n
}

func (w *jsonWriter) Map(n int) int {
	w.begin()
	if n < 0 {
		w.buf = append(w.buf, "{}"...)
		return n
	}
	w.buf = append(w.buf, '{')
	w.open(true)
	return n
}

func (w *jsonWriter) End() {
	if len(w.levels) == 0 {
		return
	}
	end := byte(']')
	if w.levels[len(w.levels)-1].isMap {
		end = '}'
	}
	w.close()
	w.buf = append(w.buf, end)
}

func (w *jsonWriter) Grow(int) bool { return w.err == nil }
