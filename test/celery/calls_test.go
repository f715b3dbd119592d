package celery

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A plain Celery client calls Go tasks in all the ways that it has: testdata/calls.py.
func TestPythonCallsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startGo(t, "-track-started", "-c", "32", "-accept", "json,msgpack,yaml", "-l", "error")
	w.runCases(t, "calls")
}

// A plain Celery client revokes Go tasks, and reads REVOKED from Redis: testdata/revoking.py.
func TestPythonRevokesGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.results, _, _ = strings.Cut(needed(t, "TASKGEN_TEST_REDIS"), "?")
	w.startGo(t, "-hostname", w.goQueue+"@go", "-c", "1", "-track-started", "-l", "error", "-results", w.results)
	w.runCases(t, "revoking")
}

// runCases runs the cases of a module of testdata, each as a subtest.
func (w *world) runCases(t *testing.T, module string) {
	t.Helper()
	lines := w.runPython(t, nil, "suite.py", module)
	n := 0
	for line := range bytes.Lines(lines) {
		var c struct{ Area, Case, Problem string }
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		n++
		check(t, c.Area, c.Case, func(t *testing.T) {
			if c.Problem != "" {
				t.Error(c.Problem)
			}
		})
	}
	if n == 0 {
		t.Errorf("%s.py has no cases", module)
	}
}
