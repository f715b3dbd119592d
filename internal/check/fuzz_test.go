package check_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/emit"
	"github.com/taskgen/taskgen/internal/model"
)

// FuzzPackages gives packages of any shape to the whole generator. It must
// neither panic nor hang; every diagnostic has its place in the file; two runs
// agree; and without errors there is code, which parses.
func FuzzPackages(f *testing.F) {
	for _, decls := range []string{
		"//task:define\nfunc f(a int) {}",
		"//task:define\nfunc f[T any](a T) {}",
		"type T[P any] struct{ f *T[[]P] }\n//task:define\nfunc f(t T[int]) {}",
		"type T[P any] struct{ F *T[[]P] }\n//task:define\nfunc f(t T[int]) {}",
		"type string int; type ctx string\n//task:define\nfunc f(string string, ctx ctx) (len string) { return 0 }",
		"type error int\n//task:define\nfunc f() error { return 0 }",
		"//task:define\nfunc f(func, int) {}",
		"//task:define\nfunc f(type_ int, chan int) {}",
		"//task:define\nfunc été(ñ int, 世 []byte) {}",
		"//task:define\nfunc (t *T) f() {}\ntype T = struct{}",
		"//task:define\nfunc (T) f() {}\ntype T T",
		"//task:define\nfunc () f() {}",
		"//task:define\nfunc (a, b T) f() {}\ntype T struct{}",
		"type (A struct{ B }; B struct{ *A; N int })\n//task:abstract\ntype C struct{ A }\n//task:define\nfunc (c C) f(x A) {}",
		"type T []T; type M map[K]M; type K int; type P *P\n//task:define\nfunc f(t T, m M, p P) {}",
		"const n = len(x); var x [3]int\n//task:define\nfunc f(a [n]int, b [len(a)]int) {}",
		"//task:define\nfunc f(a [1<<62]struct{}, b [-1]int) {}",
		"type I interface{ ~int | string }\n//task:define\nfunc f(i I, j interface{ comparable }) {}",
		"//line /etc/passwd:1\n//task:define\nfunc f(c chan int) {}",
		"//task:define\nfunc f(a struct{ A int \"json:\\\"*/\\u202e\\\"\" }) {}",
		"/*line 0:1*/*task:0",
		"/*line x.go:1:1*/ //task:queue x\nfunc f() {}",
		"import . \"unsafe\"\n//task:define\nfunc f(p Pointer, n [Sizeof(0)]int) {}",
		"import \"C\"\n//task:define\nfunc f(p C.int) {}",
		"import \"example.com/fuzz\"\n//task:define\nfunc f(p fuzz.T) {}",
		"import x \"example.com/fuzz/...\"\n//task:define\nfunc f(p x.T) {}",
		"import x \"../..\"\n//task:define\nfunc f(p x.T) {}",
		"import x \"-toolexec\"\n//task:define\nfunc f(p x.T) {}",
		"func half( {\n//task:define\nfunc f(a int) { if {\n//task:queue x\nfunc g() {}\n`",
		"//task:define\nfunc f(a, a int, _ int, int) (b int, b error) {}",
		"//task:secret a b\n//task:routing_key {a}{b}\nfunc f(a []int) {}",
	} {
		f.Add(decls)
	}
	f.Fuzz(func(t *testing.T, decls string) {
		if strings.Count(decls, "import") > 1 || len(decls) > 2000 {
			t.Skip("slow")
		}
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		src := "package p\n\n" + decls
		for name, text := range map[string]string{"go.mod": "module example.com/fuzz\n\ngo 1.26\n", "p.go": src} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		run := func() *check.Result {
			r, err := check.Packages(t.Context(), check.Config{Dir: dir})
			if err != nil {
				t.Fatalf("%q: %v", src, err)
			}
			return r
		}
		r := run()
		for _, d := range r.Diagnostics {
			if d.Pos.Filename != filepath.Join(dir, "p.go") || d.Pos.Line < 1 || d.Pos.Line > 1+strings.Count(src, "\n") || d.Message == "" {
				t.Errorf("%q: %s", src, d.Format(dir))
			}
		}
		if diff := cmp.Diff(r.Diagnostics, run().Diagnostics); diff != "" {
			t.Errorf("%q: two runs differ:\n%s", src, diff)
		}
		if r.Diagnostics.HasErrors() {
			return
		}
		for _, p := range r.Packages {
			code, err := emit.File(p)
			if err != nil {
				t.Errorf("%q: %v", src, err)
				continue
			}
			if _, err := parser.ParseFile(token.NewFileSet(), "", code, 0); err != nil || !bytes.HasPrefix(code, []byte(model.Header)) {
				t.Errorf("%q: %v\n%s", src, err, code)
			}
		}
	})
}
