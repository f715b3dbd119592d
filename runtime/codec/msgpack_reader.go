package codec

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// msgpackReader is the Fields and the Value that read msgpack. It looks at
// the head of each value in body, which a [walker] has checked, and leaves its
// decoding to the library's Decoder.
type msgpackReader struct {
	failure
	nesting
	body []byte
	src  bytes.Reader // over body
	dec  *msgpack.Decoder
	args arguments
	room allowance
	user anyVisitor
}

func newMsgpackReader(user anyVisitor) *msgpackReader {
	r := &msgpackReader{user: user}
	r.dec = msgpack.NewDecoder(&r.src)
	return r
}

func (r *msgpackReader) Field(name string) Value {
	if r.err != nil {
		return r
	}
	r.name = name
	if r.result {
		at, ok := r.args.named(name)
		if !ok {
			return mute{}
		}
		r.seek(at)
		return r
	}
	at, problem := r.args.find(name)
	if problem != "" {
		r.problem(problem)
		return r
	}
	r.seek(at)
	return r
}

func (r *msgpackReader) pos() int { return len(r.body) - r.src.Len() }

func (r *msgpackReader) seek(at int) {
	_, err := r.src.Seek(int64(at), io.SeekStart)
	r.check(err)
}

// check keeps an error of the decoder; the walk leaves it none to find.
func (r *msgpackReader) check(err error) {
	if err != nil {
		r.problem("cannot be decoded")
	}
}

// begin returns the head of the next value; kindInvalid after an error.
func (r *msgpackReader) begin() (t token, key bool) {
	key = r.next()
	if r.err != nil {
		return token{}, key
	}
	return readToken(r.body, r.pos()), key
}

func (r *msgpackReader) Bool(bool) bool {
	t, _ := r.begin()
	switch {
	case r.err != nil:
	case t.kind != kindBool:
		r.want("bool", t.kind)
	default:
		b, err := r.dec.DecodeBool()
		r.check(err)
		return b
	}
	return false
}

func (r *msgpackReader) Int(_ int64, bits int) int64 {
	t, key := r.begin()
	n := int64(0)
	fits := true
	switch {
	case r.err != nil:
		return 0
	case t.kind == kindInt:
		n = r.decodeInt()
	case t.kind == kindUint:
		u := r.decodeUint()
		n, fits = int64(u), u <= math.MaxInt64
	case t.kind == kindFloat:
		n, fits = wholeInt(r.decodeFloat())
		if !fits {
			r.want(intName(bits), kindFloat)
		}
	case t.kind == kindString && key:
		var ok bool
		if n, ok = parseInt(r.contents(t)); !ok {
			r.want(intName(bits), kindString)
		}
	default:
		r.want(intName(bits), t.kind)
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(intName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *msgpackReader) Uint(_ uint64, bits int) uint64 {
	t, key := r.begin()
	n := uint64(0)
	fits := true
	switch {
	case r.err != nil:
		return 0
	case t.kind == kindUint:
		n = r.decodeUint()
	case t.kind == kindInt:
		i := r.decodeInt()
		n, fits = uint64(i), i >= 0
	case t.kind == kindFloat:
		var i int64
		if i, fits = wholeInt(r.decodeFloat()); !fits {
			r.want(uintName(bits), kindFloat)
		}
		n, fits = uint64(i), i >= 0
	case t.kind == kindString && key:
		var ok bool
		if n, ok = parseUint(r.contents(t)); !ok {
			r.want(uintName(bits), kindString)
		}
	default:
		r.want(uintName(bits), t.kind)
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(uintName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *msgpackReader) decodeInt() int64 {
	n, err := r.dec.DecodeInt64()
	r.check(err)
	return n
}

func (r *msgpackReader) decodeUint() uint64 {
	n, err := r.dec.DecodeUint64()
	r.check(err)
	return n
}

func (r *msgpackReader) decodeFloat() float64 {
	x, err := r.dec.DecodeFloat64()
	r.check(err)
	return x
}

// contents returns the bytes of a string or bytes value, and passes it.
func (r *msgpackReader) contents(t token) []byte {
	end := t.at + t.n
	r.seek(end)
	return r.body[t.at:end:end]
}

func (r *msgpackReader) Float(_ float64, bits int) float64 {
	t, _ := r.begin()
	x := 0.0
	switch {
	case r.err != nil:
	case t.kind == kindFloat:
		x = r.decodeFloat()
	case t.kind == kindInt:
		var ok bool
		if x, ok = exactFloat(r.decodeInt()); !ok {
			r.inexact(floatName(bits))
		}
	case t.kind == kindUint:
		var ok bool
		if x, ok = exactFloatUint(r.decodeUint()); !ok {
			r.inexact(floatName(bits))
		}
	default:
		r.want(floatName(bits), t.kind)
	}
	return r.fitFloat(x, bits)
}

// fitFloat refuses what is infinite only as a float32.
func (f *failure) fitFloat(x float64, bits int) float64 {
	if bits == 32 && math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
		f.tooBig("float32")
	}
	if f.err != nil {
		return 0
	}
	return x
}

func (r *msgpackReader) String(string) string {
	t, key := r.begin()
	switch {
	case r.err != nil:
	case t.kind == kindString || t.kind == kindBytes:
		s, err := r.dec.DecodeString()
		r.check(err)
		return s
	case key && t.kind == kindInt:
		return strconv.FormatInt(r.decodeInt(), 10)
	case key && t.kind == kindUint:
		return strconv.FormatUint(r.decodeUint(), 10)
	default:
		r.want("string", t.kind)
	}
	return ""
}

func (r *msgpackReader) Bytes([]byte) []byte {
	t, _ := r.begin()
	switch {
	case r.err != nil:
	case t.kind == kindBytes || t.kind == kindString || t.kind == kindNull:
		b, err := r.dec.DecodeBytes()
		r.check(err)
		return b
	default:
		r.want("bytes", t.kind)
	}
	return nil
}

func (r *msgpackReader) Time(time.Time) time.Time {
	switch t, _ := r.begin(); {
	case r.err != nil:
	case t.kind == kindString:
		if at, ok := parseTime(r.contents(t)); ok {
			return at
		}
		r.problem(badTime)
	case t.kind == kindTime:
		if at, ok := timestamp(r.contents(t)); ok {
			return at
		}
		r.problem(badTime)
	default:
		r.want("time", t.kind)
	}
	return time.Time{}
}

const badTime = "want a time such as 2006-01-02T15:04:05.999999+00:00, got another text"

func (r *msgpackReader) Duration(time.Duration) time.Duration {
	t, _ := r.begin()
	switch {
	case r.err != nil:
	case t.kind == kindString:
		return r.parseDuration(r.contents(t))
	case t.kind == kindFloat:
		return r.seconds(r.decodeFloat())
	case t.kind == kindInt:
		return r.seconds(float64(r.decodeInt()))
	case t.kind == kindUint:
		return r.seconds(float64(r.decodeUint()))
	default:
		r.want("seconds", t.kind)
	}
	return 0
}

// seconds turns a number of seconds into a Duration.
func (f *failure) seconds(x float64) time.Duration {
	d, ok := secondsDuration(x)
	if !ok {
		f.tooBig("seconds of up to 292 years")
	}
	if f.err != nil {
		return 0
	}
	return d
}

// parseDuration reads the text form of a Duration.
func (f *failure) parseDuration(text []byte) time.Duration {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		f.problem("want seconds or a duration such as 1h2m3s, got another text")
	}
	return d
}

func (r *msgpackReader) JSON(json.RawMessage) json.RawMessage {
	switch t, _ := r.begin(); {
	case r.err != nil:
	case t.kind == kindNull:
		r.seek(t.at)
	case t.kind != kindString && t.kind != kindBytes:
		return r.jsonOf(r.readTree())
	default:
		j := r.contents(t)
		if validJSON(j) {
			return bytes.Clone(j)
		}
		r.problem("want JSON text, got another text")
	}
	return nil
}

// jsonOf is the JSON of a value that came as itself, not as JSON text: others know no such thing.
func (f *failure) jsonOf(tree any) json.RawMessage {
	text, err := appendTree(nil, tree)
	if err != nil {
		f.problem("it can't be JSON")
		return nil
	}
	return text
}

func (r *msgpackReader) Present(bool) bool {
	if r.err != nil {
		return false
	}
	t := readToken(r.body, r.pos())
	if t.kind != kindNull {
		return true
	}
	r.next()
	r.seek(t.at)
	return false
}

func (r *msgpackReader) List(int) int { return r.container(kindList) }

func (r *msgpackReader) Map(int) int { return r.container(kindMap) }

func (r *msgpackReader) container(want kind) int {
	t, _ := r.begin()
	switch {
	case r.err != nil:
	case t.kind == kindNull:
		r.seek(t.at)
	case t.kind != want:
		r.want(want.String(), t.kind)
	default:
		r.seek(t.at)
		r.open(want == kindMap)
		return t.n
	}
	return -1
}

func (r *msgpackReader) End() { r.close() }

func (r *msgpackReader) Raw([]byte) []byte {
	r.next()
	if r.err != nil {
		return nil
	}
	start := r.pos()
	w := walker{b: r.body}
	end := w.skip(start, 0)
	if end < 0 {
		r.check(w.err)
		return nil
	}
	r.seek(end)
	return r.body[start:end:end]
}

func (r *msgpackReader) Grow(n int) bool {
	if r.err == nil && !r.room.spend(n) {
		r.problem(tooMuchRoom)
	}
	return r.err == nil
}
