package python

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// defaultQueue is that of a task which names none.
const defaultQueue = "tasks"

// arguments are the parameters that travel.
func (t *task) arguments() []*model.Param {
	return slices.DeleteFunc(slices.Clone(t.Params), func(p *model.Param) bool { return p.Injected != model.Argument })
}

// task writes a task: a class with its types, and its one instance.
func (m *module) task(b *strings.Builder, t *task) {
	result := "None"
	if t.Result != nil && !t.Options.IgnoreResult {
		result = m.result(t.Result)
	}
	args, params := t.arguments(), m.parameters(t)
	tuple := make([]string, len(args))
	wire := make([]string, len(args))
	for i, p := range args {
		tuple[i], wire[i] = m.argument(p.Type), quote(p.Wire)
	}
	if len(tuple) == 0 {
		tuple = []string{"()"}
	}
	b.WriteString("\n\n" + line("", "class "+t.class+"(_Task[tuple[", tuple, "], "+result+"]):"))
	docstring(b, t)
	method := func(name, types string, params []parameter, tail string) {
		b.WriteString("\n" + line("    ", "def "+name+"(", list(params), ") -> "+types+"["+result+"]:"))
		b.WriteString(line("        ", "return self._s({", kwargs(params), tail))
	}
	method("delay", "Result", params, "}).delay()")
	method("s", "Signature", params, "})")
	method("si", "Signature", params, "}, immutable=True)")
	if len(params) > 0 && !params[0].variadic && !t.routedBy(args[0]) {
		method("partial", "Signature", params[1:], "})")
	}
	b.WriteString("\n\n" + t.name + " = " + t.class + "(\n")
	b.WriteString("    " + quote(t.Name) + ",\n")
	b.WriteString(line("    ", "[", wire, "],"))
	b.WriteString(line("    ", "{", options(&t.Options), "},"))
	if len(t.Options.Secret) > 0 {
		secret := make([]string, len(t.Options.Secret))
		for i, name := range t.Options.Secret {
			secret[i] = quote(name)
		}
		b.WriteString(line("    ", "secret=[", secret, "],"))
	}
	b.WriteString(")\n")
}

// routedBy says whether the task's destination depends on an argument.
func (t *task) routedBy(p *model.Param) bool {
	return strings.Contains(t.Options.RoutingKey, "{"+p.Wire+"}")
}

// parameter is one of a method.
type parameter struct {
	name, wire, annotation string
	variadic               bool
}

func (m *module) parameters(t *task) []parameter {
	scope := (&names.Scope{}).Inner()
	scope.Take(keywords...)
	scope.Take("self")
	var list []parameter
	for _, p := range t.arguments() {
		typ := p.Type
		if p.Variadic {
			typ = typ.Elem
		}
		name := free(scope, cmp.Or(names.Snake(p.Name), "x"))
		list = append(list, parameter{name, p.Wire, m.argument(typ), p.Variadic})
	}
	return list
}

// list is the parameter list of a method.
func list(params []parameter) []string {
	out := []string{"self"}
	for _, p := range params {
		star := ""
		if p.variadic {
			star = "*"
		}
		out = append(out, star+p.name+": "+p.annotation)
	}
	return out
}

// kwargs are the arguments by their names in messages, as the items of a dict.
func kwargs(params []parameter) []string {
	out := make([]string, len(params))
	for i, p := range params {
		value := p.name
		if p.variadic {
			value = "[*" + value + "]"
		}
		out[i] = quote(p.wire) + ": " + value
	}
	return out
}

// options are the options of a call in Celery's words, as the items of a dict.
func options(o *model.Options) (items []string) {
	add := func(key, value string) { items = append(items, quote(key)+": "+value) }
	queue := cmp.Or(o.Queue, defaultQueue)
	if o.Exchange == "" {
		queue = cmp.Or(o.RoutingKey, queue)
	}
	add("queue", quote(queue))
	if o.Exchange != "" {
		add("exchange", quote(o.Exchange))
		add("routing_key", quote(cmp.Or(o.RoutingKey, queue)))
	}
	if o.Priority != nil {
		add("priority", strconv.Itoa(9-*o.Priority)) // Celery's highest is the largest
	}
	if o.Expires > 0 {
		add("expires", seconds(o.Expires.Seconds()))
	}
	if o.Timeout > 0 {
		add("time_limit", seconds(o.Timeout.Seconds()))
	}
	if o.IgnoreResult {
		add("ignore_result", "True")
	}
	return items
}

func seconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }

// docstring is the user's comment, told of the task here instead of the function.
func docstring(b *strings.Builder, t *task) {
	var lines []string
	for _, line := range t.Doc {
		lines = append(lines, strings.TrimRight(text(line), " "))
	}
	lines = strings.Split(strings.Trim(strings.Join(lines, "\n"), "\n"), "\n")
	if rest, ok := strings.CutPrefix(lines[0], t.Func+" "); ok {
		lines[0] = t.name + " " + rest
	}
	if lines[0] != "" {
		lines = append(lines, "")
	}
	lines = append(slices.Clip(lines), "Task "+strings.TrimSpace(text(t.Name))+".")
	if lines[0] == "" {
		lines = lines[1:]
	}
	b.WriteString("    \"\"\"")
	for i, line := range lines {
		if i > 0 && line != "" {
			b.WriteString("    ")
		}
		b.WriteString(line)
		if i+1 < len(lines) {
			b.WriteString("\n")
		}
	}
	if len(lines) > 1 {
		b.WriteString("\n    ")
	}
	b.WriteString("\"\"\"\n")
}

// text is a line that can stand in a docstring, which never ends with a quote: what would end it or mean something there
// is escaped, what is invisible is left out.
func text(line string) string {
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(line, ""))
	return strings.NewReplacer(`\`, `\\`, `"""`, `\"\"\"`).Replace(line)
}

// quote is a Python string literal.
func quote(s string) string { return strconv.QuoteToASCII(s) }
