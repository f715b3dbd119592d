// Package names finds identifiers that nothing else in a scope has.
package names

import (
	"go/token"
	"go/types"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// Scope is a set of identifiers within the scopes around it.
type Scope struct {
	outer *Scope
	used  map[string]bool
}

// New is the scope of a package: around it are only the predeclared identifiers.
func New() *Scope {
	universe := &Scope{used: map[string]bool{}}
	universe.Take(types.Universe.Names()...)
	return universe.Inner()
}

// Inner is a new scope within s.
func (s *Scope) Inner() *Scope { return &Scope{outer: s, used: map[string]bool{}} }

// Take marks names as used in s.
func (s *Scope) Take(names ...string) {
	for _, name := range names {
		s.used[name] = true
	}
}

// Has says whether name is used in s or around it.
func (s *Scope) Has(name string) bool {
	return s != nil && (s.used[name] || s.outer.Has(name))
}

// Fresh takes want, or if that is not free, want with the smallest number from 2
// that makes it so.
func (s *Scope) Fresh(want string) string {
	name := want
	for i := 2; s.Has(name) || token.IsKeyword(name); i++ {
		name = want
		if last, _ := utf8.DecodeLastRuneInString(want); unicode.IsDigit(last) {
			name += "_"
		}
		name += strconv.Itoa(i)
	}
	s.Take(name)
	return name
}
