package codec

import "strconv"

// Lookup returns the argument with the given name as text, for `{name}` in a
// routing key: a string as it is, a number in decimal, a boolean as true or
// false. ok is false if there is no such argument, or it is of another type.
func Lookup(visit func(Fields), name string) (text string, ok bool) {
	l := lookup{want: name}
	visit(&l)
	return l.text, l.ok
}

// lookup is the Fields and the Value that find one argument.
type lookup struct {
	mute
	want, text string
	ok         bool
	depth      int
}

func (l *lookup) Field(name string) Value {
	if name == l.want {
		return l
	}
	return mute{}
}

func (l *lookup) found(text string) {
	if l.depth == 0 {
		l.text, l.ok = text, true
	}
}

func (l *lookup) Bool(b bool) bool {
	l.found(strconv.FormatBool(b))
	return b
}

func (l *lookup) Int(n int64, _ int) int64 {
	l.found(strconv.FormatInt(n, 10))
	return n
}

func (l *lookup) Uint(n uint64, _ int) uint64 {
	l.found(strconv.FormatUint(n, 10))
	return n
}

func (l *lookup) String(s string) string {
	l.found(s)
	return s
}

func (l *lookup) List(n int) int {
	if n >= 0 {
		l.depth++
	}
	return n
}

func (l *lookup) Map(n int) int { return l.List(n) }

func (l *lookup) End() { l.depth-- }
