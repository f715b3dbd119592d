package codec

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
)

// msgpackWriter is the Fields and the Value that write msgpack.
type msgpackWriter struct {
	failure
	nesting
	buf   buffer
	enc   *msgpack.Encoder // to buf
	count int              // of fields
	text  []byte           // of a time or a number, until it is written
	user  anyVisitor
}

func newMsgpackWriter(user anyVisitor) *msgpackWriter {
	w := &msgpackWriter{user: user, text: make([]byte, 0, 64)}
	w.enc = msgpack.NewEncoder(&w.buf)
	return w
}

// fields writes what visit visits as a map.
func (w *msgpackWriter) fields(visit func(Fields)) {
	start := len(w.buf)
	w.buf = append(w.buf, 0x80)
	w.count = 0
	visit(w)
	switch n := w.count; {
	case n <= 15:
		w.buf[start] = 0x80 | byte(n)
	case n <= 0xffff:
		w.buf[start] = 0xde
		w.buf = slices.Insert(w.buf, start+1, byte(n>>8), byte(n))
	default:
		w.buf[start] = 0xdf
		w.buf = slices.Insert(w.buf, start+1, binary.BigEndian.AppendUint32(nil, uint32(n))...)
	}
}

// result returns what was written.
func (w *msgpackWriter) result() ([]byte, error) {
	if w.err != nil {
		return nil, w.err
	}
	return w.buf.take(), nil
}

func (w *msgpackWriter) Field(name string) Value {
	if w.err != nil {
		return w
	}
	w.name = name
	w.count++
	w.check(w.enc.EncodeString(name))
	return w
}

// check keeps an error of the encoder; its writer, our buffer, makes none.
func (w *msgpackWriter) check(err error) {
	if err != nil {
		w.problem(err.Error())
	}
}

// begin says whether a value may be written here.
func (w *msgpackWriter) begin() bool {
	if w.next() {
		w.problem(badKey)
	}
	return w.err == nil
}

func (w *msgpackWriter) Bool(b bool) bool {
	if w.begin() {
		w.check(w.enc.EncodeBool(b))
	}
	return b
}

func (w *msgpackWriter) Int(n int64, _ int) int64 {
	switch key := w.next(); {
	case w.err != nil:
	case key: // Python's msgpack refuses numbers as keys.
		w.text = strconv.AppendInt(w.text[:0], n, 10)
		w.writeText()
	default:
		w.check(w.enc.EncodeInt(n))
	}
	return n
}

func (w *msgpackWriter) Uint(n uint64, _ int) uint64 {
	switch key := w.next(); {
	case w.err != nil:
	case key:
		w.text = strconv.AppendUint(w.text[:0], n, 10)
		w.writeText()
	default:
		w.check(w.enc.EncodeUint(n))
	}
	return n
}

func (w *msgpackWriter) Float(x float64, bits int) float64 {
	switch {
	case !w.begin():
	case bits == 32:
		w.check(w.enc.EncodeFloat32(float32(x)))
	default:
		w.check(w.enc.EncodeFloat64(x))
	}
	return x
}

func (w *msgpackWriter) String(s string) string {
	w.next()
	switch {
	case w.err != nil:
	case utf8.ValidString(s):
		w.check(w.enc.EncodeString(s))
	default: // Python can't decode such a str: it gets bytes.
		w.check(w.enc.EncodeBytes(unsafe.Slice(unsafe.StringData(s), len(s))))
	}
	return s
}

func (w *msgpackWriter) Bytes(b []byte) []byte {
	if w.begin() {
		if b == nil {
			w.buf = append(w.buf, 0xc4, 0)
		} else {
			w.check(w.enc.EncodeBytes(b))
		}
	}
	return b
}

func (w *msgpackWriter) Time(t time.Time) time.Time {
	if w.begin() {
		var ok bool
		if w.text, ok = appendTime(w.text[:0], t); ok {
			w.writeText()
		} else {
			w.problem(badYear)
		}
	}
	return t
}

const badYear = "the year of the time is not within 1 to 9999"

// writeText writes the text of a number or a time as a string.
func (w *msgpackWriter) writeText() {
	w.check(w.enc.EncodeString(unsafe.String(unsafe.SliceData(w.text), len(w.text))))
}

func (w *msgpackWriter) Duration(d time.Duration) time.Duration {
	if w.begin() {
		if seconds, exact := durationSeconds(d); exact {
			w.check(w.enc.EncodeFloat64(seconds))
		} else {
			w.check(w.enc.EncodeString(d.String()))
		}
	}
	return d
}

func (w *msgpackWriter) JSON(j json.RawMessage) json.RawMessage {
	switch {
	case !w.begin():
	case j == nil:
		w.check(w.enc.EncodeNil())
	case !validJSON(j):
		w.problem(badJSON)
	default:
		w.check(w.enc.EncodeString(unsafe.String(unsafe.SliceData(j), len(j))))
	}
	return j
}

const badJSON = "not valid JSON"

func (w *msgpackWriter) Present(set bool) bool {
	if !set && w.begin() {
		w.check(w.enc.EncodeNil())
	}
	return set
}

func (w *msgpackWriter) List(n int) int {
	if w.begin() {
		w.check(w.enc.EncodeArrayLen(max(0, n)))
	}
	if n >= 0 && !w.open(false) {
		w.problem(errTooDeep.Error())
	}
	return n
}

func (w *msgpackWriter) Map(n int) int {
	if w.begin() {
		w.check(w.enc.EncodeMapLen(max(0, n)))
	}
	if n >= 0 && !w.open(true) {
		w.problem(errTooDeep.Error())
	}
	return n
}

func (w *msgpackWriter) End() { w.close() }

func (w *msgpackWriter) Raw(raw []byte) []byte {
	if w.next(); w.err == nil {
		w.buf = append(w.buf, raw...)
	}
	return raw
}

func (w *msgpackWriter) Grow(int) bool { return w.err == nil }
