package codec

import (
	"encoding/json"
	"time"
	"unsafe"
)

// Fields hands out one [Value] for each named argument of a call. Generated code
// visits the arguments in the order of their declaration:
//
//	func (a *CreateUserArgs) Visit(f codec.Fields) {
//		codec.String(f.Field("username"), &a.Username)
//		codec.String(f.Field("password"), &a.Password)
//	}
//
// The same visit writes a message, reads one, prints the arguments and
// describes the signature: which of these happens depends on the Fields.
type Fields interface {
	Field(name string) Value
}

// Value is the place of one value in a message. Each method takes the value as
// it is now and returns it as it is after the visit: a writer returns what it
// was given, a reader ignores it and returns what the message holds. Errors
// stick to the writer or reader that made the Value; after the first one every
// method returns zero values.
//
// A reader must be given zero values to fill.
type Value interface {
	Bool(b bool) bool
	// Int and Uint carry whole numbers exactly. A reader refuses a number
	// that does not fit into the given number of bits (8, 16, 32 or 64).
	Int(n int64, bits int) int64
	Uint(n uint64, bits int) uint64
	// Float carries a float; bits is 32 or 64. A reader takes whole numbers too.
	Float(x float64, bits int) float64
	String(s string) string
	// Bytes is binary data: bin in msgpack, base64 text in JSON.
	Bytes(b []byte) []byte
	// Time is RFC 3339 text with nanoseconds.
	Time(t time.Time) time.Time
	// Duration is a number of seconds, or Go's own text form where a float64
	// of seconds would round. A reader takes both.
	Duration(d time.Duration) time.Duration
	// JSON is any JSON value, carried as it is in JSON and as text elsewhere.
	JSON(j json.RawMessage) json.RawMessage
	// Any encodes or decodes the value that p, a non-nil pointer, points to by reflection. Struct
	// fields are named by their json tags in every serializer.
	Any(p any)
	// Present says whether a pointer is set: false is null on the wire. Only
	// after true does the pointed-to value follow.
	Present(set bool) bool
	// List opens a list of n elements, which the caller visits one after the
	// other on the same Value before it calls End. A reader returns the
	// number of elements in the message, or -1 for null (no End follows).
	List(n int) int
	// Map opens a map of n entries: key, value, key, value, …, then End.
	// Keys are strings or whole numbers. A reader returns -1 for null.
	Map(n int) int
	// End closes the innermost List or Map.
	End()
}

// Bool visits a boolean.
func Bool[T ~bool](v Value, p *T) { *p = T(v.Bool(bool(*p))) }

// Int visits a signed integer of any size.
func Int[T ~int | ~int8 | ~int16 | ~int32 | ~int64](v Value, p *T) {
	*p = T(v.Int(int64(*p), bitsOf[T]()))
}

// Uint visits an unsigned integer of any size.
func Uint[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](v Value, p *T) {
	*p = T(v.Uint(uint64(*p), bitsOf[T]()))
}

// Float visits a floating-point number.
func Float[T ~float32 | ~float64](v Value, p *T) {
	*p = T(v.Float(float64(*p), bitsOf[T]()))
}

// String visits a string.
func String[T ~string](v Value, p *T) { *p = T(v.String(string(*p))) }

// Bytes visits binary data.
func Bytes[T ~[]byte](v Value, p *T) { *p = T(v.Bytes([]byte(*p))) }

// Time visits an instant.
func Time(v Value, p *time.Time) { *p = v.Time(*p) }

// Duration visits a span of time.
func Duration(v Value, p *time.Duration) { *p = v.Duration(*p) }

// JSON visits any JSON value.
func JSON(v Value, p *json.RawMessage) { *p = v.JSON(*p) }

// Any visits a value of a user's own type by reflection.
func Any[T any](v Value, p *T) { v.Any(p) }

// Nothing visits the result of a task that has none.
func Nothing(v Value, _ *struct{}) { v.Present(false) }

// Slice visits a list whose elements elem visits. A nil slice is written as an
// empty list: null would surprise every reader that loops over it.
func Slice[S ~[]E, E any](v Value, p *S, elem func(Value, *E)) {
	n := v.List(len(*p))
	if n < 0 {
		*p = nil
		return
	}
	if n != len(*p) {
		*p = make(S, n)
	}
	for i := range *p {
		elem(v, &(*p)[i])
	}
	v.End()
}

// Map visits a map whose keys and values key and val visit. A nil map is
// written as an empty one.
func Map[M ~map[K]E, K comparable, E any](v Value, p *M, key func(Value, *K), val func(Value, *E)) {
	n := v.Map(len(*p))
	if n < 0 {
		*p = nil
		return
	}
	if n != len(*p) || *p == nil {
		*p = make(M, n)
		for range n {
			var k K
			var e E
			key(v, &k)
			val(v, &e)
			(*p)[k] = e
		}
	} else {
		for k, e := range *p {
			key(v, &k)
			val(v, &e)
		}
	}
	v.End()
}

// Pointer visits a value that may be absent: nil is null on the wire.
func Pointer[T any](v Value, p **T, elem func(Value, *T)) {
	if !v.Present(*p != nil) {
		*p = nil
		return
	}
	if *p == nil {
		*p = new(T)
	}
	elem(v, *p)
}

// bitsOf is the size of T in bits; a constant once instantiated.
func bitsOf[T any]() int {
	var zero T
	return int(unsafe.Sizeof(zero)) * 8
}
