package builtin_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// tasks_gen.go is what go generate would write now.
func TestFresh(t *testing.T) {
	t.Parallel()
	taskgen := filepath.Join(t.TempDir(), "taskgen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", taskgen, "../../cmd/taskgen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), taskgen, "-check").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
