package codec

import (
	"encoding/json"
	"reflect"
	"time"
)

// Signature describes the arguments that visit visits on zero values, such as
// "username string, tags []string, limit *int, address users.Address". What
// travels alike reads alike: int and int64, or a type and one named after it.
func Signature(visit func(Fields)) string {
	var s signature
	visit(&s)
	return string(s.text)
}

// signature is the Fields and the Value that write a signature.
type signature struct {
	nesting
	text []byte
}

func (s *signature) Field(name string) Value {
	if len(s.text) > 0 {
		s.text = append(s.text, ", "...)
	}
	s.text = append(append(s.text, name...), ' ')
	return s
}

// add appends a type; the key of a map is followed by a bracket.
func (s *signature) add(typ string) {
	s.text = append(s.text, typ...)
	if s.next() {
		s.text = append(s.text, ']')
	}
}

func (s *signature) Bool(b bool) bool {
	s.add("bool")
	return b
}

func (s *signature) Int(n int64, bits int) int64 {
	if bits == 64 {
		s.add("int")
	} else {
		s.add(intName(bits))
	}
	return n
}

func (s *signature) Uint(n uint64, bits int) uint64 {
	if bits == 64 {
		s.add("uint")
	} else {
		s.add(uintName(bits))
	}
	return n
}

func (s *signature) Float(x float64, bits int) float64 {
	s.add(floatName(bits))
	return x
}

func (s *signature) String(text string) string {
	s.add("string")
	return text
}

func (s *signature) Bytes(b []byte) []byte {
	s.add("[]byte")
	return b
}

func (s *signature) Time(t time.Time) time.Time {
	s.add("time.Time")
	return t
}

func (s *signature) Duration(d time.Duration) time.Duration {
	s.add("time.Duration")
	return d
}

func (s *signature) JSON(j json.RawMessage) json.RawMessage {
	s.add("json.RawMessage")
	return j
}

func (s *signature) Raw(raw []byte) []byte {
	s.add("any")
	return raw
}

func (s *signature) Any(p any) { s.add(reflect.TypeOf(p).Elem().String()) }

// Present, List and Map let one element be visited, to learn its type.
func (s *signature) Present(bool) bool {
	s.text = append(s.text, '*')
	return true
}

func (s *signature) List(int) int {
	s.text = append(s.text, "[]"...)
	s.open(false)
	return 1
}

func (s *signature) Map(int) int {
	s.text = append(s.text, "map["...)
	s.open(true)
	return 1
}

func (s *signature) End() {
	s.close()
	s.next()
}

func (s *signature) Grow(int) bool { return true }
