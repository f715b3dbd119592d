package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What keeps a worker from starting is one line, once, that names what was given and has no password in it.
func TestStartupFailures(t *testing.T) {
	t.Parallel()
	holder := newHolder(t)
	taken := holder.Addr().String()
	empty := writeFile(t, "")
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"-broker amqp://u:s3cret@host:99999/", failed, "worker: broker amqp://u:***@host:99999/: rabbitmq: the URL is wrong: the port of host 1 is not a port number (in a user name or password, characters such as / ? # @ : % must be percent-encoded)"},
		{"-broker kafka://u:s3cret@host", failed, "worker: broker kafka://u:***@host: no broker has this scheme: there are amqp://…, amqps://…, sqlite:path and memory:name"},
		{"-broker sqlite:/no/such/folder", failed, "worker: broker sqlite:/no/such/folder: sqlite: can't open /no/such/folder/queue.db: the folder /no/such does not exist: make it, if the path is what you mean"},
		{"-broker-file " + empty, failed, "worker: -broker-file " + empty + ": the file is empty"},
		{"-broker memory:x -results nosuch://u:s3cret@host", failed, "worker: results nosuch://u:***@host: this program links no store of results"},
		{"-broker memory:x -health " + taken, failed, "worker: -health " + taken + ": bind: address already in use; want an address of this machine that is free"},
		{"-broker memory:x -logfile /no/such/log", failed, "worker: -logfile /no/such/log: no such file or directory"},
		{"-broker memory:x -statedb /no/such/state", failed, "worker: the state file /no/such/state: no such file or directory"},
		{"-nosuch", misused, "worker: unknown flag: --nosuch\nworker -h shows the manual"},
	} {
		s := newShell(t)
		code := s.run(strings.Fields(test.line)...)
		text := s.err.String()
		if code != test.code || s.out.Len() > 0 || !strings.HasPrefix(text, test.want) ||
			strings.Count(text, "\n") != strings.Count(test.want, "\n")+1 || strings.Contains(text, "s3cret") {
			t.Errorf("%s: exit code %d: %s%s\nwant %s", test.line, code, s.out.String(), text, test.want)
		}
	}
}

// With a log of another kind the failure is there, once.
func TestStartupFailureInLog(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if code := s.run("-broker", "kafka://u:s3cret@host", "-logformat", "json"); code != failed || strings.Count(s.err.String(), "no broker has this scheme") != 1 || !strings.HasPrefix(s.err.String(), "{") {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	file := filepath.Join(t.TempDir(), "log")
	code := s.run("-broker", "kafka://u:s3cret@host", "-logfile", file)
	log, err := os.ReadFile(file)
	for where, text := range map[string]string{"log": string(log), "standard error": s.err.String()} {
		if code != failed || err != nil || strings.Count(text, "no broker has this scheme") != 1 || strings.Contains(text, "s3cret") {
			t.Errorf("%s: exit code %d, %v: %s", where, code, err, text)
		}
	}
}
