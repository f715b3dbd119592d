package mail

import "strings"

// fold replaces what varies in the text of an error from one failure to the next: numbers, hexadecimal
// numbers, UUIDs, random words with digits in them, and what is quoted. So "user 17 not found" and "user
// 18 not found" are one error.
func fold(text string) string {
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case quoted(text[i:]) > 0 && (i == 0 || !alphanumeric(text[i-1])):
			i += quoted(text[i:])
			fill(&out)
		case isUUID(text[i:]):
			i += uuidLength
			fill(&out)
		case alphanumeric(c):
			n := 1
			for i+n < len(text) && alphanumeric(text[i+n]) {
				n++
			}
			foldWord(&out, text[i:i+n])
			i += n
		default:
			out.WriteByte(c)
			i++
		}
	}
	return out.String()
}

// foldWord writes a word without its number: "users" as it is, "user17" as "user#", "a8Zk3Q" as "#".
func foldWord(out *strings.Builder, word string) {
	letters := strings.TrimRight(word, "0123456789")
	if strings.ContainsAny(letters, "0123456789") {
		letters = ""
	}
	out.WriteString(letters)
	if len(letters) < len(word) {
		fill(out)
	}
}

// fill writes a "#". Numbers that are joined, as in a time or an address, are one.
func fill(out *strings.Builder) {
	if s := out.String(); len(s) > 1 && s[len(s)-2] == '#' && strings.IndexByte("-.:,/", s[len(s)-1]) >= 0 {
		return
	}
	out.WriteByte('#')
}

// quoted is the length of the quoted text that s begins with, 0 if it does with none. An apostrophe does
// not begin one: what precedes it is a letter.
func quoted(s string) int {
	if strings.IndexByte("\"'`", s[0]) < 0 {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return 0
}

const uuidLength = 36

func isUUID(s string) bool {
	if len(s) < uuidLength || len(s) > uuidLength && alphanumeric(s[uuidLength]) {
		return false
	}
	for i := range uuidLength {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !hexadecimal(s[i]) {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return hexadecimal(c) || c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' }

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
