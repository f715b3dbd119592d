package control

import (
	"fmt"
	"strings"

	"github.com/taskgen/taskgen/runtime/codec"
)

// maxRepr is how much of a value of somebody else's is shown in an answer.
const maxRepr = 1024

// quote shows a text as Python does.
func quote(text string) string { return codec.ReprTree(text, maxRepr) }

// set shows texts as Python shows a set of them.
func set(all []string) string {
	if len(all) == 0 {
		return "set()"
	}
	quoted := make([]string, len(all))
	for i := range all {
		quoted[i] = quote(all[i])
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}

// pythonError is an error that shows as Python's repr of an exception, which is what Celery's tools are used to.
func pythonError(class, format string, args ...any) error {
	return fmt.Errorf("%s(%s)", class, quote(fmt.Sprintf(format, args...)))
}
