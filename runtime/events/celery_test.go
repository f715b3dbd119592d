package events_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

// python is the interpreter that has Celery.
const python = "/usr/bin/python3"

// needCelery skips where there is no RabbitMQ or no Celery.
func needCelery(t *testing.T) (url string) {
	t.Helper()
	if url = os.Getenv("TASKGEN_TEST_AMQP"); url == "" {
		t.Skip("needs a RabbitMQ: run `make test`, or set TASKGEN_TEST_AMQP to the URL that scripts/rabbitmq.sh start prints")
	}
	if out, err := exec.CommandContext(t.Context(), python, "-c", "import celery").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED AGAINST CELERY: install Debian's package celery (%v: %s)", err, out)
	}
	return url
}

// reader is a process of Celery that reads events.
type reader struct {
	w     *world
	lines *bufio.Scanner
	seen  strings.Builder
}

func (w *world) read(name string, args ...string) *reader {
	w.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	out, err := cmd.StdoutPipe()
	w.check(err)
	var problems strings.Builder
	cmd.Stderr = &problems
	w.check(cmd.Start())
	w.Cleanup(func() {
		cancel()
		if err := cmd.Wait(); w.Failed() {
			w.Logf("%s: %v\n%s", cmd, err, &problems)
		}
	})
	return &reader{w: w, lines: bufio.NewScanner(out)}
}

// until returns the next line that matches.
func (r *reader) until(pattern string) string {
	r.w.Helper()
	form := regexp.MustCompile(pattern)
	for r.lines.Scan() {
		r.seen.WriteString(r.lines.Text() + "\n")
		if form.MatchString(r.lines.Text()) {
			return r.lines.Text()
		}
	}
	r.w.Fatalf("no line matches %s: %v\n%s", pattern, r.lines.Err(), &r.seen)
	return ""
}

// tasks are those of the tests with Celery.
type tasks struct{ join, fail, again task.Task[pair, string] }

func (w *world) tasks() (tasks, *task.Registry) {
	define := func(name string) task.Task[pair, string] {
		return task.Define[pair](task.Spec{Name: "test." + name, Queue: w.queue, Secret: []string{"b"}, DefaultRetryDelay: new(time.Duration)}, codec.String[string])
	}
	t := tasks{define("join"), define("fail"), define("again")}
	r := task.NewRegistry()
	t.join.Handle(r, func(_ context.Context, p *pair) (string, error) { return p.A + "!", nil })
	t.fail.Handle(r, func(_ context.Context, p *pair) (string, error) { return "", &BoomError{p.A} })
	t.again.Handle(r, func(ctx context.Context, p *pair) (string, error) {
		if task.InfoFrom(ctx).Retries == 0 {
			return "", t.again.Again(ctx, errors.New("not yet"), p)
		}
		return p.A, nil
	})
	return t, r
}

// Celery's State, which Flower and `celery events` are made of, has a Go worker and its tasks as if they were Python's.
func TestStateOfCelery(t *testing.T) {
	t.Parallel()
	url := needCelery(t)
	w := newWorld(t, url)
	defined, r := w.tasks()
	state := w.read(python, "testdata/state.py", url, w.name)
	state.until("listening")
	w.run(r, events.Config{Tasks: true, Interval: 200 * time.Millisecond})
	ctx := w.client(url)
	send := func(which task.Task[pair, string], options ...task.Option) string {
		call, err := which.With(options...).Send(ctx, &pair{"one", "s3cret"})
		w.check(err)
		return call.ID
	}
	joined, failed, again := send(defined.join), send(defined.fail), send(defined.again)
	expired := send(defined.join, task.ExpiresAt(time.Now().Add(-time.Hour)))
	w.awaitTask("task-succeeded", joined)
	w.awaitTask("task-failed", failed)
	w.awaitTask("task-succeeded", again)
	w.awaitTask("task-revoked", expired)
	w.awaitKind("worker-heartbeat")
	w.stop()

	type taskState struct {
		Worker, State, Name, Args, Kwargs, Result string
		Runtime                                   bool
		Exception, Traceback                      string
		Retries                                   int
		Root, Parent                              string
		Times                                     []string
	}
	var got struct {
		Alive, Gone bool
		Worker      map[string]any
		Load        int
		Tasks       map[string]taskState
	}
	w.check(json.Unmarshal([]byte(state.until("^{")), &got))
	const shown = "{'a': 'one', 'b': '***'}"
	want := map[string]taskState{
		joined: {State: "SUCCESS", Name: "test.join", Result: "'one!'", Runtime: true, Root: joined, Times: []string{"received", "started", "succeeded"}},
		failed: {State: "FAILURE", Name: "test.fail", Exception: "BoomError('one')", Traceback: "BoomError: one", Root: failed, Times: []string{"received", "started", "failed"}},
		again: {
			State: "SUCCESS", Name: "test.again", Result: "'one'", Runtime: true, Root: again, Parent: again, Retries: 1,
			Exception: "Retry(Retry(...), Error('not yet'), 0)", Traceback: "Error: not yet",
			Times: []string{"received", "started", "succeeded", "retried"},
		},
		expired: {State: "REVOKED", Name: "test.join", Root: expired, Times: []string{"received", "revoked"}},
	}
	for id, task := range want {
		task.Worker, task.Args, task.Kwargs = w.name, "()", shown
		want[id] = task
	}
	if diff := cmp.Diff(want, got.Tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if !got.Alive || !got.Gone || got.Load != 3 {
		t.Errorf("alive %t, gone %t, %d load averages", got.Alive, got.Gone, got.Load)
	}
	worker := map[string]any{"freq": 0.2, "active": 0.0, "processed": 4.0, "sw_ident": "taskgen", "sw_sys": "Linux", "pid": float64(os.Getpid())}
	if diff := cmp.Diff(worker, got.Worker); diff != "" {
		t.Errorf("worker (-want +got):\n%s", diff)
	}
}

// `celery events --dump` prints what a Go worker tells.
func TestDumpOfCelery(t *testing.T) {
	t.Parallel()
	url := needCelery(t)
	w := newWorld(t, url)
	defined, r := w.tasks()
	w.run(r, events.Config{Tasks: true, Interval: 100 * time.Millisecond})
	dump := w.read(python, "-m", "celery", "-b", url, "events", "--dump")
	name := regexp.QuoteMeta(w.name)
	dump.until("^" + name + ` \[.*\] heartbeat: .*sw_ident=taskgen`)
	call, err := defined.join.Send(w.client(url), &pair{"one", "s3cret"})
	w.check(err)
	dump.until("^" + name + ` \[.*\] task received: test.join\(` + call.ID + `\) args=\(\) kwargs=\{'a': 'one', 'b': '\*\*\*'\}`)
	dump.until("^" + name + ` \[.*\] task started: test.join\(` + call.ID + `\)`)
	dump.until("^" + name + ` \[.*\] task succeeded: test.join\(` + call.ID + `\) .*result='one!'`)
	w.stop()
	dump.until("^" + name + ` \[.*\] shutdown: `)
}

// declareAsCelery makes the queue as Celery wants it, whoever comes first.
func (w *world) declareAsCelery(url string) {
	w.Helper()
	conn, err := amqp.Dial(url)
	w.check(err)
	channel, err := conn.Channel()
	w.check(err)
	_, err = channel.QueueDeclare(w.queue, true, false, false, false, nil)
	w.check(err)
	w.Cleanup(func() {
		_, _ = channel.QueueDelete(w.queue, false, false, false)
		conn.Close()
	})
}

// A Go program hears a worker of Celery, and has it tell of its tasks.
func TestListenToCelery(t *testing.T) {
	t.Parallel()
	url := needCelery(t)
	w := newWorld(t, url)
	w.declareAsCelery(url)
	w.read("env", "BROKER="+url, "QUEUE="+w.queue, python, "-m", "celery", "-A", "app", "--workdir", "testdata", "worker", "-P", "solo", "-n", w.name)
	ctx, stop := context.WithCancel(w.ctx)
	heard, ended := make(chan events.Event, 1000), make(chan error, 1)
	go func() {
		ended <- events.Listen(ctx, w.transport, events.ListenConfig{Enable: true}, func(e events.Event) {
			if e.Hostname() == w.name {
				heard <- e
			}
		})
	}()
	join := task.Define[pair](task.Spec{Name: "py.join", Queue: w.queue, Serializer: "json"}, codec.String[string])
	client := task.WithClient(w.ctx, task.NewClient(w.transport, task.ClientConfig{ShowArguments: true}))
	again := time.NewTicker(500 * time.Millisecond) // until the worker has been asked to tell
	defer again.Stop()
	got := map[string]events.Event{}
	for got["task-succeeded"] == nil {
		select {
		case e := <-heard:
			got[e.Type()] = e
		case <-again.C:
			_, err := join.Send(client, &pair{"a", "b"})
			w.check(err)
		case <-w.ctx.Done():
			t.Fatalf("no task was told of; there are %v", got)
		}
	}
	if e := got["worker-heartbeat"]; e["sw_ident"] != "py-celery" || time.Since(e.Time()) > patience {
		t.Errorf("heartbeat: %v", e)
	}
	if e := got["task-received"]; e["name"] != "py.join" || e["kwargs"] != "{'a': 'a', 'b': 'b'}" {
		t.Errorf("received: %v", e)
	}
	if e := got["task-succeeded"]; e["result"] != "'ab'" {
		t.Errorf("succeeded: %v", e)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Listen ended with %v", err)
	}
}
