package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/golden"
	"github.com/taskgen/taskgen/internal/model"
)

const remembered = `
-- a/a.go --
package a

import "example.com/app/b"

type Row struct { ID int %sdb:"id"%s }

//task:define
func f(t b.T, r Row) { println() }
-- a/a_test.go --
package a
-- a/a_windows.go --
package a
-- b/b.go --
package b

import "example.com/app/c"

type T struct { U c.U }
-- c/c.go --
package c

type U struct { N int }
-- d/d.go --
package d
`

// TestFresh changes one thing after the other, and checks that exactly what the
// output depends on counts.
func TestFresh(t *testing.T) {
	t.Parallel()
	const output = model.Header + "\n\npackage a\n"
	tests := []struct {
		name   string
		change func(t *testing.T, dir string, config *check.Config)
		fresh  bool
	}{
		{"nothing", func(*testing.T, string, *check.Config) {}, true},
		{"an unrelated package", edit("d/d.go", "package d // changed\n"), true},
		{"its generated file", edit("a/tasks_gen.go", output+"// edited\n"), false},
		{"its generated file is gone", remove("a/tasks_gen.go"), false},
		{"its source", edit("a/a.go", "package a\n\nimport \"example.com/app/b\"\n\n//task:queue x\nfunc f(t b.T) {}\n"), false},
		{"another file", edit("a/more.go", "package a\n\nfunc F() {}\n"), false},
		{"a test", edit("a/a_test.go", "package a\n\nfunc F() {}\n"), false},
		{"a file for another system", edit("a/a_windows.go", "package a\n\nfunc F() {}\n"), false},
		{"a file less", remove("a/a_windows.go"), false},
		{"a type of its signature", edit("b/b.go", "package b\n\ntype T struct { C chan int }\n"), false},
		{"a file beside that", edit("b/b2.go", "package b\n"), false},
		{"a type behind that", edit("c/c.go", "package c\n\ntype U struct { C chan int }\n"), false},
		{"go.sum", edit("go.sum", ""), false},
		{"a workspace", edit("go.work", "go 1.26\n\nuse .\n"), false},
		{"a module in between", edit("a/go.mod", "module example.com/a\n"), false},
		{"vendoring", edit("vendor/modules.txt", ""), false},
		{"the tags", func(_ *testing.T, _ string, c *check.Config) { c.Tags = []string{"x"} }, false},
		{"the system", func(_ *testing.T, _ string, c *check.Config) { c.Env = append(os.Environ(), "GOOS=plan9") }, false},
		{"no cache", func(_ *testing.T, _ string, c *check.Config) { c.Cache = "" }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := golden.Write(t, txtar.Parse([]byte(fmt.Sprintf(remembered, "`", "`"))))
			config := check.Config{Dir: dir, Patterns: []string{"./..."}, Cache: t.TempDir()}
			first := packages(t, config)
			if first.Fresh(first.Packages[0]) {
				t.Fatal("fresh without having been remembered")
			}
			write(t, filepath.Join(dir, "a/tasks_gen.go"), output)
			if err := first.Remember(first.Packages[0], []byte(output)); err != nil {
				t.Fatal(err)
			}
			test.change(t, dir, &config)
			second := packages(t, config)
			fresh := len(second.Packages) == 1 && second.Fresh(second.Packages[0])
			if fresh != test.fresh {
				t.Fatalf("fresh: %v", fresh)
			}
			if !fresh {
				return
			}
			if diff := cmp.Diff(first.Packages, second.Packages); diff != "" {
				t.Errorf("the packages are not what they were (-first +second):\n%s", diff)
			}
			if diff := cmp.Diff(first.Diagnostics, second.Diagnostics); diff != "" || len(first.Diagnostics) != 1 {
				t.Errorf("the warning is not repeated (-first +second):\n%s", diff)
			}
		})
	}
}

// TestRememberedNames checks that tasks of a package that was looked up count when names
// are compared.
func TestRememberedNames(t *testing.T) {
	t.Parallel()
	dir := golden.Write(t, txtar.Parse([]byte("-- a/a.go --\npackage a\n\n//task:name x\nfunc f() {}\n-- b/b.go --\npackage b\n")))
	config := check.Config{Dir: dir, Patterns: []string{"./..."}, Cache: t.TempDir()}
	first := packages(t, config)
	if err := first.Remember(first.Packages[0], nil); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "b/b.go"), "package b\n\n//task:name x\nfunc f() {}\n")
	second := packages(t, config)
	if len(second.Diagnostics) != 1 || len(second.Diagnostics[0].Related) != 1 {
		t.Errorf("diagnostics: %s", second.Diagnostics.Format(dir))
	}
}

func packages(t *testing.T, config check.Config) *check.Result {
	t.Helper()
	r, err := check.Packages(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func edit(name, text string) func(*testing.T, string, *check.Config) {
	return func(t *testing.T, dir string, _ *check.Config) { write(t, filepath.Join(dir, name), text) }
}

func remove(name string) func(*testing.T, string, *check.Config) {
	return func(t *testing.T, dir string, _ *check.Config) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}
