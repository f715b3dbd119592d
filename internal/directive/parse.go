package directive

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/taskgen/taskgen/internal/model"
)

// Prefix is how every directive begins.
const Prefix = "//task:"

// Directive is one well-formed directive.
type Directive struct {
	Key   string
	Value string // words with one space between them
	Pos   token.Pos
}

// String is the directive in its canonical spelling.
func (d Directive) String() string {
	if d.Value == "" {
		return Prefix + d.Key
	}
	return Prefix + d.Key + " " + d.Value
}

// Apply sets what the directive says. It can be trusted to fit: [Parse] has tried it.
func (d Directive) Apply(o *model.Options) { _ = lookup(d.Key).apply(o, d.Value) }

// Target says what the directive can be written on.
func (d Directive) Target() Target { return lookup(d.Key).Target }

// SyntaxError is what is wrong with a comment that is, or was meant to be, a directive.
type SyntaxError struct {
	Pos     token.Pos
	Message string
}

func (e *SyntaxError) Error() string { return e.Message }

// Parse reads one comment line, "//" included, that begins at pos. It returns nil, nil
// for a comment that is no directive and was not meant to be one.
func Parse(pos token.Pos, text string) (*Directive, error) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return nil, nearMiss(pos, text)
	}
	fail := func(offset int, format string, args ...any) (*Directive, error) {
		return nil, &SyntaxError{pos + token.Pos(offset), fmt.Sprintf(format, args...)}
	}
	if at, what := hostile(rest); what != "" {
		return fail(len(Prefix)+at, "%s has no place in a directive", what)
	}
	if rest == "" || unicode.IsSpace(rune(rest[0])) {
		return fail(0, "%s is followed by a key without a space, such as //task:define", Prefix)
	}
	d, ok := ast.ParseDirective(pos, text)
	if !ok { // an upper case letter or other character begins the key
		word, value, _ := strings.Cut(rest, " ")
		return fail(len(Prefix), "unknown key %q: %s", shorten(word), suggest(word, value))
	}
	name, value := d.Name, strings.Join(strings.Fields(d.Args), " ")
	key := lookup(name)
	if key == nil {
		if word, assigned, split := cutAssignment(name); split && lookup(word) != nil {
			return fail(len(Prefix)+len(word), "a directive has a space between key and value: write %s", fixed(lookup(word), assigned+" "+value))
		}
		word, _, _ := cutAssignment(name)
		return fail(len(Prefix), "unknown key %q: %s", shorten(word), suggest(name, value))
	}
	valueAt := int(d.ArgsPos - pos)
	switch {
	case key.Value == "" && synonyms[strings.ToLower(value)] == "false":
		return fail(valueAt, "%s takes no value: remove the line if it is not to be", key.Name)
	case key.Value == "" && value != "":
		return fail(valueAt, "%s takes no value: write %s%s", key.Name, Prefix, key.Name)
	case key.Value != "" && value == "":
		return fail(0, "%s needs a value: write %s", key.Name, example(key))
	case strings.HasPrefix(value, "="):
		return fail(valueAt, "a directive has a space between key and value: write %s", fixed(key, strings.TrimLeft(value, "= ")))
	case !key.list && strings.Contains(value, " "):
		return fail(valueAt, "%s takes one value, not %q: write %s", key.Name, shorten(value), fixed(key, value))
	}
	if err := key.apply(new(model.Options), value); err != nil {
		advice := "; for example " + example(key)
		if meant, ok := key.repair(value); ok {
			advice = ": write " + Directive{Key: key.Name, Value: meant}.String()
		}
		return fail(valueAt, "bad value %q for %s: %v%s", shorten(value), key.Name, err, advice)
	}
	return &Directive{Key: key.Name, Value: value, Pos: pos}, nil
}

// longestLine is far more than any directive needs.
const longestLine = 4096

// hostile finds what would be dangerous or misleading in a directive.
func hostile(text string) (at int, what string) {
	if len(text) > longestLine {
		return 0, fmt.Sprintf("a line of %d bytes", len(text))
	}
	for i, r := range text {
		switch {
		case r == utf8.RuneError:
			return i, "text that is not UTF-8"
		case r != '\t' && !unicode.IsPrint(r):
			return i, fmt.Sprintf("the invisible character %U", r)
		}
	}
	return 0, ""
}

// attempt matches comments that may be directives gone wrong: group 1 is the
// space before task, 2 what was written for "task:", 3 the space after it, 4
// the key, 5 the rest.
var attempt = regexp.MustCompile(`^/[/*]([ \t]*)((?i:task(?:gen|s)?)[ \t]*:)([ \t]*)([A-Za-z_][\w-]*)(.*)$`)

// nearMiss returns an error for a comment that was meant as a directive, and nil for prose.
func nearMiss(pos token.Pos, text string) error {
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimRight(strings.TrimSuffix(line, "*/"), " \t\r")
	m := attempt.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	before, prefix, after, word, rest := m[1], m[2], m[3], m[4], m[5]
	name := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	key := lookup(name)
	if key == nil && (after == "" || strings.Contains(name, "_")) {
		key = lookup(closest(name))
	}
	if w := lookupWord(name); key == nil && w != nil && strings.Contains(name, "_") {
		return &SyntaxError{pos, fmt.Sprintf("unknown key %q: %s", name, w.advice(strings.TrimLeft(rest, " \t=:")))}
	}
	if key == nil {
		return nil
	}
	if after != "" && !plausible(key, name, rest) {
		return nil // prose such as "task: name of the game"
	}
	var wrong string
	switch {
	case strings.HasPrefix(text, "/*"):
		wrong = "a directive is a // comment"
	case before != "":
		wrong = "a directive has no space after the slashes"
	case prefix != "task:":
		wrong = fmt.Sprintf("a directive begins with %s, not //%s", Prefix, prefix)
	default: // unreachable as long as Parse handles the prefix itself
		wrong = "a directive has no space after the colon"
	}
	if after != "" && before != "" {
		wrong = "a directive has no space after the slashes nor after the colon (gofmt turns //task: x into // task: x)"
	}
	return &SyntaxError{pos, fmt.Sprintf("%s: write %s", wrong, fixed(key, strings.TrimLeft(rest, " \t=:")))}
}

// plausible tells a directive with stray spaces from prose: rest is what follows
// the key. Keys with an underscore don't occur in prose.
func plausible(key *Key, name, rest string) bool {
	words := strings.Fields(rest)
	switch {
	case strings.HasPrefix(rest, "="), strings.Contains(name, "_"):
		return true
	case rest != "" && rest[0] != ' ' && rest[0] != '\t':
		return false // "task: name, …"
	case key.Value == "":
		return len(words) == 0
	case len(words) == 0, len(words) > 1 && !key.list:
		return false
	default:
		return key.apply(new(model.Options), strings.Join(words, " ")) == nil
	}
}

func cutAssignment(word string) (key, value string, ok bool) {
	i := strings.IndexAny(word, "=:(")
	if i < 0 {
		return word, "", false
	}
	return word[:i], strings.TrimSuffix(word[i+1:], ")"), true
}

// shorten keeps messages readable.
func shorten(text string) string {
	const limit = 60
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit]) + "…"
}

func example(key *Key) string {
	if key.Example == "" {
		return Prefix + key.Name
	}
	return Prefix + key.Example
}

// suggest is what to write instead of an unknown key and its value.
func suggest(name, value string) string {
	if word, assigned, ok := cutAssignment(name); ok {
		name, value = word, assigned+" "+value
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	if w := lookupWord(name); w != nil {
		return w.advice(value)
	}
	if key := closest(name); key != "" {
		return fmt.Sprintf("did you mean %s?", fixed(lookup(key), value))
	}
	names := make([]string, len(table))
	for i, key := range table {
		names[i] = key.Name
	}
	return "the keys are " + strings.Join(names, " ")
}

// closest returns the key that a misspelt name most likely means, or "".
func closest(name string) string {
	best, distance := "", len(name)/3+1
	for _, key := range table {
		if squash(key.Name) == squash(name) {
			return key.Name
		}
		if d := edits(name, key.Name); d < distance || (d == distance && best == "" && d <= 2 && len(name) > 4) {
			best, distance = key.Name, d
		}
	}
	return best
}

func squash(name string) string { return strings.ReplaceAll(name, "_", "") }

// edits counts the insertions, deletions, replacements and swaps of neighbours
// between two words.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	rows := [3][]int{}
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
	}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
