package gen

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/taskgen/taskgen/internal/golden"
)

// TestStubs generates for a module, compares what comes of it, and has it
// compiled against the runtime as it is.
func TestStubs(t *testing.T) {
	t.Parallel()
	golden.Run(t, "../../testdata/stub/*.txtar", func(t *testing.T, c *golden.Case) {
		out := stubs(t, c)
		c.Diagnostics(t, out.Diagnostics)
		c.Compare(t, contents(out))
		vet(t, c.Dir)
	})
}

// TestWorkers does the same for worker commands, or wants to be told why there is none.
func TestWorkers(t *testing.T) {
	t.Parallel()
	golden.Run(t, "../../testdata/worker/*.txtar", func(t *testing.T, c *golden.Case) {
		stubs(t, c)
		out, err := Worker(t.Context(), Config{Dir: c.Dir, Patterns: []string{"./..."}}, "cmd/worker")
		if err != nil {
			t.Fatal(err)
		}
		c.Diagnostics(t, out.Diagnostics)
		c.Compare(t, contents(out))
		if out.Diagnostics.HasErrors() {
			return
		}
		if err := Commit(out); err != nil {
			t.Fatal(err)
		}
		vet(t, c.Dir)
	})
}

// stubs generates the stubs of all packages, and writes them unless there are errors.
func stubs(t *testing.T, c *golden.Case) Output {
	t.Helper()
	out, err := Generate(t.Context(), Config{Dir: c.Dir, Patterns: []string{"./..."}})
	if err != nil {
		t.Fatal(err)
	}
	if !out.Diagnostics.HasErrors() {
		if err := Commit(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// contents are the files of out by their names.
func contents(out Output) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range out.Files {
		files[out.rel(f.Path)] = f.Content
	}
	return files
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
