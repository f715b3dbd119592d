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
	onBrokers(t, func(t *testing.T, url, queue string) {
		name := "w1@" + queue
		start(t, nil, "-broker", url, "-hostname", name, "-Q", queue)
		ctx := sender(t, url)
		const runs = 150
		for range runs {
			get(t, ctx, send(t, ctx, echo.With(task.Queue(queue)), args{Text: "x"}), "x")
		}
		if _, err := send(t, ctx, fail.With(task.Queue(queue)), args{}).Get(ctx); err == nil {
			t.Error("fail does not fail")
		}
		s := newShell(t)
		tasks := map[string]task.TaskStats{}
		// A run counts once the broker has its outcome, which is after the caller has it.
		for deadline := time.Now().Add(patience); tasks[echo.Name()].Succeeded != runs || tasks[fail.Name()].Failed != 1; {
			if code := s.run("-broker", url, "inspect", "stats", "-d", name, "-t", "10s", "-json"); code != 0 || time.Now().After(deadline) {
				t.Fatalf("exit code %d: %s%s", code, s.out.String(), &s.err)
			}
			var stats map[string]struct {
				Taskgen task.Stats `json:"taskgen"`
			}
			if err := json.Unmarshal(s.out.Bytes(), &stats); err != nil || stats[name].Taskgen.Worker != name {
				t.Fatalf("%v in:\n%s", err, s.out.String())
			}
			for _, entry := range stats[name].Taskgen.Tasks {
				tasks[entry.Name] = entry
			}
		}
		if code := s.run("-broker", url, "inspect", "stats", "-destination", name, "-timeout", "10s"); code != 0 {
			t.Fatalf("exit code %d: %s", code, &s.err)
		}
		for _, want := range []string{
			`(?m)^` + name + `, started 20`,
			`(?m)^example.com/app/users.echo +150 +0 +0 +[\d.]+(ns|µs|ms) +[\d.]+(µs|ms) +\*$`,
			`(?m)^example.com/app/users.fail +0 +1 +0 `,
			`(?m)^` + regexp.QuoteMeta(strings.TrimSpace(inLineNote)) + `$`,
		} {
			if !regexp.MustCompile(want).MatchString(s.out.String()) {
				t.Errorf("%s does not match:\n%s", want, s.out.String())
			}
		}
	})
}

// Built-in tasks are called as others are.
func TestCallBuiltIn(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		start(t, nil, "-broker", url, "-Q", queue)
		s := newShell(t)
		for _, test := range [][3]string{
			{"ping", "", `"pong"`},
			{"delete_expired_results", "[]", "0"},
			{"run", `["example.com/app/users.echo", ["ada", 1]]`, `"ada"`},
			{"map", `{"task": "example.com/app/users.echo", "items": [["a", 1], {"number": 2, "text": "b"}]}`, `["a","b"]`},
		} {
			s.want(0, test[2]+"\n", "sent taskgen."+test[0]+" to queue \""+anonymous(queue)+"\", id ID\n", "-broker", url, "call", "-Q", queue, "taskgen."+test[0], test[1])
		}
	})
}

// A built-in task goes to the first queue of the tasks, and can be called by the end of its name.
func TestCallBuiltInByDefault(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url, "-Q", "tasks")
	newShell(t).want(0, "\"pong\"\n", "sent taskgen.ping to queue \"tasks\", id ID\n", "-broker", url, "call", "ping")
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
