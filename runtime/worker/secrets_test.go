package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/task"
)

// The secrets that are planted. Nothing else has these words.
const (
	brokerSecret    = "planted-broker"
	malformedSecret = "planted-malformed"
	mailSecret      = "planted-mail"
	httpSecret      = "planted-http"
	argumentSecret  = "planted-argument"
)

// spill is everything that workers and commands have said, by who said it.
type spill struct {
	*testing.T
	mu   sync.Mutex
	said map[string]string
}

func (s *spill) add(who, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said[who] += what
}

// command runs a command in a process of its own, with so much in its environment.
func (s *spill) command(environment string, args ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"=1", environment)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		s.Errorf("%s does not end", args)
	}
	who := strings.TrimSpace(environment + " worker " + strings.Join(args, " "))
	s.add(who, string(out)+fmt.Sprint(err))
	return string(out)
}

// check looks for the secrets. It wants words that show that the places have been reached where they could be.
func (s *spill) check(reached ...string) {
	s.Helper()
	all := strings.Join(slices.Collect(maps.Values(s.said)), "\n")
	for _, want := range reached {
		if !strings.Contains(all, want) {
			s.Errorf("nobody has said %q", want)
		}
	}
	for who, text := range s.said {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "planted") {
				s.Errorf("%s has said %s", who, line)
			}
		}
	}
}

// No password and no secret argument is in anything that a worker or a command says, whatever goes wrong.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := &spill{T: t, said: map[string]string{}}
			broker := "sqlite:" + t.TempDir()
			worker := startChild(t, "-broker", broker, "-l", "debug", "-logformat", format, "-health", freePort(t),
				"-http-allow", "127.0.0.1:1", "-http-private",
				"-mail", "smtp://ada:"+mailSecret+"@127.0.0.1:1", "-mail-to", "ops@example.com", "-mail-from", "tasks@example.com")
			dead := s.failingTasks(broker)
			var group sync.WaitGroup
			for _, args := range [][]string{
				{"dead", "list"},
				{"dead", "list", "-json"},
				{"dead", "show", dead},
				{"inspect", "stats"},
				{"inspect", "stats", "-json"},
				{"inspect", "conf"},
				{"inspect", "report"},
				{"list", "-json"},
				{"call", "echo", `{"text": "` + argumentSecret + `", "number": "` + argumentSecret + `"}`},
				{"call", "echo", `["` + argumentSecret + `", 1`},
				{"call", "echo", argumentSecret},
				{"call", "guard", `["` + argumentSecret + `", 1]`},
				{"call", "taskgen.http", `["GET", "http://ada:` + httpSecret + `@127.0.0.1:1/", {}]`},
				{"call", "taskgen.http", `["GET", "http://127.0.0.1:1/?key=` + httpSecret + `", {"token": "` + httpSecret + `"}]`},
				{"call", "taskgen.run", `["users.echo", ["` + argumentSecret + `", "` + argumentSecret + `"]]`},
				{"call", "taskgen.run", `["guard", ["` + argumentSecret + `", 1]]`},
			} {
				group.Go(func() { s.command("", append([]string{"-broker", broker}, args...)...) })
			}
			group.Wait()
			worker.signal(syscall.SIGTERM)
			if code := worker.exitCode(); code != succeeded {
				t.Errorf("exit code %d", code)
			}
			s.add("the worker", worker.log.String())
			s.check("bad-arguments", "want int64, got string", "no entry", "could not be sent to smtp://ada@127.0.0.1:1", "credentials in the URL", "connection refused")
		})
	}
}

// failingTasks sends tasks with secrets that fail in one way or another, and returns the id of one that is parked.
func (s *spill) failingTasks(broker string) (dead string) {
	s.Helper()
	ctx := sender(s.T, broker)
	shown := task.NewClient(task.ClientFrom(ctx).Transport(), task.ClientConfig{ShowArguments: true})
	ctx = task.WithClient(ctx, shown)
	guarded, err := guard.Send(ctx, &args{Text: argumentSecret})
	if err != nil {
		s.Fatal(err)
	}
	_, err = guarded.Get(ctx)
	s.add("the caller of guard", fmt.Sprint(err))
	// A sender with other arguments than the worker knows.
	for _, body := range []string{
		`[[], {"text": "%[1]s", "number": "%[1]s"}, {}]`,
		`[[], {"text": ["%[1]s"], "number": 1}, {}]`,
		`[["%[1]s", "%[1]s", "%[1]s"], {}, {}]`,
		`[["%[1]s"], {}, {"chain": "%[1]s"`,
	} {
		m := &task.Message{
			ID: "id-" + fmt.Sprint(len(body)), Queue: "tasks", ContentType: "application/json", ContentEncoding: "utf-8",
			Headers: map[string]any{"task": echo.Name(), "kwargsrepr": "{'text': '" + argumentSecret + "'}", "argsrepr": "('" + argumentSecret + "',)"},
			Body:    fmt.Appendf(nil, body, argumentSecret),
		}
		m.Headers["id"], dead = m.ID, m.ID
		if err := shown.Transport().Publish(ctx, m); err != nil {
			s.Fatal(err)
		}
		r, err := shown.Transport().AwaitResult(ctx, m.ID)
		if err != nil {
			s.Fatal(err)
		}
		s.add("the result of "+m.ID, string(r.Body))
	}
	params := json.RawMessage(`{"token": "` + httpSecret + `"}`)
	for _, url := range []string{"http://127.0.0.1:1/a", "http://ada:" + httpSecret + "@127.0.0.1:1/", "http://ada:" + httpSecret + "@%zz/"} {
		call, err := builtin.HTTPCall.With(task.Queue("tasks")).Delay(ctx, "POST", url, params)
		if err == nil {
			_, err = call.Get(ctx)
		}
		s.add("the caller of taskgen.http", fmt.Sprint(err))
	}
	return dead
}

// A password in a URL of a broker or mail server that is not there, refuses it, or is no URL.
func TestPasswordsStaySecret(t *testing.T) {
	t.Parallel()
	s := &spill{T: t, said: map[string]string{}}
	var group sync.WaitGroup
	run := func(environment string, args ...string) {
		group.Go(func() { s.command(environment, args...) })
	}
	wrong := []string{"amqp://ada:" + brokerSecret + "@127.0.0.1:1/"}
	if broker := os.Getenv("TASKGEN_TEST_AMQP"); broker != "" {
		u, err := url.Parse(broker)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword("ada", brokerSecret)
		wrong = append(wrong, u.String())
		run("", "-broker", u.String(), "-l", "debug")
		run("", "-broker", u.String(), "-logformat", "json", "-l", "debug")
	}
	for _, u := range wrong {
		run("", "-broker", u, "call", "echo", `["", 1]`, "-timeout", "1s")
		run("", "-broker", u, "inspect", "ping", "-timeout", "1s")
		run(brokerVariable+"="+u, "inspect", "stats", "-timeout", "1s")
	}
	for _, u := range []string{
		"amqp://ada:" + malformedSecret + "@host:56x2", "amqp:/ada:" + malformedSecret + "@host", "amqp://ada:" + malformedSecret,
		"amqp://ada:" + malformedSecret + "%zz@host", "ada:" + malformedSecret + "@host", "amqp://ada:/" + malformedSecret + "@host", "redis://:" + malformedSecret + "@host",
	} {
		run("", "-broker", u)
		run("", "-broker", u, "-logformat", "json")
		run(brokerVariable+"="+u, "list", "-json")
		run(brokerVariable+"="+u, "dead", "list")
		run("", "-broker-file", writeFile(t, u), "inspect", "ping")
		run("", u)
		run("", "-c", u)
		run("", "-broker", "memory:", "-mail", strings.Replace(u, "amqp", "smtp", 1), "-mail-to", "a@x", "-mail-from", "b@x")
	}
	// One that waits for its broker, for as long as it takes to see what it says.
	worker := launchChild(t, "-broker", wrong[0], "-l", "debug", "-health", "127.0.0.1:0")
	p := probe(t, &worker.log)
	p.want("/readyz", 503, "not consuming")
	for _, path := range []string{"/readyz", "/livez", "/?" + url.QueryEscape(wrong[0])} {
		_, text := p.ask(path)
		s.add(path, text)
	}
	worker.log.await(t, "not consuming")
	group.Wait()
	worker.signal(syscall.SIGTERM)
	if code := worker.exitCode(); code != succeeded {
		t.Errorf("exit code %d", code)
	}
	s.add("the worker", worker.log.String())
	s.check("amqp://ada@127.0.0.1:1", "amqp://ada:***@***", "there is no command \"amqp://ada:***@***\"", "is not a port number")
}
