package codec

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Repr shows the arguments that visit visits as Python shows a dict, for
// people and for Celery's tools:
//
//	{'username': 'ada', 'password': '***', 'n': 1, 'ok': True, 'none': None}
//
// The arguments whose names are in secret show as '***'. What is longer than
// limit runes is cut there and ends in "..."; limit <= 0 means no limit.
func Repr(visit func(Fields), secret []string, limit int) string {
	r := repr{secret: secret, max: math.MaxInt}
	if limit > 0 {
		r.max = limit * utf8.UTFMax
	}
	r.out = append(r.out, '{')
	visit(&r)
	r.out = append(r.out, '}')
	return cut(string(r.out), limit)
}

// ReprArgs is [Repr] for arguments that travel by position. It shows them as Python shows a tuple:
//
//	('ada', '***', 1)
func ReprArgs(visit func(Fields), secret []string, limit int) string {
	r := repr{secret: secret, max: math.MaxInt, positional: true}
	if limit > 0 {
		r.max = limit * utf8.UTFMax
	}
	r.out = append(r.out, '(')
	visit(&r)
	if r.count == 1 {
		r.out = append(r.out, ',')
	}
	r.out = append(r.out, ')')
	return cut(string(r.out), limit)
}

// cut shortens s to limit runes.
func cut(s string, limit int) string {
	if limit <= 0 || utf8.RuneCountInString(s) <= limit {
		return s
	}
	keep := []rune(s)[:limit]
	copy(keep[len(keep)-min(3, len(keep)):], []rune("..."))
	return string(keep)
}

// repr is the Fields and the Value that write a [Repr].
type repr struct {
	failure
	nesting
	out    []byte
	max    int // of bytes in out, beyond which nothing need be added
	secret []string
	count  int
	// positional leaves out the names.
	positional bool
}

func (r *repr) Field(name string) Value {
	if r.count++; r.count > 1 {
		r.out = append(r.out, ", "...)
	}
	if !r.positional {
		r.quote(name)
		r.out = append(r.out, ": "...)
	}
	if slices.Contains(r.secret, name) {
		r.out = append(r.out, "'***'"...)
		return mute{}
	}
	r.reset(false)
	r.levels = r.levels[:0]
	return r
}

// begin writes what stands before a value, and says whether to write it.
func (r *repr) begin() bool {
	if len(r.out) > r.max {
		return false
	}
	key := r.next()
	if n := len(r.levels); n > 0 {
		switch l := r.levels[n-1]; {
		case l.isMap && !key:
			r.out = append(r.out, ": "...)
		case l.seen > 1:
			r.out = append(r.out, ", "...)
		}
	}
	return true
}

func (r *repr) add(text string) {
	if r.begin() {
		r.out = append(r.out, text...)
	}
}

// quote writes a string as Python does.
func (r *repr) quote(s string) {
	q := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	r.out = append(r.out, q)
	for _, c := range s {
		if len(r.out) > r.max {
			break
		}
		r.out = appendPython(r.out, c, q)
	}
	r.out = append(r.out, q)
}

func appendPython(dst []byte, c rune, quote byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c == rune(quote) || c == '\\':
		return append(dst, '\\', byte(c))
	case c == '\n':
		return append(dst, `\n`...)
	case c == '\r':
		return append(dst, `\r`...)
	case c == '\t':
		return append(dst, `\t`...)
	case unicode.IsPrint(c):
		return utf8.AppendRune(dst, c)
	case c <= 0xff:
		return append(dst, '\\', 'x', digits[c>>4], digits[c&15])
	}
	escaped := strconv.AppendQuoteRuneToASCII(nil, c)
	return append(dst, escaped[1:len(escaped)-1]...)
}

func (r *repr) Bool(b bool) bool {
	if b {
		r.add("True")
	} else {
		r.add("False")
	}
	return b
}

func (r *repr) Int(n int64, _ int) int64 {
	r.add(strconv.FormatInt(n, 10))
	return n
}

func (r *repr) Uint(n uint64, _ int) uint64 {
	r.add(strconv.FormatUint(n, 10))
	return n
}

func (r *repr) Float(x float64, bits int) float64 {
	switch {
	case math.IsNaN(x):
		r.add("nan")
	case math.IsInf(x, 1):
		r.add("inf")
	case math.IsInf(x, -1):
		r.add("-inf")
	default:
		r.add(string(appendFloat(nil, x, bits)))
	}
	return x
}

func (r *repr) String(s string) string {
	if r.begin() {
		r.quote(s)
	}
	return s
}

func (r *repr) Bytes(b []byte) []byte {
	if !r.begin() {
		return b
	}
	r.out = append(r.out, 'b', '\'')
	for _, c := range b {
		if len(r.out) > r.max {
			break
		}
		if c < utf8.RuneSelf {
			r.out = appendPython(r.out, rune(c), '\'')
		} else {
			r.out = append(r.out, '\\', 'x')
			r.out = append(r.out, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	r.out = append(r.out, '\'')
	return b
}

func (r *repr) Time(t time.Time) time.Time {
	text, _ := appendTime(nil, t)
	r.String(string(text))
	return t
}

func (r *repr) Duration(d time.Duration) time.Duration {
	if seconds, exact := durationSeconds(d); exact {
		r.Float(seconds, 64)
	} else {
		r.String(d.String())
	}
	return d
}

func (r *repr) JSON(j json.RawMessage) json.RawMessage {
	tree, err := jsonTree(j)
	if err != nil {
		r.String(string(j))
		return j
	}
	r.Any(&tree)
	return j
}

// Any shows a user's value as the map or list that it becomes on the wire.
func (r *repr) Any(p any) {
	visitReflected(r, p)
	if r.err != nil {
		r.out = append(r.out, "..."...)
	}
}

func (r *repr) Present(set bool) bool {
	if !set {
		r.add("None")
	}
	return set
}

func (r *repr) List(n int) int {
	if n < 0 {
		r.add("[]")
		return n
	}
	r.add("[")
	r.open(false)
	return n
}

func (r *repr) Map(n int) int {
	if n < 0 {
		r.add("{}")
		return n
	}
	r.add("{")
	r.open(true)
	return n
}

func (r *repr) End() {
	if n := len(r.levels); n > 0 {
		end := byte(']')
		if r.levels[n-1].isMap {
			end = '}'
		}
		r.close()
		r.out = append(r.out, end)
	}
}

// Grow stops the visit of a user's value once enough is written.
func (r *repr) Grow(int) bool { return r.err == nil && len(r.out) <= r.max }
