package worker

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

const builtInListing = `
built in, for any queue (call -queue); taskgen.http asks only hosts of -http-allow:

taskgen.delete_expired_results() int
    serializer=json
taskgen.http(method string, url string, params json.RawMessage) json.RawMessage
    serializer=json secret=params
taskgen.map(task string, items []json.RawMessage) []json.RawMessage
    serializer=json secret=items
taskgen.ping() string
    serializer=json
taskgen.run(name string, arguments json.RawMessage) json.RawMessage
    serializer=json secret=arguments
taskgen.stats() task.Stats
    serializer=json
`

func TestList(t *testing.T) {
	t.Parallel()
	newShell(t).want(0, `example.com/app/jobs.hold(text string, number int) string
    queue=tasks
example.com/app/users.echo(text string, number int) string
    queue=tasks secret=text
example.com/app/users.fail(text string, number int) string
    queue=mail serializer=json max_retries=5
example.com/app/users.panic(text string, number int) string
    queue=tasks
example.com/app/users.quiet(text string, number int) string
    queue=tasks ignore_result
`+builtInListing, "", "list")

	s := newShell(t)
	s.registry = task.NewRegistry()
	s.want(0, "no tasks\n"+builtInListing, "", "list")
}

// Where messages go is listed: patterns as they are, exchanges with their types.
func TestListRouting(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.registry = task.NewRegistry()
	for _, spec := range []task.Spec{
		{Name: "a", RoutingKey: "site-{text}"},
		{Name: "b", Exchange: "orders"},
		{Name: "c", Exchange: "orders", ExchangeType: task.Topic, RoutingKey: "eu.{text}", Queue: "eu"},
	} {
		define(spec).Handle(s.registry, nil)
	}
	s.want(0, `a(text string, number int) string
    queue=site-{text} routing_key=site-{text}
b(text string, number int) string
    queue=tasks exchange=orders exchange_type=direct
c(text string, number int) string
    queue=eu exchange=orders exchange_type=topic routing_key=eu.{text}
`+builtInListing, "", "list")

	if code := s.run("list", "--json"); code != 0 {
		t.Fatalf("exit code %d: %s", code, &s.err)
	}
	var got []taskInfo
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	const signature = "(text string, number int) string"
	want := []taskInfo{
		{Name: "a", Signature: signature, Queue: "site-{text}", Options: []string{"routing_key=site-{text}"}},
		{
			Name: "b", Signature: signature, Queue: "tasks", Options: []string{"exchange=orders", "exchange_type=direct"},
			Route: &route{Exchange: "orders", ExchangeType: "direct", RoutingKey: "tasks"},
		},
		{
			Name: "c", Signature: signature, Queue: "eu", Options: []string{"exchange=orders", "exchange_type=topic", "routing_key=eu.{text}"},
			Route: &route{Exchange: "orders", ExchangeType: "topic", RoutingKey: "eu.{text}"},
		},
		{Name: "taskgen.delete_expired_results", Signature: "() int", Options: []string{"serializer=json"}, BuiltIn: true},
	}
	if diff := cmp.Diff(want, got[:min(4, len(got))]); diff != "" || len(got) != 9 {
		t.Errorf("%d tasks, -want +got:\n%s", len(got), diff)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	if code := s.run("version"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"worker ", "taskgen ", runtime.Version(), runtime.GOOS} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, s.out.String())
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"-h", "-help", "--help", "help", "run -h"} {
		s := newShell(t)
		if code := s.run(strings.Fields(line)...); code != 0 || !strings.Contains(s.out.String(), "SIGTERM and SIGINT drain the worker") {
			t.Errorf("worker %s: exit code %d, and:\n%s%s", line, code, s.out.String(), &s.err)
		}
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"lst":                         `there is no command "lst"; did you mean list?`,
		"run now":                     `"now" is one argument too many`,
		"list mail":                   `worker list: "mail" is one argument too many`,
		"call":                        "worker call NAME [ARGUMENTS]",
		"result":                      "worker result ID",
		"-nonsense":                   "unknown flag: --nonsense",
		"-c many":                     `"many"`,
		"-c 0":                        "-concurrency 0: want at least 1",
		"-prefetch -1":                "-prefetch -1",
		"-drain -1s":                  "-drain -1s",
		"-Q mail=0":                   "-queues",
		"-hostname a@%x":              "-hostname",
		"-default-rate-limit often":   "100/m",
		"-l loud":                     "debug, info, warn and error",
		"-logformat xml":              "text and json",
		"-broker":                     "needs an argument",
		"call nothing":                "example.com/app/users.echo",
		"purge":                       "-yes",
		"list -c 4":                   "-c",
		"call a.b.c -timeout forever": "forever",
		"call echo -priority 10":      "-priority 10: want 0 (highest) to 9",
		"-rate-limit echo":            "want NAME=RATE",
		"-rate-limit echo=":           "want NAME=RATE",
		"-rate-limit echo=often":      "100/m",
		"-rate-limit ecko=1/s":        "there is no task \"ecko\"",
		"-rate-limit echo=1/s -rate-limit users.echo=2/s": "example.com/app/users.echo is given twice",
		"-result-ttl -1s":             "-result-ttl -1s",
		"-max-body 0":                 "-max-body 0: want at least 1",
		"-accept msgpack,xml":         `there is no serializer "xml"; there are`,
		"-http-private":               "needs -http-allow",
		"-http-allow http://x.org":    "-http-allow: host \"http://x.org\": this is no host",
		"-bind slow=orders/eu":        `does not take from queue "slow", only from mail, tasks`,
		"-Q slow -bind mail=orders/x": `does not take from queue "mail", only from slow`,
		"-bind mail":                  "want QUEUE=EXCHANGE/KEY",
		"inspect stats -timeout 0s":   "-timeout 0s",
		"version mail":                `worker version: "mail" is one argument too many`,
	} {
		s := newShell(t)
		if code := s.run(strings.Fields(line)...); code != misused || !strings.Contains(s.err.String(), want) || s.out.Len() > 0 {
			t.Errorf("worker %s: exit code %d and %swant 2 and %q", line, code, &s.err, want)
		}
	}
}

func TestFindTask(t *testing.T) {
	t.Parallel()
	r := task.NewRegistry()
	for _, name := range []string{"example.com/a/users.create", "example.com/b/users.create", "example.com/b/users.delete", "delete"} {
		define(task.Spec{Name: name}).Handle(r, nil)
	}
	for name, want := range map[string]string{
		"example.com/a/users.create": "example.com/a/users.create",
		"a/users.create":             "example.com/a/users.create",
		"users.delete":               "example.com/b/users.delete",
		"delete":                     "delete",
	} {
		if e, err := newCatalog(r).find(name); err != nil || e.Name() != want {
			t.Errorf("%s: got %v, %v", name, e, err)
		}
	}
	_, err := newCatalog(r).find("users.create")
	if err == nil || !strings.Contains(err.Error(), "example.com/a/users.create\n  example.com/b/users.create") || strings.Contains(err.Error(), "delete") {
		t.Errorf("an ambiguous name: %v", err)
	}
	if _, err := newCatalog(r).find("elete"); err == nil {
		t.Error("elete was found")
	}
}

func TestCallAndResult(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url)
	s := newShell(t)
	sentTo := func(name, queue string) string {
		return "sent example.com/app/" + name + " to queue \"" + queue + "\", id ID\n"
	}
	sent := func(name string) string { return sentTo(name, "tasks") }

	s.want(0, "\"ada\"\n", sent("users.echo"), "call", "users.echo", `["ada", 1]`, "-broker", url)
	s.want(0, "\"ada\"\n", sent("users.echo"), "-broker", url, "call", "example.com/app/users.echo", `{"number": 1, "text": "ada"}`)
	s.stdin = strings.NewReader(`["from stdin", 9007199254740993]`)
	s.want(0, "\"from stdin\"\n", sent("users.echo"), "-broker", url, "call", "echo", "-")
	s.want(1, "", sentTo("users.fail", "mail")+"worker: task example.com/app/users.fail ID failed: OverdrawnError: no money\n", "-broker", url, "call", "fail", `["no money", 1]`)
	s.want(0, "", sent("users.quiet")+"not waiting: the task ignores its result\n", "-broker", url, "call", "quiet", `["", 0]`)
	s.want(1, "", sentTo("users.echo", "nobody")+"worker: gave up after 1s: task ID waits or runs. Is a worker running for queue \"nobody\"?\n",
		"-broker", url, "call", "echo", `["", 0]`, "-queue", "nobody", "-timeout", "1s")
	s.want(0, "\"later\"\n", sent("users.echo"), "-broker", url, "call", "echo", `["later", 0]`, "-in", "20ms")

	ids := map[string]string{}
	for _, name := range []string{"echo", "fail", "panic"} {
		if code := s.run("-broker", url, "call", "-no-wait", name, `["escape \u001b[31m", 1]`); code != 0 {
			t.Fatalf("exit code %d: %s", code, &s.err)
		}
		ids[name] = strings.TrimSpace(s.out.String())
		awaitResult(t, url, ids[name])
	}
	s.want(0, "SUCCESS\n\"escape \\u001b[31m\"\n", "", "-broker", url, "result", ids["echo"])
	s.want(0, "FAILURE\nOverdrawnError: escape \\u001b[31m\n", "", "-broker", url, "result", ids["fail"])
	if code := s.run("-broker", url, "result", ids["panic"]); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"FAILURE\n", "PanicError: panic: escape", "world_test.go"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the result of a panic lacks %q:\n%s", want, s.out.String())
		}
	}
	s.want(0, "PENDING\nno result at "+brokerName(t, url)+": the task waits or runs, its result is too old or ignored, or it was never sent\n", "", "-broker", url, "result", "nobody")
	s.want(1, "", "worker: amqp://guest@localhost:1 keeps no results: each goes to the process that sent the task; send it with call, or use Call.Get in the program\n",
		"-broker", "amqp://guest:s3cret@localhost:1/", "result", "x")
}

// awaitResult waits until a task has ended.
func awaitResult(t *testing.T, url, id string) {
	t.Helper()
	ctx := sender(t, url)
	if _, err := task.ClientFrom(ctx).Transport().AwaitResult(ctx, id); err != nil {
		t.Fatal(err)
	}
}

func TestPurge(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	send := func() {
		t.Helper()
		for _, send := range []testTask{echo, echo, fail} {
			if _, err := send.Send(ctx, &args{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newShell(t)

	send()
	s.want(2, "", "worker: purge deletes messages for good, and there is nobody to ask: say -yes if that is what you want\nworker -h shows the manual\n", "-broker", url, "purge")
	question := "Delete all messages that wait in mail, tasks at " + task.ClientFrom(ctx).Transport().String() + "? [y/N] "
	s.interactive, s.stdin = true, strings.NewReader("\n")
	s.want(1, "", question+"worker: nothing was deleted\n", "-broker", url, "purge")
	s.stdin = strings.NewReader("yes\n")
	s.want(0, "mail: 1 message deleted\ntasks: 2 messages deleted\n", question, "-broker", url, "purge")
	s.interactive = false
	send()
	s.want(0, "tasks: 2 messages deleted\nother: 0 messages deleted\n", "", "-broker", url, "purge", "-yes", "tasks", "other")
	s.registry = task.NewRegistry()
	s.want(2, "", "worker: there are no tasks, so no queues: name one\nworker -h shows the manual\n", "-broker", url, "purge", "-y")
}

func TestBroker(t *testing.T) {
	folder := t.TempDir()
	t.Setenv(brokerVariable, "sqlite:"+filepath.Join(folder, "from-environment"))
	s := newShell(t)
	if code := s.run("call", "-no-wait", "quiet", `["", 1]`); code != 0 {
		t.Fatalf("exit code %d: %s", code, &s.err)
	}
	if code := s.run("call", "-no-wait", "quiet", `["", 1]`, "-broker", "sqlite:"+filepath.Join(folder, "from-flag")); code != 0 {
		t.Fatalf("exit code %d: %s", code, &s.err)
	}
	for _, name := range []string{"from-environment", "from-flag"} {
		if _, err := os.Stat(filepath.Join(folder, name, "queue.db")); err != nil {
			t.Error(err)
		}
	}
}

// What is secret is in nothing that the commands print.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const secret = "s3cret"
	memory := "memory:" + t.Name()
	for _, test := range [][]string{
		{"-broker", "amqp://guest:s3cret@host:56x2"},
		{"-broker", "amqp://guest:s3/cr?et@host:56x2/s3cret"},
		{"-broker", "redis://:s3cret@host"},
		{"-broker", "guest:s3cret@host"},
		{"-broker", "amqp://guest:s3cret@127.0.0.1:1/", "call", "echo", `["x", 1]`, "-timeout", "100ms"},
		{"-broker", "amqp://guest:s3cret@127.0.0.1:1/", "purge", "-yes"},
		{"-broker", memory, "call", "echo", `["s3cret", "x"]`},
		{"-broker", memory, "call", "echo", `["s3cret", 1, 2]`},
		{"-broker", memory, "call", "echo", `["s3cret"`},
		{"-broker", memory, "call", "echo", `s3cret`},
		{"-broker", memory, "call", "echo", `[1, "s3cret"]`},
		{"-h"},
	} {
		s := newShell(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		code := s.execute(ctx, test)
		cancel()
		if printed := s.out.String() + s.err.String(); strings.Contains(printed, secret) || code == 0 && test[0] != "-h" {
			t.Errorf("worker %s: exit code %d and\n%s", test, code, printed)
		}
	}
}

func TestSetup(t *testing.T) {
	t.Parallel()
	broker := "memory:" + t.Name()
	t.Run("its error", func(t *testing.T) {
		t.Parallel()
		s := newShell(t)
		s.setup = func(context.Context, Run) error { return errors.New("no database") }
		s.want(1, "", "worker: no database\n", "-broker", broker)
	})
	t.Run("without run", func(t *testing.T) {
		t.Parallel()
		s := newShell(t)
		s.setup = func(context.Context, Run) error { return nil }
		s.want(1, "", "worker: setup has returned without calling run: no task was run\n", "-broker", broker)
	})
	t.Run("a bad registry", func(t *testing.T) {
		t.Parallel()
		s := newShell(t)
		echo.Handle(s.registry, nil)
		s.want(1, "", "worker: task \"example.com/app/users.echo\" is registered twice\n", "-broker", broker)
	})
	t.Run("with its own context", func(t *testing.T) {
		t.Parallel()
		var cleaned bool
		b := start(t, func(s *shell) {
			s.setup = func(ctx context.Context, run Run) error {
				if task.ClientFrom(ctx) == nil {
					t.Error("setup has no client")
				}
				err := run(context.Background(), testTasks())
				cleaned = true
				return err
			}
		}, "-broker", broker+"/own")
		if code := b.stop(); code != 0 || !cleaned {
			t.Errorf("exit code %d, cleaned up: %t", code, cleaned)
		}
	})
}

func TestRunBanner(t *testing.T) {
	t.Parallel()
	b := start(t, nil, "-broker", "memory:"+t.Name(), "-Q", "mail=2,tasks", "-c", "4", "-hostname", "w1@box")
	if code := b.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	banner, log, _ := strings.Cut(b.err.String(), "time=")
	lines := strings.SplitN(banner, "\n", 4) // the third names versions and the process
	want := `
  broker       memory:TestRunBanner
  concurrency  4
  drain        25s

  queues
    mail   2 slots       prefetch 8
    tasks  shared slots  prefetch 16

  tasks
    example.com/app/jobs.hold    tasks
    example.com/app/users.echo   tasks  secret=text
    example.com/app/users.fail   mail   serializer=json max_retries=5
    example.com/app/users.panic  tasks
    example.com/app/users.quiet  tasks  ignore_result

  built in: taskgen.delete_expired_results, taskgen.http, taskgen.map, taskgen.ping, taskgen.run, taskgen.stats

`
	if diff := cmp.Diff(want, lines[3]); diff != "" || lines[1] != "  w1@box" || !strings.Contains(lines[2], runtime.Version()) {
		t.Errorf("-want +got:\n%s\nthe head: %q", diff, lines[:3])
	}
	order := []string{"msg=ready", "told to stop", "draining", "msg=stopped"}
	at := 0
	for _, want := range order {
		i := strings.Index(log[at:], want)
		if i < 0 {
			t.Fatalf("want %q in this order in the log:\n%s", order, log)
		}
		at += i
	}
}

func TestHomeless(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if got := homeless(filepath.Join(root, ".taskgen", "queue.db")); !strings.Contains(got, "no go.mod") {
		t.Errorf("without a module: %q", got)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{".taskgen/queue.db", "sub/.taskgen/queue.db", "queue.db"} {
		if got := homeless(filepath.Join(root, path)); got != "" {
			t.Errorf("%s in a module: %q", path, got)
		}
	}
}
