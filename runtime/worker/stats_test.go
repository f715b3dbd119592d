package worker

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestShowStats(t *testing.T) {
	t.Parallel()
	s := task.Stats{Worker: "w1@box", Started: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Running: 2}
	const head = "w1@box, started 2026-05-04 03:02:01, 2 running\n\n"
	if diff := cmp.Diff(head+"no task has run yet\n", showStats(&s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Tasks = []task.TaskStats{
		{Name: "users.large", Succeeded: 90, Failed: 9, Retried: 3, MeanRun: 1234567 * time.Microsecond, MeanOverhead: 98765},
		{Name: "users.new", Succeeded: 99, MeanRun: 5, MeanOverhead: 98765},
	}
	const large = `task         succeeded  failed  retried  mean run  mean overhead
users.large  90         9       3        1.23s     98.8µs
users.new    99         0       0        5ns       98.8µs
`
	if diff := cmp.Diff(head+large, showStats(&s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Tasks = append(s.Tasks, task.TaskStats{Name: "users.tiny", Succeeded: 12345, MeanRun: 1999, MeanOverhead: 20 * time.Microsecond})
	const tiny = "users.tiny   12345      0       0        2µs       20µs           *\n\n" + inLineNote
	if diff := cmp.Diff(head+large+tiny, showStats(&s)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url, "-hostname", "w1@box")
	ctx := sender(t, url)
	const runs = 150
	for range runs {
		get(t, ctx, send(t, ctx, echo, args{Text: "x"}), "x")
	}
	if _, err := send(t, ctx, fail, args{}).Get(ctx); err == nil {
		t.Error("fail does not fail")
	}
	s := newShell(t)
	tasks := map[string]task.TaskStats{}
	// A run counts once the broker has its outcome, which is after the caller has it.
	for deadline := time.Now().Add(patience); tasks[echo.Name()].Succeeded != runs || tasks[fail.Name()].Failed != 1; {
		if code := s.run("-broker", url, "stats", "-json"); code != 0 || time.Now().After(deadline) {
			t.Fatalf("exit code %d: %s%s", code, s.out.String(), &s.err)
		}
		var stats task.Stats
		if err := json.Unmarshal(s.out.Bytes(), &stats); err != nil || stats.Worker != "w1@box" {
			t.Fatalf("%v in:\n%s", err, s.out.String())
		}
		for _, entry := range stats.Tasks {
			tasks[entry.Name] = entry
		}
	}
	if code := s.run("-broker", url, "stats", "-Q", "tasks"); code != 0 {
		t.Fatalf("exit code %d: %s", code, &s.err)
	}
	for _, want := range []string{
		`(?m)^w1@box, started 20`,
		`(?m)^example.com/app/users.echo +150 +0 +0 +[\d.]+(ns|µs|ms) +[\d.]+(µs|ms) +\*$`,
		`(?m)^example.com/app/users.fail +0 +1 +0 `,
		`(?m)^` + regexp.QuoteMeta(strings.TrimSpace(inLineNote)) + `$`,
	} {
		if !regexp.MustCompile(want).MatchString(s.out.String()) {
			t.Errorf("%s does not match:\n%s", want, s.out.String())
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url, "-hostname", "w1@box", "-Q", "tasks")
	s := newShell(t)
	for _, args := range [][]string{{"-Q", "tasks"}, {"-queue=tasks"}} {
		code := s.run(append([]string{"-broker", url, "ping"}, args...)...)
		if code != 0 || !regexp.MustCompile(`^w1@box: pong in [\d.]+(µs|ms|s)\n$`).MatchString(s.out.String()) {
			t.Errorf("exit code %d: %s%s", code, s.out.String(), &s.err)
		}
	}
	// The first queue of the tasks is mail, which nobody takes from.
	const nobody = "worker: no worker that takes from queue \"mail\" has answered within 100ms: none runs, or all are busy\n"
	s.want(1, "", nobody, "-broker", url, "ping", "-timeout", "100ms")
	s.want(1, "", nobody, "-broker", url, "stats", "-timeout", "100ms")
}

// Built-in tasks are called as others are, in the queue that is given or the first one of the tasks.
func TestCallBuiltIn(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url)
	s := newShell(t)
	s.want(0, "\"pong\"\n", "sent taskgen.ping, id ID\n", "-broker", url, "call", "ping")
	s.want(0, "\"pong\"\n", "sent taskgen.ping, id ID\n", "-broker", url, "call", "taskgen.ping", "-queue", "tasks")
	s.want(0, "0\n", "sent taskgen.delete_expired_results, id ID\n", "-broker", url, "call", "delete_expired_results", "-Q", "tasks")
	s.want(0, "\"ada\"\n", "sent taskgen.run, id ID\n", "-broker", url, "call", "run", `["example.com/app/users.echo", ["ada", 1]]`)
	s.want(0, "[\"a\",\"b\"]\n", "sent taskgen.map, id ID\n",
		"-broker", url, "call", "map", `{"task": "example.com/app/users.echo", "items": [["a", 1], {"number": 2, "text": "b"}]}`)
}

// Built-in tasks leave the queues alone: a worker takes from those of the user's tasks.
func TestBuiltInTasksHaveNoQueue(t *testing.T) {
	t.Parallel()
	url := "memory:" + t.Name()
	b := start(t, func(s *shell) {
		s.registry = task.NewRegistry()
		fail.Handle(s.registry, nil)
	}, "-broker", url)
	b.stop()
	if text := b.err.String(); !strings.Contains(text, "  queues\n    mail  shared slots  prefetch 40\n\n") {
		t.Errorf("the worker takes from other queues than mail:\n%s", text)
	}
}
