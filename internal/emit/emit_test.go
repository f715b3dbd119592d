package emit

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/internal/model"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                          "time.Duration(0)",
		time.Nanosecond:            "1 * time.Nanosecond",
		250 * time.Millisecond:     "250 * time.Millisecond",
		90 * time.Second:           "90 * time.Second",
		30 * time.Minute:           "30 * time.Minute",
		90 * time.Minute:           "90 * time.Minute",
		1000 * time.Hour:           "1000 * time.Hour",
		25*time.Hour + time.Second: "25*time.Hour + 1*time.Second",
		time.Hour + 2*time.Minute + 3*time.Microsecond: "1*time.Hour + 2*time.Minute + 3*time.Microsecond",
	} {
		if got := expression(t, fmt.Sprintf("%#v", duration(d))); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"100/m":    "100 * task.PerMinute",
		"7":        "7 * task.PerSecond",
		"0.5/s":    "0.5 * task.PerSecond",
		"5/h":      "5 * task.PerHour",
		"007.50/m": "7.5 * task.PerMinute",
	} {
		if got := expression(t, fmt.Sprintf("%#v", rate(text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

// expression formats source as it is formatted in a file.
func expression(t *testing.T, source string) string {
	t.Helper()
	formatted, err := format.Source([]byte("var x = " + source))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(formatted), "var x = ")
}

func TestDoc(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		doc, want []string
	}{
		{nil, []string{`CreateUser is the task "n".`}},
		{[]string{"", " "}, []string{`CreateUser is the task "n".`}},
		{[]string{"createUser creates."}, []string{"CreateUser creates.", "", `Task "n".`}},
		{[]string{"createUser: creates."}, []string{"CreateUser: creates.", "", `Task "n".`}},
		{[]string{"createUsers are many."}, []string{"createUsers are many.", "", `Task "n".`}},
		{[]string{"creates", "", "createUser", ""}, []string{"creates", "", "createUser", "", `Task "n".`}},
		{[]string{"a\x00b\u202ec\r", "d\ne"}, []string{"abc", "d", "e", "", `Task "n".`}},
	} {
		got := doc(&model.Task{Name: "n", Func: "createUser", Stub: "CreateUser", Doc: test.doc})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.doc, diff)
		}
	}
}

func TestFileRefusesNamesItCannotDoWithout(t *testing.T) {
	t.Parallel()
	for _, taken := range []string{"error", "CreateUser"} {
		p := example("", "n", "name", "user")
		p.Taken = map[string]bool{taken: true}
		if _, err := File(p); err == nil || !strings.Contains(err.Error(), taken) {
			t.Errorf("%s: got error %v", taken, err)
		}
	}
}

// FuzzFile: whatever names and comments are, the code is the same but for them.
func FuzzFile(f *testing.F) {
	f.Add("createUser does", "example.com/app.createUser", "username", "users")
	f.Add("*/ func evil() {} /*", "`\"*/\n", "t", "ctx")
	f.Add("go:build ignore\n//go:embed x\r\n\x00+build a", "\u202e", "task", "codec")
	f.Add("+build ignore", "n", "a", "b")
	f.Add("line x.go:1", "%s%v", "CreateUserArgs", "error")
	f.Add("\t/*\n`", "\\", "nil", "Visit")
	f.Fuzz(func(t *testing.T, doc, name, param, pkg string) {
		if name == "" || !token.IsIdentifier(param) || param == "_" || !token.IsIdentifier(pkg) || pkg == "_" {
			t.Skip() // check lets no such thing through
		}
		got, err := File(example(doc, name, param, pkg))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := File(example("", "n", param, pkg))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(code(t, plain), code(t, got)); diff != "" {
			t.Errorf("the code is another (-want +got):\n%s", diff)
		}
	})
}

// example is a package with one task, and a parameter of a type from a package pkg.
func example(doc, name, param, pkg string) *model.Package {
	path := "example.com/" + pkg
	return &model.Package{
		Path:    "example.com/app",
		Name:    "app",
		Imports: map[string]string{path: pkg},
		Tasks: []*model.Task{{
			Name: name, Func: "createUser", Stub: "CreateUser", Error: true,
			Doc: strings.Split(doc, "\n"),
			Params: []*model.Param{{
				Name: param, Field: "Field",
				Type: &model.Type{Kind: model.Any, Expr: model.Expr{{Path: path, Text: "User"}}},
			}},
			Options: model.Options{Queue: name},
		}},
	}
}

// code is source without its comments, and with all strings the same.
func code(t *testing.T, source []byte) string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "x.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	imports := map[*ast.BasicLit]bool{}
	for _, spec := range file.Imports {
		imports[spec.Path] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && !imports[lit] {
			lit.Value = `""`
		}
		return true
	})
	var b bytes.Buffer
	noPositions := func(_ string, value reflect.Value) bool { return value.Type() != reflect.TypeFor[token.Pos]() }
	if err := ast.Fprint(&b, nil, file, noPositions); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
