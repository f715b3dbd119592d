package celery

import (
	"strings"
	"testing"
)

// What other versions of Celery sent is answered as their workers answered it: testdata/replay.py.
func TestCapturedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startGo(t, "-accept", "json,msgpack,yaml", "-l", "error")
	w.runCases(t, "replay")
}

// What other versions of Celery sent of workflows is followed by what they ask for: testdata/workflows.py.
func TestCapturedWorkflows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.results, _, _ = strings.Cut(needed(t, "TASKGEN_TEST_REDIS"), "?")
	w.startGo(t, "-accept", "json,msgpack,yaml", "-l", "error", "-results", w.results)
	w.runCases(t, "workflows")
}
