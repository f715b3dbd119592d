package codec

import "fmt"

// arguments is the table of the arguments that a message holds, found in one
// pass over it, before anything is decoded.
type arguments struct {
	// list holds the positional arguments, then those by name.
	list       []argument
	positional int
	// asked counts the fields that were asked for, used the arguments by name
	// among what they got.
	asked, used int
	// next is where the next argument by name is if both sides have one order.
	next int
}

// mostArguments bounds the table: an argument of one byte takes one of its entries, which are far larger.
const mostArguments = 100_000

var errTooManyArguments = fmt.Errorf("more than %d arguments", mostArguments)

type argument struct {
	name []byte
	// at is where the value begins: an offset or an index, as the reader likes.
	at   int
	used bool
}

func (a *arguments) reset() {
	const keep = 64
	if cap(a.list) > keep {
		a.list = nil
	}
	clear(a.list)
	*a = arguments{list: a.list[:0]}
}

// addPositional reports whether there was room.
func (a *arguments) addPositional(at int) bool {
	a.list = append(a.list, argument{at: at})
	a.positional++
	a.next = a.positional
	return len(a.list) <= mostArguments
}

// addNamed reports whether there was room.
func (a *arguments) addNamed(name []byte, at int) bool {
	a.list = append(a.list, argument{name: name, at: at})
	return len(a.list) <= mostArguments
}

// find returns where the next field of a call is, or what is wrong with it.
func (a *arguments) find(name string) (at int, problem string) {
	i := a.asked
	a.asked++
	if i >= a.positional {
		if at, ok := a.named(name); ok {
			return at, ""
		}
		return 0, "missing"
	}
	if len(a.list) > a.positional {
		if _, ok := a.named(name); ok {
			return 0, "given twice, by position and by name"
		}
	}
	return a.list[i].at, ""
}

// named finds an argument by name; at once if it follows the last one found.
func (a *arguments) named(name string) (at int, ok bool) {
	for i := a.next; i < len(a.list); i++ {
		if string(a.list[i].name) == name {
			return a.take(i), true
		}
	}
	for i := a.positional; i < a.next; i++ {
		if !a.list[i].used && string(a.list[i].name) == name {
			return a.take(i), true
		}
	}
	return 0, false
}

func (a *arguments) take(i int) int {
	a.list[i].used = true
	a.used++
	a.next = i + 1
	return a.list[i].at
}

// leftover is the error about arguments that no field asked for.
func (a *arguments) leftover() error {
	if a.positional > a.asked {
		return &ArgumentError{Problem: fmt.Sprintf("takes %d arguments, got %d by position", a.asked, a.positional)}
	}
	named := a.list[a.positional:]
	if a.used == len(named) {
		return nil
	}
	for i := range named {
		if named[i].used {
			continue
		}
		name := string(named[i].name)
		for j := range named {
			if named[j].used && string(named[j].name) == name {
				return &ArgumentError{Argument: name, Problem: "given twice"}
			}
		}
		return &ArgumentError{Argument: name, Problem: "unknown"}
	}
	return nil
}
