package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unsafe"
)

// jsonReader is the Fields and the Value that read JSON. Its text has been
// checked by a [scanner], so that it need not look out for errors of syntax.
type jsonReader struct {
	failure
	nesting
	text []byte
	pos  int
	args arguments
	room allowance
}

func (r *jsonReader) Field(name string) Value {
	if r.err != nil {
		return r
	}
	r.name = name
	if r.result {
		at, ok := r.args.named(name)
		if !ok {
			return mute{}
		}
		r.pos = at
		return r
	}
	at, problem := r.args.find(name)
	if problem != "" {
		r.problem(problem)
	}
	r.pos = at
	return r
}

// kindAt tells the kind of the value at i by its first byte.
func (r *jsonReader) kindAt(i int) kind {
	if i >= len(r.text) {
		return kindInvalid
	}
	switch c := r.text[i]; c {
	case '"':
		return kindString
	case '[':
		return kindList
	case '{':
		return kindMap
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	case 'N', 'I':
		return kindFloat
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return kindInt
		}
		return kindInvalid
	}
}

// separate passes what stands between the last value and the next one.
func (r *jsonReader) separate() {
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.pos++
		default:
			return
		}
	}
}

// begin returns the kind of the next value and passes its text, which it
// returns too, unless it is a list or a map. After an error the kind is invalid.
func (r *jsonReader) begin() (k kind, text []byte, key bool) {
	key = r.next()
	if r.err != nil {
		return kindInvalid, nil, key
	}
	r.separate()
	k = r.kindAt(r.pos)
	if k == kindList || k == kindMap {
		return k, nil, key
	}
	text = r.take()
	if k == kindInt && !isInt(text) {
		k = kindFloat
	}
	return k, text, key
}

// take passes the value at pos and returns its text.
func (r *jsonReader) take() []byte {
	s := scanner{text: r.text}
	start := r.pos
	r.pos = max(start, s.skip(start, 0))
	return r.text[start:r.pos:r.pos]
}

func isInt(number []byte) bool { return !bytes.ContainsAny(number, ".eEI") }

func (r *jsonReader) Bool(bool) bool {
	k, text, _ := r.begin()
	if r.err == nil && k != kindBool {
		r.want("bool", k)
	}
	return r.err == nil && text[0] == 't'
}

func (r *jsonReader) Int(_ int64, bits int) int64 {
	k, text, key := r.begin()
	n, fits := int64(0), true
	switch {
	case r.err != nil:
		return 0
	case k == kindInt:
		n, fits = parseInt(text)
	case k == kindFloat:
		if n, fits = wholeInt(parseFloat(text, 64)); !fits {
			r.want(intName(bits), k)
		}
	case k == kindString && key:
		var ok bool
		if n, ok = parseInt(r.unquote(text)); !ok {
			r.want(intName(bits), k)
		}
	default:
		r.want(intName(bits), k)
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(intName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *jsonReader) Uint(_ uint64, bits int) uint64 {
	k, text, key := r.begin()
	n, fits := uint64(0), true
	switch {
	case r.err != nil:
		return 0
	case k == kindInt:
		n, fits = parseUint(text)
	case k == kindFloat:
		var i int64
		if i, fits = wholeInt(parseFloat(text, 64)); !fits {
			r.want(uintName(bits), k)
		}
		n, fits = uint64(i), i >= 0
	case k == kindString && key:
		var ok bool
		if n, ok = parseUint(r.unquote(text)); !ok {
			r.want(uintName(bits), k)
		}
	default:
		r.want(uintName(bits), k)
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(uintName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *jsonReader) Float(_ float64, bits int) float64 {
	k, text, _ := r.begin()
	x := 0.0
	switch {
	case r.err != nil:
	case k == kindInt, k == kindFloat:
		x = parseFloat(text, bits)
		switch {
		case math.IsInf(x, 0) && text[len(text)-1] != 'y':
			r.tooBig(floatName(bits))
		case k == kindInt && bits == 64 && !exactFloatText(text, x):
			r.inexact(floatName(bits))
		}
	case k == kindMap:
		x = r.decimal(bits)
	default:
		r.want(floatName(bits), k)
	}
	return r.fitFloat(x, bits)
}

// parseFloat reads a checked number; the infinities for one that is too big.
func parseFloat(text []byte, bits int) float64 {
	x, _ := strconv.ParseFloat(unsafe.String(unsafe.SliceData(text), len(text)), bits)
	return x
}

func (r *jsonReader) String(string) string {
	k, text, _ := r.begin()
	switch {
	case r.err != nil:
	case k == kindString:
		return string(r.unquote(text))
	case k == kindMap:
		return r.enveloped("string").text
	default:
		r.want("string", k)
	}
	return ""
}

// unquote returns the contents of a JSON string; a part of it, if it can.
func (r *jsonReader) unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	return appendUnquoted(make([]byte, 0, len(inner)), quoted)
}

func (r *jsonReader) Bytes([]byte) []byte {
	k, text, _ := r.begin()
	switch {
	case r.err != nil, k == kindNull:
	case k == kindString:
		b, ok := decodeBase64(r.unquote(text))
		if !ok {
			r.problem("want base64, got another text")
		}
		return b
	case k == kindMap:
		return r.enveloped("bytes").bytes()
	default:
		r.want("bytes", k)
	}
	return nil
}

func decodeBase64(text []byte) ([]byte, bool) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(b, text)
	if err != nil {
		return nil, false
	}
	return b[:n], true
}

func (r *jsonReader) Time(time.Time) time.Time {
	k, text, _ := r.begin()
	switch {
	case r.err != nil:
		return time.Time{}
	case k == kindString:
		text = r.unquote(text)
	case k == kindMap:
		text = []byte(r.enveloped("time").text)
	default:
		r.want("time", k)
		return time.Time{}
	}
	t, ok := parseTime(text)
	if !ok {
		r.problem(badTime)
	}
	return t
}

func (r *jsonReader) Duration(time.Duration) time.Duration {
	k, text, _ := r.begin()
	switch {
	case r.err != nil:
	case k == kindString:
		return r.parseDuration(r.unquote(text))
	case k == kindInt, k == kindFloat:
		return r.seconds(parseFloat(text, 64))
	default:
		r.want("seconds", k)
	}
	return 0
}

func (r *jsonReader) JSON(json.RawMessage) json.RawMessage {
	r.next()
	if r.err != nil {
		return nil
	}
	r.separate()
	return bytes.Clone(r.take())
}

func (r *jsonReader) Raw([]byte) []byte {
	r.next()
	if r.err != nil {
		return nil
	}
	r.separate()
	return r.take()
}

func (r *jsonReader) Any(p any) {
	if r.next() {
		r.problem(badKey)
	}
	if r.err != nil {
		return
	}
	r.separate()
	k := r.kindAt(r.pos)
	s := scanner{text: r.text}
	end := s.skip(r.pos, 0)
	text := r.text[r.pos:end]
	r.pos = end
	shape := shapeOf(p)
	switch {
	case k == kindNull && !shape.nullable:
		r.want(shape.name, k)
	case !shape.affordable(s.parts, len(text)):
		r.problem(tooMuchRoom)
	case shape.lossy:
		r.decodeExactly(text, p)
	default:
		err := decodePlain(text, p)
		if _, syntax := errors.AsType[*json.SyntaxError](err); syntax { // Python's NaN
			r.decodeExactly(text, p)
		} else if err != nil {
			r.problem(cannotDecode(p, err).Error())
		}
	}
}

// decodeExactly decodes a checked value by our own rules, where encoding/json would round or drop some of it.
func (r *jsonReader) decodeExactly(text []byte, p any) {
	tree, err := jsonTree(text)
	if err != nil {
		r.problem(err.Error())
		return
	}
	from := treeReader{failure: failure{name: r.name, result: r.result}, pending: [][]any{{tree}}, fromJSON: true}
	from.room.reset(len(text))
	visitReflected(&from, p)
	r.err = from.err
}

// decodeJSON decodes a checked value into a user's type.
func decodeJSON(text []byte, p any) error {
	if err := decodePlain(text, p); err != nil {
		return cannotDecode(p, err)
	}
	return nil
}

func decodePlain(text []byte, p any) error {
	if bytes.Contains(text, envelopeKey) {
		text = (&jsonReader{text: text}).appendPlain(nil)
	}
	return guard(func() error { return json.Unmarshal(text, p) })
}

func (r *jsonReader) Present(bool) bool {
	if r.err != nil {
		return false
	}
	r.separate()
	if r.kindAt(r.pos) != kindNull {
		return true
	}
	r.next()
	r.pos += len("null")
	return false
}

func (r *jsonReader) List(int) int { return r.container(kindList) }

func (r *jsonReader) Map(int) int { return r.container(kindMap) }

func (r *jsonReader) container(want kind) int {
	k, _, _ := r.begin()
	switch {
	case r.err != nil, k == kindNull:
		return -1
	case k != want:
		r.want(want.String(), k)
		return -1
	}
	n := r.count(want)
	r.pos++
	r.open(want == kindMap)
	return n
}

// count counts the elements or entries of the list or map at pos.
func (r *jsonReader) count(k kind) (n int) {
	s := scanner{text: r.text}
	end := byte(']')
	if k == kindMap {
		end = '}'
	}
	at, done := s.first(r.pos, end)
	for ; !done; n++ {
		if k == kindMap {
			_, at = s.key(at)
		}
		at, done = s.more(s.skip(at, 0), end)
	}
	return n
}

func (r *jsonReader) End() {
	if !r.close() || r.err != nil {
		return
	}
	r.separate()
	r.pos++
}

func (r *jsonReader) Grow(n int) bool {
	if r.err == nil && !r.room.spend(n) {
		r.problem(tooMuchRoom)
	}
	return r.err == nil
}
