package directive

import (
	"errors"
	"strings"
	"unicode"

	"github.com/taskgen/taskgen/internal/model"
)

// meantError is what is wrong with a value of which it can be told what was meant.
type meantError struct{ why, value string }

func (e *meantError) Error() string { return e.why }

// fits says whether a key takes a value.
func (k *Key) fits(value string) bool {
	if (k.Value == "") != (value == "") || !k.list && strings.Contains(value, " ") {
		return false
	}
	return k.apply(new(model.Options), value) == nil
}

// repair returns the value that was meant by one that does not fit, if that can be told.
func (k *Key) repair(value string) (string, bool) {
	if k.Value == "" || value == "" {
		return "", false
	}
	if meant, ok := errors.AsType[*meantError](k.apply(new(model.Options), value)); ok {
		return meant.value, true
	}
	for _, cut := range []string{" //", " #"} { // a comment behind a directive
		value, _, _ = strings.Cut(value, cut)
	}
	value = strings.Trim(value, "\"'`;, ")
	candidates := []string{value, strings.ToLower(value), synonyms[strings.ToLower(value)]}
	if value != "" && unicode.IsDigit(rune(value[0])) {
		candidates = append(candidates, strings.ToLower(strings.ReplaceAll(value, " ", ""))) // 5 m, 100 / M
	}
	for _, candidate := range candidates {
		if candidate != "" && k.fits(candidate) {
			return candidate, true
		}
	}
	return "", false
}

// synonyms are what other languages and tools say for the values here.
var synonyms = map[string]string{
	"yes": "true", "on": "true", "1": "true",
	"no": "false", "off": "false", "0": "false", "false": "false",
	"null": "none", "nil": "none", "unlimited": "none",
}

// fixed is a complete directive of the key: with the user's value if it fits or can be repaired, else an example.
func fixed(key *Key, value string) string {
	value = strings.Join(strings.Fields(value), " ")
	if _, what := hostile(value); what != "" {
		return example(key)
	}
	if key.fits(value) {
		return Directive{Key: key.Name, Value: value}.String()
	}
	if meant, ok := key.repair(value); ok {
		return Directive{Key: key.Name, Value: meant}.String()
	}
	return example(key)
}
