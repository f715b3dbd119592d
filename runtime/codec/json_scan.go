package codec

import (
	"fmt"
	"unicode/utf8"
)

// scanner checks JSON text before anything is decoded from it. It also knows
// the NaN, Infinity and -Infinity of Python's encoder.
type scanner struct {
	text []byte
	// parts counts the elements and entries of all lists and maps.
	parts int
	err   error
}

// skip returns where the value at i ends, or -1 after an error. depth is the
// number of lists and maps around it.
func (s *scanner) skip(i, depth int) int {
	if i >= len(s.text) {
		return s.fail(i)
	}
	switch c := s.text[i]; c {
	case '"':
		return s.skipString(i)
	case '[':
		return s.skipList(i, depth)
	case '{':
		return s.skipMap(i, depth)
	case 't':
		return s.skipWord(i, "true")
	case 'f':
		return s.skipWord(i, "false")
	case 'n':
		return s.skipWord(i, "null")
	case 'N':
		return s.skipWord(i, "NaN")
	case 'I':
		return s.skipWord(i, "Infinity")
	default:
		return s.skipNumber(i)
	}
}

func (s *scanner) fail(i int) int {
	if s.err == nil {
		s.err = fmt.Errorf("cut off or not valid at byte %d", i)
	}
	return -1
}

func (s *scanner) skipList(i, depth int) int {
	if depth >= maxDepth {
		s.err = errTooDeep
		return -1
	}
	at, done := s.first(i, ']')
	for !done {
		if at = s.skip(at, depth+1); at < 0 {
			return at
		}
		at, done = s.more(at, ']')
	}
	return at
}

func (s *scanner) skipMap(i, depth int) int {
	if depth >= maxDepth {
		s.err = errTooDeep
		return -1
	}
	at, done := s.first(i, '}')
	for !done {
		if _, at = s.key(at); at < 0 {
			return at
		}
		if at = s.skip(at, depth+1); at < 0 {
			return at
		}
		at, done = s.more(at, '}')
	}
	return at
}

// first enters the list or map at i, and returns where its first element or
// key is, or its end if it is empty.
func (s *scanner) first(i int, end byte) (at int, done bool) {
	at = s.space(i + 1)
	if at < len(s.text) && s.text[at] == end {
		return at + 1, true
	}
	s.parts++
	return at, false
}

// more goes from the end of an element or entry to the next one, or to the
// end of the whole.
func (s *scanner) more(i int, end byte) (at int, done bool) {
	at = s.space(i)
	switch {
	case at >= len(s.text):
	case s.text[at] == end:
		return at + 1, true
	case s.text[at] == ',':
		s.parts++
		return s.space(at + 1), false
	}
	return s.fail(at), true
}

// key passes the key at i, and returns its end and where its value begins.
func (s *scanner) key(i int) (end, value int) {
	if i >= len(s.text) || s.text[i] != '"' {
		return 0, s.fail(i)
	}
	if end = s.skipString(i); end < 0 {
		return 0, end
	}
	colon := s.space(end)
	if colon >= len(s.text) || s.text[colon] != ':' {
		return 0, s.fail(colon)
	}
	return end, s.space(colon + 1)
}

func (s *scanner) space(i int) int {
	for i < len(s.text) {
		switch s.text[i] {
		case ' ', '\t', '\r', '\n':
			i++
		default:
			return i
		}
	}
	return i
}

func (s *scanner) skipWord(i int, word string) int {
	if end := i + len(word); end <= len(s.text) && string(s.text[i:end]) == word {
		return end
	}
	return s.fail(i)
}

func (s *scanner) skipString(i int) int {
	for i++; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			n := escapeLen(s.text[i:])
			if n == 0 {
				return s.fail(i)
			}
			i += n - 1
		case c < 0x20:
			return s.fail(i)
		}
	}
	return s.fail(i)
}

// escapeLen is the length of the escape that b begins with; 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 reads the four hexadecimal digits that b begins with.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *scanner) skipNumber(i int) int {
	start := i
	if s.text[i] == '-' {
		i++
		if i < len(s.text) && s.text[i] == 'I' {
			return s.skipWord(i, "Infinity")
		}
	}
	first := i
	if i = s.digits(i); i < 0 || s.text[first] == '0' && i > first+1 {
		return s.fail(start)
	}
	if i < len(s.text) && s.text[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return s.fail(start)
		}
	}
	if i < len(s.text) && s.text[i]|0x20 == 'e' {
		i++
		if i < len(s.text) && (s.text[i] == '+' || s.text[i] == '-') {
			i++
		}
		if i = s.digits(i); i < 0 {
			return s.fail(start)
		}
	}
	return i
}

// digits passes at least one digit.
func (s *scanner) digits(i int) int {
	start := i
	for i < len(s.text) && '0' <= s.text[i] && s.text[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// validJSON says whether text is one JSON value, as this package reads it.
func validJSON(text []byte) bool {
	s := scanner{text: text}
	return s.whole(0) == nil
}

// whole checks that the text is one value with nothing but space around it.
func (s *scanner) whole(depth int) error {
	if !utf8.Valid(s.text) {
		return errNotUTF8
	}
	end := s.skip(s.space(0), depth)
	if s.err == nil && s.space(end) < len(s.text) {
		return errTrailing
	}
	return s.err
}
