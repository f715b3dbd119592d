package redis_test

import (
	"net/url"
	"os"
	"testing"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/redis"
)

// serverVariable has the URL of a Redis for the tests: scripts/redis.sh.
const serverVariable = "TASKGEN_TEST_REDIS"

// server is the URL of the tests' Redis, and its Unix socket if it has one.
func server(t testing.TB) (*url.URL, string) {
	t.Helper()
	raw := os.Getenv(serverVariable)
	if raw == "" {
		t.Skipf("%s is not set: export %s=$(scripts/redis.sh start)", serverVariable, serverVariable)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%s is no URL", serverVariable)
	}
	socket := u.Query().Get("socket")
	u.RawQuery = ""
	return u, socket
}

// newURL is a URL whose keys nobody else has.
func newURL(t testing.TB) string {
	u, _ := server(t)
	u.RawQuery = "keyprefix=" + uuid.NewString()
	return u.String()
}

func open(t testing.TB, url string) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
