package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

// shape is what has to be known about a user's type before a value of it is
// encoded or decoded by reflection.
type shape struct {
	// name is how the type is called in errors.
	name string
	// nullable says that null is one of its values.
	nullable bool
	// recursive says that its values can nest without end, or point to
	// themselves: there is a cycle in the type, or an interface.
	recursive bool
	// lossy says that encoding/json would not tell of all that gets lost, the digits of a large number in
	// an interface, the elements behind an array's end, or doesn't read a number that is text since no other
	// form had the digits.
	lossy bool
	// quotes says that a number in it is text, by its tag: something that encoding/json alone does.
	quotes bool
	// part is the size of its largest list element or map entry.
	part int
}

var shapes sync.Map // of reflect.Type to *shape

// shapeOf returns the shape of what p points to.
func shapeOf(p any) *shape {
	t := reflect.TypeOf(p).Elem()
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{name: t.String(), nullable: nullable(t)}
	s.explore(t, map[reflect.Type]bool{})
	form := formOf(t)
	s.lossy = s.lossy && !s.quotes && (form == formPlain || form == formBig)
	shapes.Store(t, s)
	return s
}

// nullable: a plain struct or number is never null, but a type with methods of
// its own may know what null means.
func nullable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	}
	switch reflect.New(t).Interface().(type) {
	case json.Unmarshaler, msgpack.CustomDecoder, msgpack.Unmarshaler:
		return true
	}
	return false
}

// explore visits the types that t is made of. seen has those it has come to,
// true while it is inside.
func (s *shape) explore(t reflect.Type, seen map[reflect.Type]bool) {
	if inside, ok := seen[t]; ok {
		s.recursive = s.recursive || inside
		return
	}
	seen[t] = true
	defer func() { seen[t] = false }()
	switch t.Kind() {
	case reflect.Interface:
		s.recursive, s.lossy = true, true
		s.part = max(s.part, treePart)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		s.lossy = s.lossy || t.Kind() == reflect.Array && !isByte(t.Elem())
		s.part = max(s.part, int(t.Elem().Size()))
		s.explore(t.Elem(), seen)
	case reflect.Map:
		s.part = max(s.part, int(t.Key().Size()+t.Elem().Size()))
		s.explore(t.Key(), seen)
		s.explore(t.Elem(), seen)
	case reflect.Struct:
		s.lossy = s.lossy || t == intType
		for f := range t.Fields() {
			if f.IsExported() || f.Anonymous {
				s.explore(f.Type, seen)
			}
			_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			s.quotes = s.quotes || slices.Contains(strings.Split(options, ","), "string")
		}
	}
}

// treePart is about what one value in a tree of any takes.
const treePart = 64

// affordable says whether that many elements and entries may be decoded from
// a message of that many bytes.
func (s *shape) affordable(parts, message int) bool {
	var room allowance
	room.reset(message)
	return room.spend(parts * s.part)
}

// checkDepth fails if what p points to is nested too deep, as a value that
// points to itself is: encoders by reflection end the process there.
func checkDepth(p any) error {
	if shapeOf(p).recursive && tooDeep(reflect.ValueOf(p), 0, 0) {
		return errTooDeep
	}
	return nil
}

// tooDeep counts containers, and pointers apart, since they nest only in Go.
func tooDeep(v reflect.Value, containers, pointers int) bool {
	if containers > maxDepth || pointers > 10*maxDepth {
		return true
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && tooDeep(v.Elem(), containers, pointers+1)
	case reflect.Slice, reflect.Array:
		if scalar(v.Type().Elem().Kind()) {
			return false
		}
		for i := range v.Len() {
			if tooDeep(v.Index(i), containers+1, pointers) {
				return true
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			if tooDeep(entries.Value(), containers+1, pointers) {
				return true
			}
		}
	case reflect.Struct:
		for _, field := range v.Fields() {
			if tooDeep(field, containers+1, pointers) {
				return true
			}
		}
	}
	return false
}

func scalar(k reflect.Kind) bool { return k < reflect.Array || k == reflect.String }

// guard runs a user's own encoder or decoder, and makes its panics errors.
// The text of the panic is left out, since it may quote the value.
func guard(f func() error) (err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("its encoder or decoder panicked (%T)", e)
		}
	}()
	return f()
}

// cannotDecode is the error of a value that does not fit into a user's type.
// What the decoder said is left out but for the type of its error, since it
// may quote the value.
func cannotDecode(p any, err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		got, _, _ := strings.Cut(wrong.Value, " ") // the number follows
		return fmt.Errorf("does not fit into %s: want %s, got %s in %s", shapeOf(p).name, wrong.Type, got, wrong.Field)
	}
	return fmt.Errorf("does not fit into %s (%s)", shapeOf(p).name, errorType(err))
}

// cannotEncode is the error of a user's value that can't be encoded.
func cannotEncode(p any, err error) error {
	if unsupported, ok := errors.AsType[*json.UnsupportedTypeError](err); ok {
		return fmt.Errorf("%s can't be encoded: %w", shapeOf(p).name, unsupported)
	}
	return fmt.Errorf("%s can't be encoded (%s)", shapeOf(p).name, errorType(err))
}

// errorType names the innermost type of an error that says something.
func errorType(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return fmt.Sprintf("%T", err)
		}
		err = inner
	}
}
