package gen

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/internal/model"
)

// module is a module with one file, generated from.
type module struct {
	path, file, source string
	diagnostics        string
	hasErrors          bool
	code               []byte
}

func (m *module) generate(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if m.path == "" {
		m.path = "example.com/app"
	}
	if m.file == "" {
		m.file = "a.go"
	}
	writeFile(t, filepath.Join(dir, "go.mod"), []byte("module "+m.path+"\n\ngo 1.26\n"))
	writeFile(t, filepath.Join(dir, m.file), []byte(m.source))
	out, err := Generate(t.Context(), Config{Dir: dir, Patterns: []string{"./..."}})
	if err != nil {
		m.diagnostics, m.hasErrors = err.Error(), true
		return
	}
	m.hasErrors = out.Diagnostics.HasErrors()
	lines := strings.Count(m.source, "\n") + 1
	for _, d := range out.Diagnostics {
		m.diagnostics += d.Format(dir) + "\n"
		if m.hasErrors && (d.Pos.Line < 1 || d.Pos.Line > lines || !strings.HasPrefix(d.Pos.Filename, dir)) {
			t.Errorf("the position %s is not in the file: %s", d.Pos, d.Message)
		}
	}
	if m.hasErrors && len(out.Files) > 0 {
		t.Error("files in spite of errors")
	}
	for _, f := range out.Files {
		if f.Path != filepath.Join(dir, filepath.Dir(m.file), model.FileName) {
			t.Errorf("writes %s", f.Path)
		}
		m.code = f.Content
	}
}

// skeleton is generated code without comments and without the text of its strings: what a compiler would do.
func skeleton(t *testing.T, code []byte) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", code, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("not Go: %v\n%s", err, code)
	}
	for i, group := range file.Comments {
		for j, c := range group.List {
			if (i > 0 || j > 0) && (c.Pos() < file.Package || !strings.HasPrefix(c.Text, "// ") && c.Text != "//" && !strings.HasPrefix(c.Text, "//\t")) {
				t.Errorf("the comment %q is an order", c.Text)
			}
		}
	}
	if i := bytes.IndexFunc(code, func(r rune) bool {
		return r != '\n' && r != '\t' && (r < ' ' || r == 0x7f || r == 0xfeff || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069)
	}); i >= 0 {
		t.Errorf("the invisible character %q at %d", code[i:min(i+4, len(code))], i)
	}
	file.Comments, file.Doc = nil, nil
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				n.Value = `""`
			}
		case *ast.GenDecl:
			n.Doc = nil
		case *ast.FuncDecl:
			n.Doc = nil
		case *ast.TypeSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.ValueSpec:
			n.Doc, n.Comment = nil, nil
		case *ast.Field:
			n.Doc, n.Comment = nil, nil
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

const (
	plainTask = "package a\n\n//task:define\nfunc create(name string) {}\n"
	longLine  = 1 << 20
)

// TestHostileText: whatever stands in comments, tags and strings, the code is that of a task without them.
func TestHostileText(t *testing.T) {
	t.Parallel()
	plain := &module{source: plainTask}
	plain.generate(t)
	want := skeleton(t, plain.code)
	doc := func(text string) string {
		return "package a\n\n" + text + "\n//task:define\nfunc create(name string) {}\n"
	}
	for name, source := range map[string]string{
		"the end of a comment":         doc("// create */ func evil() {} /*"),
		"a comment in a block":         doc("/* create // */"),
		"code in a block":              doc("/*\nfunc evil() { panic(1) }\n*/"),
		"backquotes":                   doc("// create ` + evil() + `"),
		"double quotes":                doc(`// create " + evil() + "`),
		"an embed directive":           doc("// create\n//go:embed /etc/passwd"),
		"a linkname directive":         doc("//go:linkname create runtime.fastrand"),
		"a generate directive":         doc("//go:generate rm -rf /"),
		"a noinline directive":         doc("//go:noinline"),
		"a build constraint":           doc("//go:build ignore"),
		"an old build constraint":      doc("// +build ignore"),
		"an indented build constraint": doc("//\t+build ignore"),
		"a line directive":             doc("//line /etc/passwd:1"),
		"a line directive in a block":  "package a\n\n/*line /etc/passwd:1:1*/ //task:define\nfunc create(name string) {}\n",
		"an export directive":          doc("//export create"),
		"an extern directive":          doc("//extern create"),
		"an order to cgo":              doc("// #cgo LDFLAGS: -Wl,-rpath=/tmp\n// #include <stdlib.h>"),
		"an order to linters":          doc("//nolint:all"),
		"our own header":               doc("// " + model.Header + "\n" + model.Header),
		"a template":                   doc("// create {{.}} {{range .X}} <% %> ${x} $(x) %s%!d(MISSING)"),
		"a reversed line":              doc("// create \u202e} ;lived {\u2066 \u2069"),
		"zero-width characters":        doc("// cre\u200bate \u200d\u2060 \u00ad"),
		"a byte order mark":            "\ufeff" + plainTask,
		"line separators":              doc("// create\u2028func evil() {}\u2029\u0085 \v\f"),
		"a carriage return":            doc("// create\rfunc evil() {}"),
		"lines that end in CRLF":       strings.ReplaceAll(doc("// create\n//\n// does things."), "\n", "\r\n"),
		"an escape sequence":           doc("// create \x1b[2J\x1b]0;evil\x07\x7f"),
		"a line of a megabyte":         doc("// " + strings.Repeat("x", longLine)),
		"100,000 lines":                doc(strings.Repeat("// x\n", 100_000) + "// end"),
		"a code block":                 doc("// create\n//\n//\tfunc evil() {}\n//\t*/"),
		"links and headings":           doc("// # Heading\n//\n// [create]: javascript:alert(1)\n//   - list"),
		"deprecation":                  doc("// Deprecated: */"),
		"an empty comment":             doc("//\n//\n//"),
		"a comment behind":             "package a\n\n//task:define\nfunc create(name string) {} //go:embed x\n",
		"comments in the parameters":   "package a\n\n//task:define\nfunc create( //go:embed x\n\tname /* */ string, //line x:1\n) {}\n",
		"comments of the package":      "//line evil.go:1\n// Package a */\n" + plainTask,
		"homoglyphs in prose":          doc("// сreate ⁄* *⁄ ｆｕｎｃ ｅｖｉｌ()"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &module{source: source}
			m.generate(t)
			if m.hasErrors {
				t.Fatalf("refused: %s", m.diagnostics)
			}
			if diff := cmp.Diff(want, skeleton(t, m.code)); diff != "" {
				t.Errorf("the code is another (-want +got):\n%s", diff)
			}
			if len(m.code) > len(source)+len(plain.code)+200 {
				t.Errorf("%d bytes became %d", len(source), len(m.code))
			}
		})
	}
}

// TestHostileDirectives: a value that no name, number or list of names has is refused, where it stands.
func TestHostileDirectives(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`//task:name a"; panic()`, `//task:name "a`, "//task:name `a`", `//task:name a\`, "//task:name a*/b", "//task:name /*a", "//task:name a\u202eb", "//task:name a\u200bb",
		"//task:name a\x00b", "//task:name a\x1bb", "//task:name \ufeffa", "//task:name \xff", "//task:name é.日本", "//task:name {{.}}", "//task:name a;b", "//task:name a b",
		"//task:name " + strings.Repeat("x", 256), "//task:name " + strings.Repeat("x", longLine), "//task:queue a\tb", "//task:queue %s", "//task:queue $(id)",
		"//task:routing_key {", "//task:routing_key {nobody}", "//task:routing_key {name", "//task:routing_key {name.String()}", `//task:routing_key {name}"`, "//task:exchange a b", "//task:exchange_type evil",
		"//task:rate_limit -1/0s", "//task:rate_limit 1e400", "//task:rate_limit NaN", "//task:rate_limit 1/x", "//task:max_retries 99999999999999999999", "//task:max_retries -1", "//task:max_retries 0x10; x",
		"//task:timeout 1e300h", "//task:timeout -1s", "//task:timeout 1;x", "//task:default_retry_delay NaN", "//task:secret nobody", "//task:secret name;", "//task:serializer pickle\"", "//task:serializer ../x",
		"//task:compression evil", "//task:priority 10", "//task:go:embed x", "//task:", "//task: define", "//task:evil", "//task:define evil()", "//task:DEFINE", "/*task:queue x*/", "//Task:queue x", "// task:queue x",
		"//task:queue a\n//task:queue b",
	} {
		t.Run(fmt.Sprintf("%.40q", line), func(t *testing.T) {
			t.Parallel()
			m := &module{source: "package a\n\n//task:define\n" + line + "\nfunc create(name string) {}\n"}
			m.generate(t)
			if !m.hasErrors || m.code != nil {
				t.Errorf("accepted: %s\n%s", m.diagnostics, m.code)
			}
			if len(m.diagnostics) > 1000 || strings.ContainsAny(m.diagnostics, "\x00\x1b\u202e\u200b\ufeff\r") {
				t.Errorf("the error is %q", m.diagnostics)
			}
		})
	}
}

// TestHostileNames: names of packages, files, types, imports and parameters that are odd give Go, or are refused where they stand.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const task = "\n\n//task:define\n"
	for _, test := range []struct {
		module
		want string // "": generated
	}{
		{module{source: "package a_test" + task + "func create() {}\n"}, ""},
		{module{file: "a_test.go", source: plainTask}, "_test.go"},
		{module{file: "_a.go", source: plainTask}, "no task"},
		{module{file: ".a.go", source: plainTask}, "no task"},
		{module{file: "testdata/a.go", source: plainTask}, "no task"},
		{module{file: "a b.go", source: plainTask}, ""},
		{module{file: "a\"; panic(); `.go", source: plainTask}, ""},
		{module{file: "a\nb.go", source: plainTask}, ""},
		{module{file: "a\u202eb.go", source: plainTask}, ""},
		{module{file: "-toolexec=evil.go", source: plainTask}, ""},
		{module{file: "-o/a.go", source: plainTask}, ""},
		{module{file: "sub dir/a.go", source: plainTask}, "can't be its registered name"},
		{module{file: "sub\"dir/a.go", source: plainTask}, "can't be its registered name"},
		{module{path: "example.com/a\"b", source: plainTask}, "go.mod|malformed|module"},
		{module{path: "\"example.com/a\\nb\"", source: plainTask}, "can't be its registered name"},
		{module{path: "../evil", source: plainTask}, ""},
		{module{path: "C", source: plainTask}, ""},
		{module{source: "package main" + task + "func create() {}\n\nfunc main() {}\n"}, ""},
		{module{source: "package _" + task + "func create() {}\n"}, "_"},
		{module{source: "package über" + task + "func create() {}\n"}, ""},
		{module{source: "package task" + task + "func create() {}\n"}, ""},
		{module{source: "package codec" + task + "func create() {}\n"}, ""},
		{module{source: "package a" + task + "func create(string string, error error) {}\n\ntype error int\n"}, "hides"},
		{module{source: "package a" + task + "func create(task, codec, context, time, nil, true, append int) {}\n"}, ""},
		{module{source: "package a" + task + "func create(type_, func_, Visit, With, Delay, Retry int) {}\n"}, ""},
		{module{source: "package a" + task + "func create(_ int) {}\n"}, "name"},
		{module{source: "package a" + task + "func create(int, string) {}\n"}, "name"},
		{module{source: "package a" + task + "func create(a, А int) {}\n"}, ""}, // the second is Cyrillic
		{module{source: "package a" + task + "func create(name, Name int) {}\n"}, ""},
		{module{source: "package a" + task + "func create(a\u202eb int) {}\n"}, "U+202E|illegal|invisible"},
		{module{source: "package a" + task + "func create(a\x00b int) {}\n"}, "NUL|illegal"},
		{module{source: "package a" + task + "func _() {}\n"}, "_"},
		{module{source: "package a" + task + "func init() {}\n"}, "init"},
		{module{source: "package a" + task + "func create[T any](x T) {}\n"}, "type parameter|generic"},
		{module{source: "package a\n\nimport \"C\"" + task + "func create(x C.int) {}\n"}, "C"},
		{module{source: "package a\n\nimport . \"time\"" + task + "func create(x Duration) {}\n"}, ""},
		{module{source: "package a\n\nimport x \"../../etc\"" + task + "func create(p x.T) {}\n"}, "etc"},
		{module{source: "package a\n\nimport x \"/etc/passwd\"" + task + "func create(p x.T) {}\n"}, "etc"},
		{module{source: "package a\n\nimport x \"-toolexec\"" + task + "func create(p x.T) {}\n"}, "toolexec"},
		{module{source: "package a\n\nimport x \"a\\\"b\"" + task + "func create(p x.T) {}\n"}, "import path|invalid"},
		{module{source: "package a\n\nimport x \"a\\x00b\"" + task + "func create(p x.T) {}\n"}, "import path|invalid"},
		{module{source: "package a\n\nimport x `a b`" + task + "func create(p x.T) {}\n"}, "import path|invalid"},
		{module{source: "package a\n\nimport x \"example.com/app/...\"" + task + "func create(p x.T) {}\n"}, "..."},
		{module{source: "package a" + task + "func create(u U) {}\n\ntype U struct { A int `json:\"*/ ` + \"`\" }\n"}, "expected|missing|syntax"},
		{module{source: "package a" + task + "func create(u U) {}\n\ntype U struct {\n\tA int `json:\"*/\\u202e,omitempty\" evil:\"\\x60 + panic()\"`\n\tB int `\n//go:embed x\n`\n}\n"}, ""},
		{module{source: "package a" + task + "func create(u struct { A int \"json:\\\"`*/\\\"\" }) {}\n"}, ""},
		{module{source: "package a" + task + "func (t *T) create() {}\n\ntype T struct{ `evil` }\n"}, "not declared|expected"},
		{module{source: "package a" + task + "func create(x [1 << 40]int) {}\n"}, ""},
		{module{source: "package a" + task + "func create(a " + strings.Repeat("[]", 10_000) + "int) {}\n"}, "more than 100 deep"},
		{module{source: "package a" + task + "func " + strings.Repeat("x", 300) + "() {}\n"}, "255"},
	} {
		t.Run(fmt.Sprintf("%.30q %.60q", test.file+test.path, strings.TrimPrefix(test.source, "package a")), func(t *testing.T) {
			t.Parallel()
			m := test.module
			if strings.ContainsAny(m.file, "\n\"") && os.PathSeparator == '\\' {
				t.Skip("no such file names here")
			}
			m.generate(t)
			if test.want == "" {
				if m.hasErrors || m.code == nil {
					t.Fatalf("refused: %s", m.diagnostics)
				}
				skeleton(t, m.code)
				return
			}
			told := false
			for word := range strings.SplitSeq(test.want, "|") {
				told = told || strings.Contains(m.diagnostics, word)
			}
			if m.code != nil || !told {
				t.Errorf("the code is\n%s\nand the error %q, want one with %s", m.code, m.diagnostics, test.want)
			}
			if len(m.diagnostics) > 2000 || strings.ContainsAny(m.diagnostics, "\x00\x1b\u202e\r") {
				t.Errorf("the error is %.3000q", m.diagnostics)
			}
		})
	}
}
