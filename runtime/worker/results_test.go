package worker

import (
	"os"
	"strings"
	"testing"

	_ "github.com/taskgen/taskgen/runtime/redis"
)

// A Redis that refuses says why, and not that it is closed.
func TestResultsRefused(t *testing.T) {
	t.Parallel()
	url := os.Getenv("TASKGEN_TEST_REDIS")
	if url == "" {
		t.Skip("TASKGEN_TEST_REDIS names no Redis")
	}
	_, host, _ := strings.Cut(url, "@")
	host, _, _ = strings.Cut(host, "/")
	s := newShell(t)
	if code := s.run("-broker", "memory:"+t.Name(), "-results", "redis://u:s3cret@host:x"); code != failed || !strings.HasPrefix(s.err.String(), "worker: results redis://u:***@***: the port is not a port number") {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	if code := s.run("-broker", "memory:"+t.Name(), "-results", "redis://:wr0ng@"+host); code != failed ||
		!strings.HasPrefix(s.err.String(), "worker: results redis://:***@"+host+": the server refuses it (check the user, password and database in the URL): WRONGPASS ") || strings.Contains(s.err.String(), "wr0ng") {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
}

// A worker whose store of results is down says so, and what becomes of results, and when it is back; and the Redis library
// writes nothing of its own.
func TestResultsOutage(t *testing.T) {
	t.Parallel()
	url := os.Getenv("TASKGEN_TEST_REDIS")
	if url == "" {
		t.Skip("TASKGEN_TEST_REDIS names no Redis")
	}
	url, _, _ = strings.Cut(url, "?") // what follows is for tests of the socket
	gate := newGate(t, url)
	worker := startChild(t, "-broker", "sqlite:"+t.TempDir(), "-results", gate.url)
	const down, up = "the store of results can't be used: tasks run, and a result that it does not take within 30s is lost; trying for ever", "the store of results can be used again"
	worker.log.await(t, down)
	gate.open()
	worker.log.await(t, up)
	worker.signal(os.Interrupt)
	if code := worker.exitCode(); code != succeeded {
		t.Errorf("exit code %d", code)
	}
	log := worker.log.String()
	if strings.Count(log, down) != 1 || strings.Count(log, up) != 1 || !strings.Contains(log, "results=redis://"+gate.address+"/0 error=") || !strings.Contains(log, "connection refused") {
		t.Error("the outage is not told once")
	}
	_, password, _ := strings.Cut(url, "redis://:")
	password, _, _ = strings.Cut(password, "@")
	if strings.Contains(log, password) || strings.Contains(log, "s3cret") || strings.Contains(log, "connection pool") {
		t.Error("the log has the password, or what the library writes")
	}
}
