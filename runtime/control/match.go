package control

import (
	"regexp"
	"strings"
)

// maxPattern bounds a pattern, in bytes. Go's expressions take time in proportion to that and to the name, whatever they are.
const maxPattern = 1000

// matches says whether a pattern chooses a worker: a glob as Python's fnmatch has it, or an expression
// that is matched at the beginning of the name, as Python's re.match does. What does not compile chooses nobody.
func matches(worker, pattern, matcher string) bool {
	if len(pattern) > maxPattern {
		return false
	}
	switch matcher {
	case "glob":
		pattern = globExpression(pattern)
	case "pcre":
		pattern = "^(?:" + pattern + ")"
	default:
		return false
	}
	expression, err := regexp.Compile(pattern)
	return err == nil && expression.MatchString(worker)
}

// globExpression is the expression that matches what a glob does: * any text, ? a character, [a-z] or [!a-z] one of some.
func globExpression(glob string) string {
	var out strings.Builder
	out.WriteString(`(?s)^`)
	for len(glob) > 0 {
		head := glob[:1]
		glob = glob[1:]
		switch head {
		case "*":
			out.WriteString(".*")
		case "?":
			out.WriteString(".")
		case "[":
			class, rest, ok := globClass(glob)
			if ok {
				out.WriteString(class)
				glob = rest
				continue
			}
			fallthrough
		default:
			out.WriteString(regexp.QuoteMeta(head))
		}
	}
	out.WriteString("$")
	return out.String()
}

// globClass reads a set of characters, whose bracket is open already. A ] at its beginning is one of them.
func globClass(glob string) (class, rest string, ok bool) {
	not := ""
	if strings.HasPrefix(glob, "!") {
		not, glob = "^", glob[1:]
	}
	if glob == "" {
		return "", "", false
	}
	end := strings.Index(glob[1:], "]") + 1
	if end == 0 {
		return "", "", false
	}
	set := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(glob[:end])
	return "[" + not + set + "]", glob[end+1:], true
}
