package worker

import (
	"fmt"
	"strings"
	"unicode"
)

// printable escapes what could control a terminal, but for line ends and tabs: the text
// comes from messages. It escapes as JSON does, so that JSON stays what it is.
func printable(text string) string {
	if !strings.ContainsFunc(text, controls) {
		return text
	}
	var out strings.Builder
	for _, r := range text {
		if controls(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// controls says whether r moves the cursor, colours, or reverses what is shown.
func controls(r rune) bool {
	switch {
	case r == '\n', r == '\t':
		return false
	case r >= 0x200e && r <= 0x200f, r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return unicode.IsControl(r)
}
