package emit

import (
	"go/build/constraint"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/taskgen/taskgen/internal/model"
)

// doc is the comment of a task's variable: the user's own, told of the stub
// instead of the function, and the name that the task has on the wire. A line
// that the formatter would take for a build constraint of the file is left out.
func doc(t *model.Task) []string {
	name := strconv.Quote(t.Name)
	var lines []string
	for _, text := range t.Doc {
		for line := range strings.SplitSeq(text, "\n") {
			if line = printable(line); !constraint.IsPlusBuild("// " + line) {
				lines = append(lines, line)
			}
		}
	}
	lines = trim(lines)
	if len(lines) == 0 {
		return []string{t.Stub + " is the task " + name + "."}
	}
	lines[0] = rename(lines[0], t.Func, t.Stub)
	return append(lines, "", "Task "+name+".")
}

// trim drops the empty lines at both ends.
func trim(lines []string) []string {
	for len(lines) > 0 && strings.TrimSpace(lines[0]) == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && strings.TrimSpace(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// rename replaces the first word of line if it is from.
func rename(line, from, to string) string {
	rest, found := strings.CutPrefix(line, from)
	if !found {
		return line
	}
	if r, _ := utf8.DecodeRuneInString(rest); r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
		return line
	}
	return to + rest
}

// printable drops what must not or should not stand in Go source: control
// characters, byte order marks, and the marks that make a line read otherwise
// than it compiles.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case unicode.IsControl(r), r == '\ufeff', unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, ""))
}
