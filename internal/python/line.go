package python

import (
	"strings"
	"unicode/utf8"
)

// widest is where lines of code are broken, as most Python formatters can be told to.
const widest = 120

// line is head, the items and tail on one line, or with a line for each item where that would be too long.
func line(indent, head string, items []string, tail string) string {
	one := indent + head + strings.Join(items, ", ") + tail
	if utf8.RuneCountInString(one) <= widest || len(items) == 0 {
		return one + "\n"
	}
	var b strings.Builder
	b.WriteString(indent + head + "\n")
	for _, item := range items {
		b.WriteString(indent + "    " + item + ",\n")
	}
	b.WriteString(indent + tail + "\n")
	return b.String()
}
