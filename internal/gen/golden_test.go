package gen

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the goldens")

const goldenModule = "example.com/golden"

// TestGolden generates for all goldens, which are packages of one module, at
// once; compares; and compiles the lot against the real runtime.
func TestGolden(t *testing.T) {
	t.Parallel()
	module := newModule(t)
	stubs := readGoldens(t, module, "stub")
	workers := readGoldens(t, module, "worker")

	out, err := Generate(t.Context(), Config{Dir: module, Patterns: []string{"./..."}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Diagnostics) > 0 {
		t.Fatalf("diagnostics:\n%s", out.Diagnostics.Format(module))
	}
	if err := Commit(out); err != nil {
		t.Fatal(err)
	}
	for _, g := range stubs {
		t.Run(g.name, func(t *testing.T) {
			got := map[string]string{}
			for _, f := range out.Files {
				if name, err := filepath.Rel(g.dir, f.Path); err == nil && filepath.IsLocal(name) {
					got[filepath.ToSlash(name)] = string(f.Content)
				}
			}
			g.compare(t, got)
		})
	}
	for _, g := range workers {
		t.Run(g.name, func(t *testing.T) { g.compare(t, g.worker(t)) })
	}
	t.Run("compile", func(t *testing.T) {
		vet(t, module)
	})
}

// worker writes the worker of a golden and returns its files, or what is wrong.
func (g *golden) worker(t *testing.T) map[string]string {
	t.Helper()
	out, err := Worker(t.Context(), Config{Dir: g.dir, Patterns: []string{"./..."}}, "cmd/worker")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if len(out.Diagnostics) > 0 {
		got["errors"] = out.Diagnostics.Format(g.dir)
	}
	for _, f := range out.Files {
		got[out.rel(f.Path)] = string(f.Content)
	}
	if !out.Diagnostics.HasErrors() {
		if err := Commit(out); err != nil {
			t.Error(err)
		}
	}
	return got
}

// golden is one txtar: files of a package tree, and as want:name what they lead to.
type golden struct {
	name, file, dir string
	archive         *txtar.Archive
}

// readGoldens reads testdata/kind and unpacks each golden into a directory of its name.
func readGoldens(t *testing.T, module, kind string) []*golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", kind, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens for %s: %v", kind, err)
	}
	var all []*golden
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		g := &golden{name: name, file: file, dir: filepath.Join(module, name), archive: archive}
		for _, f := range archive.Files {
			if !strings.HasPrefix(f.Name, "want:") {
				writeFile(t, filepath.Join(g.dir, f.Name), f.Data)
			}
		}
		all = append(all, g)
	}
	return all
}

// compare compares got with the want: files, or with -update makes it them.
func (g *golden) compare(t *testing.T, got map[string]string) {
	t.Helper()
	want := map[string]string{}
	inputs := slices.DeleteFunc(slices.Clone(g.archive.Files), func(f txtar.File) bool {
		name, wanted := strings.CutPrefix(f.Name, "want:")
		if wanted {
			want[name] = string(f.Data)
		}
		return wanted
	})
	if diff := cmp.Diff(want, got); diff == "" {
		return
	} else if !*update {
		t.Errorf("not as wanted; go test -update rewrites (-want +got):\n%s", diff)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		inputs = append(inputs, txtar.File{Name: "want:" + name, Data: []byte(got[name])})
	}
	writeFile(t, g.file, txtar.Format(&txtar.Archive{Comment: g.archive.Comment, Files: inputs}))
}

// newModule is an empty module that requires this one, as it is on disk.
func newModule(t *testing.T) string {
	t.Helper()
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", readFile(t, filepath.Join(repo, "go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := mod.Module.Mod.Path
	for _, err := range []error{
		mod.AddModuleStmt(goldenModule),
		mod.AddRequire(ours, "v0.0.0"),
		mod.AddReplace(ours, "", repo, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	content, err := mod.Format()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "go.mod"), content)
	writeFile(t, filepath.Join(dir, "go.sum"), readFile(t, filepath.Join(repo, "go.sum")))
	return dir
}

// vet compiles everything in dir and lets go vet look at it.
func vet(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "vet", "./...")
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, bytes.TrimSpace(output))
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func writeFile(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o666); err != nil {
		t.Fatal(err)
	}
}
