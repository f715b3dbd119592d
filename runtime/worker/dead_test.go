package worker

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// parkUnknown sends two calls of a task that no worker knows, and waits until both are parked.
func parkUnknown(t *testing.T, url, queue string) (ids []string) {
	t.Helper()
	ctx := sender(t, url)
	unknown := define(task.Spec{Name: "example.com/app/users.gone", Queue: queue})
	for _, text := range []string{"s3cret", "second"} {
		call, err := unknown.Send(ctx, &args{Text: text})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call.Get(ctx); err == nil || !strings.Contains(err.Error(), "NotRegistered") {
			t.Fatalf("want the task to be unknown: %v", err)
		}
		ids = append(ids, call.ID)
	}
	return ids
}

func TestDead(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		t.Cleanup(func() { deleteQueue(t, url, queue+".dead") })
		stranger := start(t, nil, "-broker", url, "-Q", queue)
		s := newShell(t)
		s.want(0, "no message is parked in "+anonymous(queue)+" at "+brokerName(t, url)+"\n", "", "-broker", url, "dead", "list", "-Q", queue)
		ids := parkUnknown(t, url, queue)

		if code := s.run("-broker", url, "dead", "list", "-Q", queue); code != 0 || strings.Count(s.out.String(), "unknown-task") != 2 || strings.Contains(s.out.String(), "s3cret") {
			t.Errorf("list: exit code %d\n%s%s", code, s.out.String(), &s.err)
		}
		if code := s.run("-broker", url, "dead", "-Q", queue, "show", ids[0]); code != 0 || strings.Contains(s.out.String(), "s3cret") {
			t.Errorf("show: exit code %d\n%s%s", code, s.out.String(), &s.err)
		}
		for _, want := range []string{ids[0], "unknown-task", "users.gone", "application/"} {
			if !strings.Contains(s.out.String(), want) {
				t.Errorf("show lacks %q:\n%s", want, s.out.String())
			}
		}
		if code := s.run("-broker", url, "dead", "-Q", queue, "show", "-raw", ids[0]); code != 0 || !strings.Contains(s.out.String(), "s3cret") {
			t.Errorf("the body: exit code %d\n%s%s", code, s.out.String(), &s.err)
		}
		s.want(0, "1 message dropped\n", "", "-broker", url, "dead", "-Q", queue, "drop", ids[1])
		s.want(1, "0 messages dropped\n", "worker: not parked in "+anonymous(queue)+" at "+brokerName(t, url)+": ID\n", "-broker", url, "dead", "-Q", queue, "drop", ids[1])

		// A worker that knows the task by now, in place of the one that does not.
		stranger.stop()
		ran := make(chan string, 2)
		start(t, func(s *shell) {
			define(task.Spec{Name: "example.com/app/users.gone", Queue: queue}).Handle(s.registry, func(_ context.Context, a *args) (string, error) {
				ran <- a.Text
				return "", nil
			})
		}, "-broker", url, "-Q", queue)
		s.want(2, "", "worker: dead replay: want the ids of messages, or -all\nworker -h shows the manual\n", "-broker", url, "dead", "-Q", queue, "replay")
		s.want(0, "1 message sent again\n", "", "-broker", url, "dead", "-Q", queue, "replay", "-all", "-yes")
		if got := <-ran; got != "s3cret" {
			t.Errorf("ran with %q", got)
		}
	})
}

// A queue with an error is reported, and keeps nobody from the others.
func TestDeadGoesOn(t *testing.T) {
	t.Parallel()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	queue := "test.worker." + uniqueName()
	t.Cleanup(func() { deleteQueue(t, url, queue) })
	t.Cleanup(func() { deleteQueue(t, url, queue+".dead") })
	stranger := start(t, nil, "-broker", url, "-Q", queue)
	parkUnknown(t, url, queue)
	stranger.stop()
	s := newShell(t)
	bad := []string{strings.Repeat("a", 254), strings.Repeat("b", 254)} // no room for .dead
	code := s.run("-broker", url, "dead", "replay", "-all", "-yes", "-Q", bad[0]+","+queue+","+bad[1])
	text := s.err.String()
	if code != failed || s.out.String() != "2 messages sent again\n" || strings.Count(text, "\n") != 2 {
		t.Errorf("exit code %d: %s%s", code, s.out.String(), text)
	}
	for _, name := range bad {
		if !strings.Contains(text, name) {
			t.Errorf("the error of %s… is missing: %s", name[:5], text)
		}
	}
}

// A broker that is down, one that refuses the login and one with nothing are three things; nobody waits without knowing for what.
func TestAsksInVain(t *testing.T) {
	t.Parallel()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	wrongPassword := strings.Replace(url, "guest:guest@", "guest:s3cret@", 1)
	down := "amqp://guest:s3cret@" + freePort(t) + "/"
	for _, line := range []string{"dead list -Q one,two", "dead replay -all -yes -Q one,two", "inspect ping", "inspect stats", "control heartbeat", "control shutdown", "purge -yes one two"} {
		for url, want := range map[string]string{down: "no connection to the broker at 127.0.0.1:", wrongPassword: "refuses user \"guest\""} {
			if url == wrongPassword && !strings.HasPrefix(line, "dead list") && line != "inspect ping" {
				continue // it takes the broker seconds to say so
			}
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				s := newShell(t)
				s.silence = time.Millisecond
				if url == down {
					s.patience = time.Second
				}
				code := s.run(append(strings.Fields(line), "-broker", url)...)
				told, rest, _ := strings.Cut(s.err.String(), "\n")
				if code != failed || s.out.Len() > 0 || !strings.HasPrefix(told, "waiting for the broker amqp://guest@127.0.0.1:") {
					t.Errorf("exit code %d: %s%s", code, s.out.String(), &s.err)
				}
				if strings.Count(rest, want) != 1 || strings.Count(rest, "\n") != 1 || strings.Contains(rest, "worker has answered") || strings.Contains(rest, "s3cret") {
					t.Errorf("want %q once: %s", want, rest)
				}
			})
		}
	}
}

// Nothing in a parked message looks like another one, or like another of its properties.
func TestDeadInjection(t *testing.T) {
	t.Parallel()
	const forged = "x\nreason  forged\r\x1b[31m\u2028\t"
	d := &task.DeadMessage{
		DeadLetter: task.DeadLetter{Reason: forged, Error: forged, Worker: forged},
		Message: &task.Message{
			ID: forged, Task: forged, Queue: "q", ContentType: forged, ContentEncoding: forged,
			Headers: map[string]any{forged: forged, "long": strings.Repeat("x", 100_000)},
		},
	}
	shown := printable(showDead(d))
	listed := printable(deadListing([]deadInfo{{ID: forged, Task: forged, Queue: "q", Reason: forged, Error: forged}}))
	for what, text := range map[string]string{"show": shown, "list": listed} {
		if strings.Contains(text, "\nreason  forged") || printable(text) != text || len(text) > 5000 {
			t.Errorf("%s: %.5000q", what, text)
		}
	}
	if n := strings.Count(shown, "\n"); n != 11 {
		t.Errorf("%d lines:\n%s", n, shown)
	}
	if n := strings.Count(listed, "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, listed)
	}
}
