package codec

import (
	"encoding/json"
	"math/big"
	"time"
)

// treeReader is the Fields and the Value that read a tree.
type treeReader struct {
	failure
	nesting
	serializer *treeSerializer
	values     []any // of the arguments
	args       arguments
	room       allowance
	// pending are the values to come: the current argument, then what is left
	// of each list and map that is open; a map is a list of keys and values.
	pending [][]any
	// fromJSON says that a text is a JSON value as others are, not the text of one.
	fromJSON bool
}

func (r *treeReader) Field(name string) Value {
	if r.err != nil {
		return r
	}
	r.name = name
	var at int
	if r.result {
		var ok bool
		if at, ok = r.args.named(name); !ok {
			return mute{}
		}
	} else {
		var problem string
		if at, problem = r.args.find(name); problem != "" {
			r.problem(problem)
			return r
		}
	}
	r.pending = append(r.pending[:0], r.values[at:at+1])
	return r
}

// peek returns the next value; nil after an error.
func (r *treeReader) peek() any {
	if n := len(r.pending); r.err == nil && n > 0 && len(r.pending[n-1]) > 0 {
		return r.pending[n-1][0]
	}
	return nil
}

// tree takes the next value.
func (r *treeReader) tree() any {
	x, _ := r.take()
	return x
}

func (r *treeReader) take() (x any, key bool) {
	key = r.next()
	x = r.peek()
	if n := len(r.pending); n > 0 && len(r.pending[n-1]) > 0 {
		r.pending[n-1] = r.pending[n-1][1:]
	}
	return x, key
}

func (r *treeReader) skip() { r.take() }

func (r *treeReader) Bool(bool) bool {
	x, _ := r.take()
	b, ok := x.(bool)
	if !ok {
		r.want("bool", kindOf(x))
	}
	return b
}

func (r *treeReader) Int(_ int64, bits int) int64 {
	x, key := r.take()
	n, fits := int64(0), true
	switch x := x.(type) {
	case int64:
		n = x
	case uint64, *big.Int:
		fits = false
	case float64:
		if n, fits = wholeInt(x); !fits {
			r.want(intName(bits), kindFloat)
		}
	case string:
		var ok bool
		if n, ok = parseInt([]byte(x)); !key || !ok {
			r.want(intName(bits), kindString)
		}
	default:
		r.want(intName(bits), kindOf(x))
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(intName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *treeReader) Uint(_ uint64, bits int) uint64 {
	x, key := r.take()
	n, fits := uint64(0), true
	switch x := x.(type) {
	case int64:
		n, fits = uint64(x), x >= 0
	case uint64:
		n = x
	case *big.Int:
		fits = false
	case float64:
		i, ok := wholeInt(x)
		if !ok {
			r.want(uintName(bits), kindFloat)
		}
		n, fits = uint64(i), i >= 0
	case string:
		var ok bool
		if n, ok = parseUint([]byte(x)); !key || !ok {
			r.want(uintName(bits), kindString)
		}
	default:
		r.want(uintName(bits), kindOf(x))
	}
	if !fits || n<<(64-bits)>>(64-bits) != n {
		r.tooBig(uintName(bits))
	}
	if r.err != nil {
		return 0
	}
	return n
}

func (r *treeReader) Float(_ float64, bits int) float64 {
	x, _ := r.take()
	f, exact := r.number(x, floatName(bits))
	if !exact {
		r.inexact(floatName(bits))
	}
	return r.fitFloat(f, bits)
}

// number is any number as a float.
func (r *treeReader) number(x any, want string) (f float64, exact bool) {
	switch x := x.(type) {
	case int64:
		return exactFloat(x)
	case uint64:
		return exactFloatUint(x)
	case float64:
		return x, true
	case *big.Int:
		return exactFloatBig(x)
	}
	r.want(want, kindOf(x))
	return 0, true
}

func (r *treeReader) String(string) string {
	switch x, _ := r.take(); x := x.(type) {
	case string:
		return x
	case []byte:
		return string(x)
	case time.Time: // YAML has times, others write text
		text, _ := appendTime(nil, x)
		return string(text)
	default:
		r.want("string", kindOf(x))
		return ""
	}
}

func (r *treeReader) Bytes([]byte) []byte {
	switch x, _ := r.take(); x := x.(type) {
	case []byte:
		return x
	case nil:
	case string:
		b, ok := decodeBase64([]byte(x))
		if !ok {
			r.problem("want base64, got another text")
		}
		return b
	default:
		r.want("bytes", kindOf(x))
	}
	return nil
}

func (r *treeReader) Time(time.Time) time.Time {
	switch x, _ := r.take(); x := x.(type) {
	case time.Time:
		if year := x.Year(); year < 1 || year > 9999 {
			r.problem(badYear)
		}
		return x
	case string:
		t, ok := parseTime([]byte(x))
		if !ok {
			r.problem(badTime)
		}
		return t
	default:
		r.want("time", kindOf(x))
		return time.Time{}
	}
}

func (r *treeReader) Duration(time.Duration) time.Duration {
	x, _ := r.take()
	if s, ok := x.(string); ok {
		return r.parseDuration([]byte(s))
	}
	seconds, _ := r.number(x, "seconds")
	return r.seconds(seconds)
}

func (r *treeReader) JSON(json.RawMessage) json.RawMessage {
	x, _ := r.take()
	text, isText := x.(string)
	switch {
	case x == nil:
	case !isText || r.fromJSON:
		return r.jsonOf(x)
	case validJSON([]byte(text)):
		return json.RawMessage(text)
	default:
		r.problem("want JSON text, got another text")
	}
	return nil
}

func (r *treeReader) Raw([]byte) []byte {
	x, _ := r.take()
	if r.err != nil {
		return nil
	}
	raw, err := r.serializer.encode(x)
	if err != nil {
		r.problem("cannot be encoded")
	}
	return raw
}

func (r *treeReader) Any(p any)     { visitReflected(r, p) }
func (r *treeReader) label() []byte { return []byte(r.String("")) }

func (r *treeReader) Present(bool) bool {
	if r.err != nil {
		return false
	}
	if r.peek() == nil {
		r.take()
		return false
	}
	return true
}

func (r *treeReader) List(int) int {
	switch x, _ := r.take(); x := x.(type) {
	case nil:
	case []any:
		r.push(x, false)
		return len(x)
	default:
		r.want("list", kindOf(x))
	}
	return -1
}

func (r *treeReader) Map(int) int {
	switch x, _ := r.take(); x := x.(type) {
	case nil:
	case map[string]any:
		entries := make([]any, 0, 2*len(x))
		for k, e := range x {
			entries = append(entries, k, e)
		}
		r.push(entries, true)
		return len(x)
	default:
		r.want("map", kindOf(x))
	}
	return -1
}

func (r *treeReader) push(values []any, isMap bool) {
	r.pending = append(r.pending, values)
	r.open(isMap)
}

func (r *treeReader) End() {
	if r.close() {
		r.pending = r.pending[:len(r.pending)-1]
	}
}

func (r *treeReader) Grow(n int) bool {
	if r.err == nil && !r.room.spend(n) {
		r.problem(tooMuchRoom)
	}
	return r.err == nil
}
