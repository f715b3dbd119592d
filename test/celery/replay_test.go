package celery

import "testing"

// What other versions of Celery sent is answered as their workers answered it: testdata/replay.py.
func TestCapturedMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.startGo(t, "-accept", "json,msgpack,yaml", "-l", "error")
	w.runCases(t, "replay")
}
