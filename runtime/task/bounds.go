package task

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Limits that hold for everybody who sends and who works, so that no setting of one is a surprise for the other.
const (
	// maxName bounds the id and the name of a task, in bytes: what an AMQP property holds.
	maxName = 255
	// maxHeaders bounds the values in the headers of a message, those in lists and maps included; maxHeaderBytes what
	// they take, so that they fit beside the reason into the headers of a dead letter.
	maxHeaders     = 1000
	maxHeaderBytes = 64 << 10
)

// checkName wants what shows as one line in every log: no control characters, no line ends of any kind,
// nothing that turns the reading direction. Python's names have more than letters, such as "<lambda>".
func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("want 1 to %d bytes, got %d", maxName, len(name))
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return checkRunes(name)
		}
	}
	return nil
}

func checkRunes(name string) error {
	if !utf8.ValidString(name) {
		return errors.New("the text is not UTF-8")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%.100q has the character %U, which can't be printed", name, r)
		}
	}
	return nil
}

// headerSize is what headers take, about as on the wire.
type headerSize struct{ values, bytes int }

// checkHeaders refuses too many headers and too large ones.
func checkHeaders(headers map[string]any) error {
	var size headerSize
	size.addMap(headers)
	switch {
	case size.values > maxHeaders:
		return fmt.Errorf("the headers have more than %d values", maxHeaders)
	case size.bytes > maxHeaderBytes:
		return fmt.Errorf("the headers take more than %d bytes", maxHeaderBytes)
	}
	return nil
}

// add counts a value, and stops counting where there is too much anyway.
func (s *headerSize) add(value any) {
	s.values++
	if s.values > maxHeaders {
		return
	}
	const head = 5
	s.bytes += head
	switch v := value.(type) {
	case string:
		s.bytes += len(v)
	case []byte:
		s.bytes += len(v)
	case []any:
		for _, element := range v {
			s.add(element)
		}
	case map[string]any:
		s.addMap(v)
	}
}

func (s *headerSize) addMap(headers map[string]any) {
	for name, value := range headers {
		s.bytes += len(name)
		s.add(value)
		if s.values > maxHeaders {
			return
		}
	}
}

// checkYear wants a time that every reader of ISO 8601 reads.
func checkYear(year int) error {
	if year < 1 || year > 9999 {
		return errors.New("want a time in the years 1 to 9999")
	}
	return nil
}
