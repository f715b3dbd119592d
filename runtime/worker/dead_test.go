package worker

import (
	"context"
	"strings"
	"testing"

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
