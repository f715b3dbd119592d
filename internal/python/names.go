package python

import (
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// keywords can't be names. The soft ones can.
var keywords = strings.Fields(`False None True and as assert async await break class continue def del elif else except finally for from
	global if import in is lambda nonlocal not or pass raise return try while with yield`)

// builtins are those that the module uses at its top level.
var builtins = strings.Fields("bool bytearray bytes dict float int isinstance len list repr str sum tuple zip TypeError ValueError")

// declared matches what support.py declares and imports.
var declared = regexp.MustCompile(`(?m)^(?:def|class) (\w+)|^(\w+)(?:: Any)? = |^(?:    )?import .*?(\w+)$|^from [\w.]+ import (.*)$`)

// newScope is the module's, without tasks.
func newScope() *names.Scope {
	scope := (&names.Scope{}).Inner()
	scope.Take(keywords...)
	scope.Take(builtins...)
	for _, m := range declared.FindAllStringSubmatch(support, -1) {
		for _, group := range m[1:] {
			scope.Take(strings.Split(group, ", ")...)
		}
	}
	return scope
}

// free is name, with an underscore behind it if it is taken, as Python's style guide has it, or else with a number. What
// was a keyword of Go's has one anyway.
func free(scope *names.Scope, name string) string {
	if scope.Has(name) || token.IsKeyword(name) {
		name += "_"
	}
	return scope.Fresh(name)
}

// nameTasks calls each task as its stub, in snake case. Those that would share a name get that of their package in
// front of it, or as much of the import path as it takes.
func (m *module) nameTasks() {
	elements := map[*task]int{}
	for range 8 {
		byName := map[string][]*task{}
		for _, t := range m.tasks {
			t.name = qualified(t.pkg, elements[t], names.Snake(t.Stub))
			byName[t.name] = append(byName[t.name], t)
		}
		clash := false
		for _, same := range byName {
			if len(same) > 1 {
				clash = true
				for _, t := range same {
					elements[t]++
				}
			}
		}
		if !clash {
			break
		}
	}
	for _, t := range m.tasks {
		t.name = free(m.scope, t.name)
	}
	for _, t := range m.tasks {
		t.class = m.scope.Fresh("_" + camel(t.name))
	}
}

// qualified puts the last n elements of the import path in front of a name, the package's name for the last one.
func qualified(p *model.Package, n int, name string) string {
	dir := p.Path
	for i := range n {
		element := path.Base(dir)
		if i == 0 {
			element = p.Name
		}
		name = names.Snake(identifier(element)) + "_" + name
		if dir = path.Dir(dir); dir == "." || dir == "/" {
			break
		}
	}
	return name
}

// nameRecords finds the structs that tasks need, and calls them as Go does; those that would share a name get that of
// their package in front of it.
func (m *module) nameRecords() {
	for _, t := range m.tasks {
		for _, p := range t.arguments() {
			m.need(t.pkg, p.Type)
		}
		if t.Result != nil {
			m.need(t.pkg, t.Result)
		}
	}
	keys := make([]string, 0, len(m.records))
	count := map[string]int{}
	for key, r := range m.records {
		keys = append(keys, key)
		r.name = camel(identifier(r.Name))
		count[r.name]++
	}
	slices.Sort(keys)
	for _, key := range keys {
		r := m.records[key]
		if count[r.name] > 1 {
			r.name = camel(r.Package) + r.name
		}
		r.name = free(m.scope, r.name)
	}
}

// need notes the structs of a type.
func (m *module) need(p *model.Package, t *model.Type) {
	switch {
	case t == nil:
	case t.Kind == model.Object:
		if m.records[t.Record] == nil {
			r := &record{Record: p.Records[t.Record]}
			m.records[t.Record] = r
			for _, f := range r.Fields {
				m.need(p, f.Type)
			}
		}
	default:
		m.need(p, t.Key)
		m.need(p, t.Elem)
		m.need(p, t.JSON)
	}
}

// camel is user_name as UserName.
func camel(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		runes := []rune(word)
		if len(runes) > 0 {
			runes[0] = unicode.ToUpper(runes[0])
		}
		b.WriteString(string(runes))
	}
	return b.String()
}

var notWord = regexp.MustCompile(`[^\pL\p{Nd}_]+`)

// identifier makes one of any text: Page[User] is Page_User.
func identifier(text string) string {
	text = strings.Trim(notWord.ReplaceAllString(text, "_"), "_")
	if text == "" || unicode.IsDigit([]rune(text)[0]) {
		return "x" + text
	}
	return text
}
