package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// inFolder is a command line in an empty folder, in which nobody has named a broker.
func inFolder(t *testing.T) *shell {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(brokerVariable, "")
	t.Setenv(brokerVariable+"_FILE", "")
	return newShell(t)
}

// Who forgets to name the broker is told so, and no broker is made in which there would be nothing.
func TestCommandsMakeNoBroker(t *testing.T) {
	s := inFolder(t)
	for _, line := range []string{
		"inspect ping", "inspect stats", "control heartbeat", "control shutdown", "events", "result an-id", "purge -yes",
		"dead list", "dead list -json", "dead show an-id", "dead replay -all -yes", "dead drop an-id",
	} {
		code := s.run(strings.Fields(line)...)
		text := s.err.String()
		if code != failed || s.out.Len() > 0 || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: exit code %d: %s%s", line, code, s.out.String(), text)
		}
		for _, want := range []string{"there is no embedded broker at ", filepath.Join(".taskgen", "queue.db"), "-broker or TASKGEN_BROKER"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q: %s", line, want, text)
			}
		}
		if code := s.run(append(strings.Fields(line), "-broker", "sqlite:gone")...); code != failed || !strings.Contains(s.err.String(), "there is no embedded broker at ") {
			t.Errorf("%s with a slip of the pen: exit code %d: %s", line, code, &s.err)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("there is %v, %v", made, err)
	}
}

// What finds nothing says where it has looked, and how to look elsewhere.
func TestNothingNamesTheBroker(t *testing.T) {
	s := inFolder(t)
	if code := s.run("call", "quiet", `["", 1]`); code != succeeded {
		t.Fatalf("a call makes the broker: exit code %d: %s", code, &s.err)
	}
	if code := s.run("purge", "-yes"); code != succeeded {
		t.Fatalf("exit code %d: %s", code, &s.err)
	}
	for line, code := range map[string]int{
		"inspect ping -t 200ms": failed, "control heartbeat -t 200ms": failed, "result an-id": succeeded, "purge -yes": succeeded,
		"dead list": succeeded, "dead show an-id": failed, "dead replay -all -yes": succeeded, "dead drop an-id": failed,
	} {
		got := s.run(strings.Fields(line)...)
		text := s.out.String() + s.err.String()
		if got != code || !strings.Contains(text, filepath.Join(".taskgen", "queue.db")+" (the default; name another with -broker or TASKGEN_BROKER)") {
			t.Errorf("%s: exit code %d: %s", line, got, text)
		}
	}
	s.want(succeeded, "no message is parked in mail at "+brokerName(t, "sqlite:.taskgen")+"\n", "", "dead", "list", "-Q", "mail", "-broker", "sqlite:.taskgen")
}
