package codec

import (
	"encoding/json"
	"math"
	"slices"
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
// stick to the writer or reader that made the Value; after the first one a
// reader returns zero values. A Value is good until the visit ends.
//
// A reader must be given zero values to fill.
type Value interface {
	Bool(b bool) bool
	// Int and Uint carry whole numbers exactly. A reader refuses a number
	// that does not fit into the given number of bits (8, 16, 32 or 64). It
	// takes a float only if it is whole and at most 2^53: Python sends 3.0.
	Int(n int64, bits int) int64
	Uint(n uint64, bits int) uint64
	// Float carries a float; bits is 32 or 64. A reader takes whole numbers too.
	Float(x float64, bits int) float64
	String(s string) string
	// Bytes is binary data: bin in msgpack, base64 text in JSON.
	Bytes(b []byte) []byte
	// Time is RFC 3339 text, exact to the nanosecond; the offset is kept, the
	// name of the zone is not.
	Time(t time.Time) time.Time
	// Duration is a number of seconds, or Go's own text form where a float64
	// of seconds would round. A reader takes both.
	Duration(d time.Duration) time.Duration
	// JSON is any JSON value, carried as it is in JSON and as text elsewhere.
	JSON(j json.RawMessage) json.RawMessage
	// Raw is any value as the serializer of the message has encoded it, or is to encode it: a part of a message that is
	// passed on without a look into it. It must come from the same serializer, and may share memory with the message.
	Raw(raw []byte) []byte
	// Any encodes or decodes the value that p, a non-nil pointer, points to by
	// reflection. Struct fields are named by their json tags in every serializer.
	Any(p any)
	// Present says whether a pointer is set: false is null on the wire. Only
	// after true does the pointed-to value follow.
	Present(set bool) bool
	// List opens a list of n elements, which the caller visits one after the
	// other on the same Value before it calls End. A nil list has n = -1: a
	// writer writes it as an empty list. It returns the number of elements to
	// visit, or -1 if there is nothing to visit and no End follows: the list is
	// nil, or null in the message.
	List(n int) int
	// Map opens a map of n entries: key, value, key, value, …, then End.
	// Keys are strings or whole numbers, and text on the wire. -1 is as in List.
	Map(n int) int
	// End closes the innermost List or Map.
	End()
	// Grow asks for n bytes of memory for elements. false means to stop: an
	// error has stuck, or the message asks for more than one of its size may.
	Grow(n int) bool
}

// Bool visits a boolean.
func Bool[T ~bool](v Value, p *T) { store(p, T(v.Bool(bool(*p)))) }

// Int visits a signed integer of any size.
func Int[T ~int | ~int8 | ~int16 | ~int32 | ~int64](v Value, p *T) {
	store(p, T(v.Int(int64(*p), bitsOf[T]())))
}

// Uint visits an unsigned integer of any size.
func Uint[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](v Value, p *T) {
	store(p, T(v.Uint(uint64(*p), bitsOf[T]())))
}

// Float visits a floating-point number.
func Float[T ~float32 | ~float64](v Value, p *T) {
	x := float64(*p)
	if y := v.Float(x, bitsOf[T]()); math.Float64bits(y) != math.Float64bits(x) {
		*p = T(y)
	}
}

// String visits a string.
func String[T ~string](v Value, p *T) { store(p, T(v.String(string(*p)))) }

// Bytes visits binary data.
func Bytes[T ~[]byte](v Value, p *T) { storeBytes(p, v.Bytes(*p)) }

// Time visits an instant.
func Time(v Value, p *time.Time) { store(p, v.Time(*p)) }

// Duration visits a span of time.
func Duration(v Value, p *time.Duration) { store(p, v.Duration(*p)) }

// JSON visits any JSON value.
func JSON(v Value, p *json.RawMessage) { storeBytes(p, v.JSON(*p)) }

// Any visits a value of a user's own type by reflection.
func Any[T any](v Value, p *T) { v.Any(p) }

// Nothing visits the result of a task that has none.
func Nothing(v Value, _ *struct{}) { v.Present(false) }

// Slice visits a list whose elements elem visits. A nil slice is written as an
// empty list: null would surprise every reader that loops over it.
func Slice[S ~[]E, E any](v Value, p *S, elem func(Value, *E)) {
	n := v.List(lenOrNil(*p == nil, len(*p)))
	switch {
	case n < 0:
		clearNil(p, *p == nil)
		return
	case *p == nil || n != len(*p):
		*p = readSlice[S](v, n, elem)
	default:
		for i := range *p {
			elem(v, &(*p)[i])
		}
	}
	v.End()
}

// readSlice makes room as the elements come, since their number is a claim of
// whoever sent the message.
func readSlice[S ~[]E, E any](v Value, n int, elem func(Value, *E)) S {
	size := sizeOf[E]()
	room := min(n, 4096/size+1)
	if !v.Grow(room * size) {
		return nil
	}
	s := make(S, 0, room)
	for len(s) < n {
		if len(s) == cap(s) {
			room = min(n-len(s), len(s))
			if !v.Grow(room * size) {
				return nil
			}
			s = slices.Grow(s, room)
		}
		s = s[:len(s)+1]
		elem(v, &s[len(s)-1])
	}
	return s
}

// Map visits a map whose keys and values key and val visit. A nil map is
// written as an empty one.
func Map[M ~map[K]E, K comparable, E any](v Value, p *M, key func(Value, *K), val func(Value, *E)) {
	n := v.Map(lenOrNil(*p == nil, len(*p)))
	switch {
	case n < 0:
		clearNil(p, *p == nil)
		return
	case *p == nil || n != len(*p):
		*p = readMap[M](v, n, key, val)
	default:
		// One k and e for all entries: their addresses escape into key and val.
		var k K
		var e E
		for k, e = range *p {
			key(v, &k)
			val(v, &e)
		}
	}
	v.End()
}

func readMap[M ~map[K]E, K comparable, E any](v Value, n int, key func(Value, *K), val func(Value, *E)) M {
	size := sizeOf[K]() + sizeOf[E]()
	m := make(M, min(n, 64))
	var k, noKey K
	var e, noElem E
	for range n {
		if !v.Grow(size) {
			return nil
		}
		k, e = noKey, noElem
		key(v, &k)
		val(v, &e)
		m[k] = e
	}
	return m
}

// Pointer visits a value that may be absent: nil is null on the wire.
func Pointer[T any](v Value, p **T, elem func(Value, *T)) {
	if !v.Present(*p != nil) {
		clearNil(p, *p == nil)
		return
	}
	if *p == nil {
		*p = new(T)
	}
	elem(v, *p)
}

// store sets *p unless it is x already. A writer gives back what it was given,
// and must not store it: the arguments of two calls may share memory, and
// their writers then run at the same time.
func store[T comparable](p *T, x T) {
	if *p != x {
		*p = x
	}
}

// storeBytes is store for slices of bytes.
func storeBytes[T ~[]byte](p *T, b []byte) {
	if len(*p) != len(b) || unsafe.SliceData(*p) != unsafe.SliceData(b) {
		*p = b
	}
}

// clearNil sets *p to its zero value unless it is nil already, for the reason
// that store gives.
func clearNil[T any](p *T, isNil bool) {
	if !isNil {
		var zero T
		*p = zero
	}
}

func lenOrNil(isNil bool, n int) int {
	if isNil {
		return -1
	}
	return n
}

// sizeOf is the size of T in bytes, at least 1.
func sizeOf[T any]() int {
	var zero T
	return max(1, int(unsafe.Sizeof(zero)))
}

// bitsOf is the size of T in bits; a constant once instantiated.
func bitsOf[T any]() int {
	var zero T
	return int(unsafe.Sizeof(zero)) * 8
}
