// Package examples tests what all examples have in common.
package examples

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// generator is how the examples call taskgen, as any module does that names it as a tool.
const generator = "//go:generate go tool taskgen"

// The generated files are what go generate would write now.
func TestFresh(t *testing.T) {
	t.Parallel()
	taskgen := filepath.Join(t.TempDir(), "taskgen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", taskgen, "../cmd/taskgen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checked := 0
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(source) {
			arguments, found := strings.CutPrefix(string(line), generator)
			if !found {
				continue
			}
			checked++
			t.Run(path, func(t *testing.T) {
				t.Parallel()
				cmd := exec.CommandContext(t.Context(), taskgen, append(strings.Fields(arguments), "-check")...)
				cmd.Dir = filepath.Dir(path)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("taskgen%s in %s: %v\n%s", strings.TrimRight(arguments, "\n"), cmd.Dir, err, out)
				}
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 2 {
		t.Errorf("only %d calls of taskgen were found", checked)
	}
}
