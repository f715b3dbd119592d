package worker

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// celeryProgram is the one of Debian's package; python has its modules.
const (
	celeryProgram = "/usr/bin/celery"
	python        = "/usr/bin/python3"
)

// needsCelery skips a test where there is no Celery or no RabbitMQ, and returns the URL of the broker.
func needsCelery(t *testing.T) string {
	t.Helper()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	if _, err := os.Stat(celeryProgram); err != nil {
		t.Skip("NOT TESTED against Celery: ", err)
	}
	return url
}

// runProgram runs a program to its end and returns what it prints.
func runProgram(t *testing.T, wanted int, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != wanted {
		t.Fatalf("%s: exit code %d, %v\n%s\n%s", strings.Join(args, " "), code, err, out, &problems)
	}
	return string(out)
}

// commandsScript runs commands of Celery's command line, one after the other, in one process: Python takes its time to start.
const commandsScript = `
import json, sys
from celery.bin.celery import celery
from click.testing import CliRunner
answers = []
for line in sys.argv[3:]:
    group, *words = line.split()
    done = CliRunner().invoke(celery, ["-b", sys.argv[1], group, "-d", sys.argv[2], "-t", "20", *words])
    answers.append({"code": done.exit_code, "output": done.output})
print(json.dumps(answers))
`

// Celery's own command line, unchanged, on a Go worker.
func TestCeleryCommands(t *testing.T) {
	t.Parallel()
	url := needsCelery(t)
	queue := "test.celery." + uniqueName()
	t.Cleanup(func() { deleteQueue(t, url, queue) })
	name := "go@" + queue
	b := start(t, nil, "-broker", url, "-hostname", name, "-Q", queue, "-rate-limit", "users.fail=10/m")
	var commands, wants []string
	for _, test := range []struct{ command, want string }{
		{"inspect ping", `(?s)` + name + `: OK.*pong`},
		{"inspect registered rate_limit", `example.com/app/users.fail \[rate_limit=10/m\]`},
		{"inspect stats", `"implementation": "taskgen:goroutines"`},
		{"inspect active_queues", `'name': '` + queue + `'`},
		{"inspect conf", `"worker_concurrency": 10`},
		{"inspect report", `software -> taskgen:`},
		{"inspect scheduled", `- empty -`},
		{"inspect clock", `"clock": \d+`},
		{"control rate_limit example.com/app/users.echo 5/m", `new rate limit set successfully`},
		{"control time_limit example.com/app/users.echo 10 5", `time limits set successfully`},
		{"control revoke an-id", `tasks \{'an-id'\} flagged as revoked`},
		{"control terminate SIGTERM an-id", `terminate: tasks unknown`},
		{"inspect revoked", `an-id`},
		{"control pool_grow 1", `pool will grow`},
		{"control add_consumer " + queue + ".extra", `add consumer ` + queue + `.extra`},
		{"control cancel_consumer " + queue + ".extra", `no longer consuming from ` + queue + `.extra`},
		{"control enable_events", `task events (already )?enabled`},
	} {
		commands, wants = append(commands, test.command), append(wants, test.want)
	}
	var answers []struct {
		Code   int
		Output string
	}
	out := runProgram(t, 0, python, append([]string{"-c", commandsScript, url, name}, commands...)...)
	if err := json.Unmarshal([]byte(out), &answers); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	for i, a := range answers {
		if a.Code != 0 || !regexp.MustCompile(wants[i]).MatchString(a.Output) {
			t.Errorf("celery %s: exit code %d, and %s does not match:\n%s", commands[i], a.Code, wants[i], a.Output)
		}
	}
	if out := runProgram(t, 0, python, celeryProgram, "-b", url, "status", "-d", name, "-t", "20"); !strings.Contains(out, "1 node online") {
		t.Errorf("celery status: %s", out)
	}
	runProgram(t, 0, python, "-c", `
import sys
from celery import Celery
Celery(broker=sys.argv[1]).control.shutdown(destination=[sys.argv[2]])`, url, name)
	select {
	case code := <-b.code:
		if b.code <- code; code != 0 {
			t.Errorf("exit code %d after a shutdown: %s", code, &b.err)
		}
	case <-time.After(patience):
		t.Error("the worker does not shut down")
	}
}

// inspectScript asks a worker all that Celery's Python API has, and prints it as JSON.
const inspectScript = `
import json, sys
from celery import Celery
app = Celery(broker=sys.argv[1])
name, running = sys.argv[2], sys.argv[3]
i = app.control.inspect(destination=[name], timeout=20)
answers = {m: getattr(i, m)() for m in ("ping", "active", "reserved", "scheduled", "revoked", "registered", "stats",
                                        "active_queues", "conf", "report", "clock")}
answers["active_safe"] = i.active(safe=True)
answers["query_task"] = i.query_task([running])
answers["terminate"] = {k: v for r in app.control.revoke(running, terminate=True, reply=True, destination=[name], timeout=20) for k, v in r.items()}
print(json.dumps({m: answers[m][name] for m in answers}))
`

// Celery's Python API, which Flower uses too.
func TestCeleryAPI(t *testing.T) {
	t.Parallel()
	url := needsCelery(t)
	queue := "test.celery." + uniqueName()
	t.Cleanup(func() { deleteQueue(t, url, queue) })
	name := "go@" + queue
	start(t, func(s *shell) { heed.Handle(s.registry, heeded) }, "-broker", url, "-hostname", name, "-Q", queue, "-c", "1")
	ctx, holder := sender(t, url), newHolder(t)
	running := send(t, ctx, heed.With(task.Queue(queue)), args{Text: holder.Addr().String()})
	holder.started()
	var got struct {
		Ping, Report, Terminate map[string]string
		Active, Reserved        []map[string]any
		ActiveSafe              []map[string]any `json:"active_safe"`
		Scheduled               []any
		Revoked, Registered     []string
		Stats                   map[string]any
		ActiveQueues            []map[string]any `json:"active_queues"`
		Query                   map[string][]any `json:"query_task"`
	}
	out := runProgram(t, 0, python, "-c", inspectScript, url, name, running.ID)
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.Ping["ok"] != "pong" || got.Terminate["ok"] != "terminate: "+running.ID || len(got.Active) != 1 || got.Active[0]["id"] != running.ID ||
		len(got.ActiveSafe) != 1 || got.ActiveSafe[0]["args"] != "()" || len(got.Query[running.ID]) != 2 || got.Query[running.ID][0] != "active" ||
		got.Stats["broker"] == nil || got.Stats["total"] == nil || len(got.ActiveQueues) != 1 || got.ActiveQueues[0]["name"] != queue {
		t.Errorf("Python sees %s", out)
	}
	if _, err := running.Get(ctx); err == nil || !strings.Contains(err.Error(), "was revoked") {
		t.Errorf("the terminated task ends with %v", err)
	}
}

// pythonWorker is a Celery worker with a task that takes its time.
const pythonWorker = `
import sys, time
from celery import Celery
app = Celery("tasks", broker=sys.argv[1])
app.conf.task_default_queue = sys.argv[3]
@app.task(name="py.sleep")
def sleep(seconds):
    time.sleep(seconds)
app.worker_main(["worker", "-n", sys.argv[2], "-c", "1", "-P", "prefork", "-l", "INFO"])
`

// Our command line on a Celery worker, and mingling with one.
func TestInspectCelery(t *testing.T) {
	t.Parallel()
	url := needsCelery(t)
	queue := "test.celery." + uniqueName()
	t.Cleanup(func() { deleteQueue(t, url, queue) })
	name, s := "py@"+queue, newShell(t)
	script := filepath.Join(t.TempDir(), "tasks.py")
	if err := os.WriteFile(script, []byte(pythonWorker), 0o600); err != nil {
		t.Fatal(err)
	}
	log := new(output)
	cmd := exec.Command(python, script, url, name, queue)
	cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Dir(script), log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	log.await(t, "ready.")
	for _, test := range []struct{ command, want string }{
		{"inspect ping", `^` + name + `: +pong in `},
		{"inspect active", name + ` +none`},
		{"inspect registered", name + ` +py.sleep`},
		{"inspect stats", name + `, process \d+, up for `},
		{"inspect active_queues", name + ` +` + queue + ` +` + queue + ` +direct +` + queue},
		{"inspect conf", name + ` +task_default_queue +` + queue},
		{"inspect report", `software -> celery:5`},
		{"control rate_limit py.sleep 10/m", `new rate limit set successfully`},
		{"control time_limit py.sleep 10 5", `time limits set successfully`},
		{"control add_consumer " + queue, `add consumer ` + queue},
		{"control revoke revoked-in-python", `flagged as revoked`},
		{"inspect revoked", name + ` +revoked-in-python`},
		{"control pool_grow", `pool will grow`},
		{"control enable_events", `task events`},
	} {
		if out := s.inspected(url, name, strings.Fields(test.command)...); !regexp.MustCompile(test.want).MatchString(out) {
			t.Errorf("%s: %s does not match:\n%s", test.command, test.want, out)
		}
	}
	// A Go worker that starts learns from the Celery worker what was revoked.
	mate := "go@" + queue
	start(t, nil, "-broker", url, "-hostname", mate, "-Q", queue)
	for deadline := time.Now().Add(patience); !strings.Contains(s.inspected(url, mate, "inspect", "revoked"), "revoked-in-python"); {
		if t.Failed() || time.Now().After(deadline) {
			t.Fatal("the Go worker does not know what was revoked")
		}
	}
	s.inspected(url, name, "control", "shutdown")
	select {
	case <-ended:
	case <-time.After(patience):
		t.Errorf("the Celery worker does not shut down: %s", log)
	}
}
