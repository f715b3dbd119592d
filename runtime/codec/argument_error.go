package codec

import (
	"fmt"
	"strconv"
	"strings"
)

// ArgumentError says which argument of a call doesn't fit, and how. It never
// holds the argument's value, which may be a secret.
type ArgumentError struct {
	// Argument is the argument's name; empty if no single one is at fault.
	Argument string
	// Problem is such as "missing" or "want int64, got string".
	Problem string
}

func (e *ArgumentError) Error() string {
	if e.Argument == "" {
		return e.Problem
	}
	return "argument " + quoteName(e.Argument) + ": " + e.Problem
}

// quoteName quotes a name that may come from a message.
func quoteName(name string) string {
	const most = 100
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	return strconv.Quote(name)
}

// kind is what a value of a message is, for the text of errors.
type kind uint8

const (
	kindInvalid kind = iota
	kindNull
	kindBool
	kindInt
	kindUint
	kindFloat
	kindString
	kindBytes
	kindTime
	kindList
	kindMap
)

func (k kind) String() string {
	return [...]string{"nothing", "null", "bool", "int", "int", "float", "string", "bytes", "time", "list", "map"}[k]
}

// failure keeps the first error of a writer or reader, and the name of the
// field that is being visited.
type failure struct {
	err  error
	name string
	// path leads to the field of a user's struct that is being visited.
	path []string
	// result is set where the fields are those of a map, not arguments.
	result bool
}

// reset makes f that of a new visit.
func (f *failure) reset(result bool) { *f = failure{result: result, path: f.path[:0]} }

func (f *failure) enter(field string) { f.path = append(f.path, field) }
func (f *failure) leave()             { f.path = f.path[:len(f.path)-1] }

// problem fails the current field.
func (f *failure) problem(text string) {
	if f.err != nil {
		return
	}
	if len(f.path) > 0 {
		text += " in " + strings.Join(f.path, ".")
	}
	switch {
	case f.result:
		f.err = fmt.Errorf("field %s: %s", quoteName(f.name), text)
	default:
		f.err = &ArgumentError{Argument: f.name, Problem: text}
	}
}

// want fails the current field: it has another type.
func (f *failure) want(want string, got kind) { f.problem("want " + want + ", got " + got.String()) }

// inexact fails the current field: a float would be another number.
func (f *failure) inexact(want string) {
	f.problem("want " + want + ", got a whole number that it can't hold exactly")
}

// tooBig fails the current field: its number does not fit.
func (f *failure) tooBig(want string) { f.problem("want " + want + ", got a number that does not fit") }

const (
	badKey      = "map keys must be strings or whole numbers"
	tooMuchRoom = "needs more memory than a message of this size may take"
)

func intName(bits int) string {
	switch bits {
	case 8:
		return "int8"
	case 16:
		return "int16"
	case 32:
		return "int32"
	}
	return "int64"
}

func uintName(bits int) string { return "u" + intName(bits) }

func floatName(bits int) string {
	if bits == 32 {
		return "float32"
	}
	return "float64"
}
