package celery

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// The generated files are what go generate would write now.
func TestFresh(t *testing.T) {
	t.Parallel()
	taskgen := filepath.Join(t.TempDir(), "taskgen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", taskgen, "../../cmd/taskgen").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"-check", "./gotasks"}, {"worker", "-check", "-link", "redis", "-o", "cmd/worker", "./..."}} {
		if out, err := exec.CommandContext(t.Context(), taskgen, args...).CombinedOutput(); err != nil {
			t.Errorf("taskgen %s: %v\n%s", args, err, out)
		}
	}
}
