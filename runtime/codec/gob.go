package codec

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"reflect"
	"strings"
)

// newGob makes the serializer that keeps users' types as Go knows them. Its
// messages are msgpack but for the values of Value.Any: each is bytes, a gob
// stream of its own. So what gob is given has a length that was checked.
func newGob() Serializer {
	return newMsgpackLike("gob", "application/x-gob", visitGob)
}

func visitGob(v reflectable, p any) {
	if r, ok := v.(reflectReader); ok {
		readGob(r, p)
		return
	}
	if err := checkDepth(p); err != nil {
		v.problem(err.Error())
		return
	}
	var b bytes.Buffer
	if err := guard(func() error { return gob.NewEncoder(&b).Encode(p) }); err != nil {
		v.problem(shapeOf(p).name + " can't be encoded as gob (" + gobError(err) + ")")
	}
	v.Bytes(b.Bytes())
}

func readGob(r reflectReader, p any) {
	b := r.Bytes(nil)
	shape := shapeOf(p)
	switch {
	case !r.Grow(0):
		return
	case len(b) == 0:
		r.want(shape.name, kindNull)
		return
	case shape.recursive && len(b) > mostRecursiveGob:
		r.problem(fmt.Sprintf("more than %d bytes of gob for %s, a type that can nest without end", mostRecursiveGob, shape.name))
		return
	case gobMemory(b, shape.part) > mostElements:
		r.problem(tooMuchRoom)
		return
	}
	src := bytes.NewReader(b)
	if err := guard(func() error { return gob.NewDecoder(src).Decode(p) }); err != nil {
		r.problem("does not fit into " + shape.name + " (" + gobError(err) + ")")
		return
	}
	if src.Len() > 0 {
		r.problem(errTrailing.Error())
	}
	if err := checkDepth(p); err != nil {
		r.problem(err.Error())
	}
}

// mostRecursiveGob bounds how deep gob recurses: a level takes two bytes of
// gob and some 250 of stack.
const mostRecursiveGob = 256 << 10

// gobMemory is about the most that the elements of b take in memory, if the largest of them takes part
// bytes. An element that is larger than a number is a zero byte if it is empty, as it ends with one if it is a
// struct; and otherwise has two bytes at least.
func gobMemory(b []byte, part int) int {
	empty := bytes.Count(b, []byte{0})
	return empty*part + (len(b)-empty)*min(part, 8)
}

// gobError keeps what gob itself says, which is about types and lengths, and
// leaves out what a user's own decoder says, which may quote the value.
func gobError(err error) string {
	if text := err.Error(); strings.HasPrefix(text, "gob: ") && reflect.TypeOf(err).String() == "*errors.errorString" {
		return text
	}
	return errorType(err)
}
