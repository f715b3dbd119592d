package python

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/model"
)

// plain matches the names that can be those of a TypedDict's fields in the syntax of classes.
var plain = regexp.MustCompile(`^(?:_?[\pL][\pL\p{Nd}_]*|_)$`)

// record writes a struct as a TypedDict. Fields that may be missing need one of their own: Python 3.9 has no other way.
func (m *module) record(b *strings.Builder, r *record) {
	var required, missing []model.RecordField
	for _, f := range r.Fields {
		if f.Optional {
			missing = append(missing, f)
		} else {
			required = append(required, f)
		}
	}
	doc := `"""An unnamed struct in Go."""`
	if r.Package != "" {
		doc = `"""` + r.Package + "." + r.Name + ` in Go."""`
	}
	if len(required) == 0 || len(missing) == 0 {
		m.typedDict(b, r.name, "TypedDict", doc, r.Fields, len(missing) == 0)
		return
	}
	base := m.scope.Fresh("_" + r.name + "Required")
	m.typedDict(b, base, "TypedDict", "", required, true)
	m.typedDict(b, r.name, base, doc, missing, false)
}

func (m *module) typedDict(b *strings.Builder, name, base, doc string, fields []model.RecordField, total bool) {
	if slices.ContainsFunc(fields, func(f model.RecordField) bool { return !plain.MatchString(f.Name) || slices.Contains(keywords, f.Name) }) {
		base, fields = m.odd(b, name, base, fields, total), nil
	}
	partial := ""
	if !total && len(fields) > 0 {
		partial = ", total=False"
	}
	fmt.Fprintf(b, "\n\nclass %s(%s%s):\n", name, base, partial)
	if doc != "" {
		fmt.Fprintf(b, "    %s\n", doc)
		if len(fields) > 0 {
			b.WriteString("\n")
		}
	} else if len(fields) == 0 {
		b.WriteString("    pass\n")
	}
	for _, f := range fields {
		fmt.Fprintf(b, "    %s: %s\n", f.Name, m.value(f.Type))
	}
}

// odd writes fields with names that no class can have, and returns the classes to derive from.
func (m *module) odd(b *strings.Builder, name, base string, fields []model.RecordField, total bool) string {
	class := m.scope.Fresh("_" + strings.TrimPrefix(name, "_") + "Fields")
	fmt.Fprintf(b, "\n\n%s = TypedDict(\n    %s,\n    {\n", class, quote(class))
	for _, f := range fields {
		fmt.Fprintf(b, "        %s: %s,\n", quote(f.Name), quote(m.value(f.Type)))
	}
	b.WriteString("    },\n")
	if !total {
		b.WriteString("    total=False,\n")
	}
	b.WriteString(")\n")
	if base == "TypedDict" {
		return class
	}
	return base + ", " + class
}
