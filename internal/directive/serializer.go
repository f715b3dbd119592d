package directive

import (
	"errors"
	"regexp"
	"strings"
)

// serializers are those that every program has.
var serializers = []string{"msgpack", "json", "yaml", "gob"}

var serializerName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// checkSerializer says whether a name can be that of a serializer. One that is not built in is taken at its
// word: programs register theirs as they start. But it must not look like a slip.
func checkSerializer(name string) error {
	if name == "pickle" {
		return &meantError{"whoever can send a pickle can run any code in the worker, so none is ever read; gob carries any Go value", "gob"}
	}
	for _, known := range serializers {
		if name == known {
			return nil
		}
		if slip(name, known) {
			return &meantError{"did you mean " + known + "? (one of your own needs a name that is no near miss)", known}
		}
	}
	if !serializerName.MatchString(name) {
		return errors.New("a serializer's name is made of lower case letters, digits, - and _")
	}
	return nil
}

// slip says whether name is known with a slip of the pen. A letter that known does
// not have makes another word: bson is no json.
func slip(name, known string) bool {
	name = strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
	limit := 1
	if len(known) > 4 {
		limit = 2
	}
	return name != "" && strings.Trim(name, known) == "" && edits(name, known) <= limit
}
