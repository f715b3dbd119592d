// Package diag holds what the generator has to say about the user's code.
package diag

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
)

// Severity says whether code can be generated all the same.
type Severity int

// The severities.
const (
	Error Severity = iota
	Warning
)

// Diagnostic is one thing that the user should change, and where.
type Diagnostic struct {
	Pos token.Position
	// Message says what is wrong and how to put it right.
	Message string
	// Related are other places that the message speaks of.
	Related  []Related
	Severity Severity
}

// Related is another place that a diagnostic speaks of.
type Related struct {
	Pos     token.Position
	Message string
}

// List collects diagnostics. The zero value is ready to use.
type List []Diagnostic

// Errorf adds an error and returns it, so that related places can be added.
// The pointer is valid until the next addition.
func (l *List) Errorf(pos token.Position, format string, args ...any) *Diagnostic {
	return l.add(Error, pos, format, args)
}

// Warnf adds a warning and returns it.
func (l *List) Warnf(pos token.Position, format string, args ...any) *Diagnostic {
	return l.add(Warning, pos, format, args)
}

func (l *List) add(severity Severity, pos token.Position, format string, args []any) *Diagnostic {
	*l = append(*l, Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...), Severity: severity})
	return &(*l)[len(*l)-1]
}

// Relatef adds another place.
func (d *Diagnostic) Relatef(pos token.Position, format string, args ...any) {
	d.Related = append(d.Related, Related{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// HasErrors says whether there is anything but warnings.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Sort orders the list by position and drops repetitions: what is said twice
// about one place is said once.
func (l *List) Sort() {
	slices.SortStableFunc(*l, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(a.Pos.Filename, b.Pos.Filename),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Message, b.Message),
		)
	})
	*l = slices.CompactFunc(*l, func(a, b Diagnostic) bool {
		return a.Pos.Filename == b.Pos.Filename && a.Pos.Line == b.Pos.Line &&
			a.Pos.Column == b.Pos.Column && a.Message == b.Message
	})
}

// Format renders the diagnostic as "file:line:col: message", and each related
// place on an indented line of the same form below it. Files inside of dir are
// named relative to it.
func (d Diagnostic) Format(dir string) string {
	var b strings.Builder
	b.WriteString(place(d.Pos, dir))
	if d.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(d.Message)
	for _, r := range d.Related {
		b.WriteString("\n\t" + place(r.Pos, dir) + r.Message)
	}
	return b.String()
}

// Format renders all diagnostics, one a line.
func (l List) Format(dir string) string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.Format(dir) + "\n")
	}
	return b.String()
}

// place is "file:line:col: ", as far as known.
func place(pos token.Position, dir string) string {
	if rel, err := filepath.Rel(dir, pos.Filename); dir != "" && err == nil && filepath.IsLocal(rel) {
		pos.Filename = rel
	}
	if !pos.IsValid() && pos.Filename == "" {
		return ""
	}
	return pos.String() + ": "
}
