package check_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/golden"
	"github.com/taskgen/taskgen/internal/model"
)

// TestModel checks what is understood of packages that are right. The comment
// of a case can begin with "dir:" and "tags:" lines.
func TestModel(t *testing.T) {
	t.Parallel()
	golden.Run(t, "../../testdata/model/*.txtar", func(t *testing.T, c *golden.Case) {
		config := check.Config{Dir: c.Dir, Patterns: []string{"./..."}}
		for line := range strings.Lines(c.Comment) {
			if v, ok := strings.CutPrefix(line, "tags:"); ok {
				config.Tags = strings.Fields(v)
			}
			if v, ok := strings.CutPrefix(line, "patterns:"); ok {
				config.Patterns = strings.Fields(v)
			}
		}
		r, err := check.Packages(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		c.Diagnostics(t, r.Diagnostics)
		var b strings.Builder
		for _, p := range r.Packages {
			describe(&b, p)
			roundTrip(t, p)
		}
		for _, path := range r.Orphans {
			fmt.Fprintf(&b, "orphan %s\n", strings.TrimPrefix(path, c.Dir+"/"))
		}
		c.Compare(t, map[string][]byte{"model": []byte(b.String())})
	})
}

// roundTrip checks that a model survives the cache.
func roundTrip(t *testing.T, p *model.Package) {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again *model.Package
	if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("the model of %s doesn't survive being stored: %v\n%s", p.Path, err, data)
	}
}

func describe(b *strings.Builder, p *model.Package) {
	var structs []string
	for _, s := range p.Structs {
		name := s.Name
		if s.Hooks {
			name += "+hooks"
		}
		structs = append(structs, name)
	}
	fmt.Fprintf(b, "package %s %q structs %v\n", p.Name, p.Path, structs)
	for _, t := range p.Tasks {
		fmt.Fprintf(b, "\t%s = %s %q", t.Stub, strings.TrimPrefix(t.Struct+"."+t.Func, "."), t.Name)
		if t.Context {
			b.WriteString(" ctx")
		}
		if t.Error {
			b.WriteString(" error")
		}
		if options, _ := json.Marshal(changed(t.Options)); string(options) != "{}" {
			fmt.Fprintf(b, " %s", options)
		}
		b.WriteString("\n")
		for _, line := range t.Doc {
			fmt.Fprintf(b, "\t\t// %s\n", line)
		}
		for _, param := range t.Params {
			fmt.Fprintf(b, "\t\t%s %s: %s", param.Name, param.Field, describeType(param.Type))
			if param.Variadic {
				b.WriteString(" variadic")
			}
			switch param.Injected {
			case model.Info:
				b.WriteString(" injected info")
			case model.Logger:
				b.WriteString(" injected logger")
			}
			b.WriteString("\n")
		}
		if t.Result != nil {
			fmt.Fprintf(b, "\t\t-> %s\n", describeType(t.Result))
		}
	}
}

// changed are the options that are not as they are by default.
func changed(o model.Options) map[string]any {
	m := map[string]any{}
	v := reflect.ValueOf(o)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			m[v.Type().Field(i).Name] = v.Field(i).Interface()
		}
	}
	return m
}

var kinds = map[model.Kind]string{
	model.Bool: "bool", model.Int: "int", model.Uint: "uint", model.Float: "float", model.String: "string",
	model.Bytes: "bytes", model.Time: "time", model.Duration: "duration", model.JSON: "json", model.Any: "any",
	model.Slice: "slice", model.Map: "map", model.Pointer: "pointer",
}

func describeType(t *model.Type) string {
	s := kinds[t.Kind]
	switch t.Kind {
	case model.Slice, model.Pointer:
		s += "(" + describeType(t.Elem) + ")"
	case model.Map:
		s += "(" + describeType(t.Key) + " to " + describeType(t.Elem) + ")"
	}
	s += " "
	for _, part := range t.Expr {
		if part.Path != "" {
			s += "<" + part.Path + ">."
		}
		s += part.Text
	}
	return s
}
