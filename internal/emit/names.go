package emit

import (
	"go/token"
	"go/types"
	"strconv"
	"unicode"
)

// names hands out identifiers that are free in a scope and in the scopes around it.
type names struct {
	outer *names
	used  map[string]bool
}

// universe is the scope of the predeclared identifiers.
var universe = func() *names {
	n := &names{used: map[string]bool{}}
	for _, name := range types.Universe.Names() {
		n.take(name)
	}
	return n
}()

// inner is a new scope within n.
func (n *names) inner() *names { return &names{outer: n, used: map[string]bool{}} }

// take marks names as used in this scope.
func (n *names) take(names ...string) {
	for _, name := range names {
		n.used[name] = true
	}
}

func (n *names) has(name string) bool {
	return n != nil && (n.used[name] || n.outer.has(name))
}

// fresh takes want, or want with the smallest number from 2 that makes it free.
func (n *names) fresh(want string) string {
	name := want
	for i := 2; n.has(name) || token.IsKeyword(name); i++ {
		name = want
		if unicode.IsDigit(rune(want[len(want)-1])) {
			name += "_"
		}
		name += strconv.Itoa(i)
	}
	n.take(name)
	return name
}
