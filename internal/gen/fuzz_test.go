package gen

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/taskgen/taskgen/internal/model"
)

// FuzzGenerate: whatever a package holds, there are diagnostics or there is Go,
// the same every time.
func FuzzGenerate(f *testing.F) {
	for _, pattern := range []string{"stub", "diag"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", "testdata", pattern, "*.txtar"))
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				f.Fatal(err)
			}
			for _, file := range archive.Files {
				if strings.HasSuffix(file.Name, ".go") && !strings.Contains(file.Name, ":") {
					f.Add(file.Data)
				}
			}
		}
	}
	f.Add([]byte("package a\n\n//task:define\nfunc f(type_, _ int, func(), x ...) (a, b error, c)"))
	f.Add([]byte("package a\n\n//task:name a\"`\\\n// */ \x00 \u202e\nfunc f() {}\n"))
	f.Add([]byte("package a_test\n\n//task:define\nfunc (a *b[c]) d(e f[g, h]) {}\n"))

	f.Fuzz(func(t *testing.T, source []byte) {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "go.mod"), []byte("module example.com/app\n\ngo 1.26\n"))
		writeFile(t, filepath.Join(dir, "a.go"), source)
		out, err := Generate(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if out.Diagnostics.HasErrors() && len(out.Files) > 0 {
			t.Error("files in spite of errors")
		}
		for _, file := range out.Files {
			if file.Path != filepath.Join(dir, model.FileName) {
				t.Errorf("writes %s", file.Path)
			}
			if _, err := parser.ParseFile(token.NewFileSet(), file.Path, file.Content, 0); err != nil {
				t.Errorf("not Go: %v", err)
			}
		}
		again, err := Generate(t.Context(), Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(contents(out), contents(again)); diff != "" {
			t.Errorf("differs the second time:\n%s", diff)
		}
		if diff := cmp.Diff(out.Diagnostics, again.Diagnostics); diff != "" {
			t.Errorf("other diagnostics the second time:\n%s", diff)
		}
	})
}
