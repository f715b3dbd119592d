package mail

import (
	"fmt"
	"strings"
	"unicode"
)

// oneLine makes a text safe for a header and for one line of a body: what is no visible character is a space, and
// what could be read as an encoded word isn't. It keeps at most limit characters.
func oneLine(text string, limit int) string {
	words := strings.FieldsFunc(cut(text, limit), func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' })
	line := strings.Join(words, " ")
	for strings.Contains(line, "=?") {
		line = strings.ReplaceAll(line, "=?", "= ?")
	}
	return cut(strings.ToValidUTF8(line, "\uFFFD"), limit)
}

// lines makes a text of several lines safe for a body, each of them indented, so that none can pass for
// one of ours. What is no visible character is escaped. It keeps at most limit characters.
func lines(text string, limit int) string {
	var out strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(cut(strings.ToValidUTF8(text, "\uFFFD"), limit), "\r\n", "\n")) {
		out.WriteString(strings.TrimRight("  "+visible(strings.TrimSuffix(line, "\n")), " \t") + "\n")
	}
	return out.String()
}

func visible(line string) string {
	if strings.IndexFunc(line, hidden) < 0 {
		return line
	}
	var out strings.Builder
	for _, r := range line {
		if hidden(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) && r != '\t' }

// cut keeps at most limit characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	n, last := 0, 0
	for i := range text {
		switch n {
		case limit - 1:
			last = i
		case limit:
			return text[:last] + "…"
		}
		n++
	}
	return text
}
