package cache

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestExecutable checks that the program is known by what the go command says
// is its id.
func TestExecutable(t *testing.T) {
	t.Parallel()
	id, err := Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "buildid", path).Output()
	if err != nil {
		t.Skip("no build ids here: ", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(out)); id != want && id != Sum(data) {
		t.Errorf("got %q, want %q or the hash of the file", id, want)
	}
}
