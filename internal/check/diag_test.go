package check_test

import (
	"testing"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/golden"
)

// TestDiagnostics checks that everything is diagnosed where it is, and nothing else.
func TestDiagnostics(t *testing.T) {
	t.Parallel()
	golden.Run(t, "../../testdata/diag/*.txtar", func(t *testing.T, c *golden.Case) {
		r, err := check.Packages(t.Context(), check.Config{Dir: c.Dir, Patterns: []string{"./..."}})
		if err != nil {
			t.Fatal(err)
		}
		c.Diagnostics(t, r.Diagnostics)
	})
}
