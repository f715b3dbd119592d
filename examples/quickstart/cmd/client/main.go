// Command client sends tasks of every kind and says what becomes of them. It ends
// with 1 if that is not what was promised.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/taskgen/taskgen/examples/quickstart/users"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := broker.Open(ctx, "") // $TASKGEN_BROKER, or the embedded broker
	if err != nil {
		return err
	}
	defer client.Close()
	ctx = task.WithClient(ctx, client)
	fmt.Println("over", client.Transport())
	for _, show := range []func(context.Context) error{result, retry, failure, eta, rateLimit} {
		if err := show(ctx); err != nil {
			return err
		}
	}
	return nil
}

// result sends a task and gets its typed result.
func result(ctx context.Context) error {
	heading(`a typed result`, `users.CreateUser.Delay(ctx, "ada", "s3cret")`)
	call, err := users.CreateUser.Delay(ctx, "ada", "s3cret")
	if err != nil {
		return err
	}
	sayf(time.Now(), "the broker has it on disk: task %s", call.ID)
	var id int64
	if id, err = call.Get(ctx); err != nil {
		return err
	}
	sayf(time.Now(), "%T %d", id, id)
	return nil
}

// retry sends a task that fails, and tries again by itself.
func retry(ctx context.Context) error {
	heading(`a retry`, `users.SendStatus.Delay(ctx, token, "hello")`)
	call, err := users.SendStatus.Delay(ctx, "t0ken", "hello")
	if err != nil {
		return err
	}
	// Most programs just wait in Get. This one looks what happens meanwhile.
	status, err := awaitState(ctx, call, task.Retried)
	if err != nil {
		return err
	}
	sayf(time.Now(), "state %s: %s; the task asks to run again in a second", status.State, status.Err.Message)
	attempts, err := call.Get(ctx)
	if err != nil {
		return err
	}
	sayf(time.Now(), "posted at attempt %d", attempts)
	if attempts != 2 {
		return fmt.Errorf("%d attempts, want 2", attempts)
	}
	return nil
}

// awaitState asks for the state of a call until it is there.
func awaitState(ctx context.Context, call *task.Call[int], want task.State) (task.Status, error) {
	for {
		status, err := call.Status(ctx)
		if err != nil || status.State == want {
			return status, err
		}
		if status.State.Final() {
			return status, fmt.Errorf("the state is %s, want %s", status.State, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// failure sends a task that fails, and gets the error.
func failure(ctx context.Context) error {
	heading(`a failure`, `users.DeleteUser.Delay(ctx, 404)`)
	call, err := users.DeleteUser.Delay(ctx, 404)
	if err != nil {
		return err
	}
	_, err = call.Get(ctx)
	var failed *task.TaskError
	if !errors.As(err, &failed) || failed.Type != "NotFoundError" {
		return fmt.Errorf("the task ended with %w, want a NotFoundError", err)
	}
	sayf(time.Now(), "%T: %s: %s", failed, failed.Type, failed.Message)
	return nil
}

// eta sends a task for a certain time.
func eta(ctx context.Context) error {
	const late = time.Second // on a machine with much else to do
	due := time.Now().Add(1500 * time.Millisecond).Truncate(time.Millisecond)
	heading(`an ETA`, fmt.Sprintf(`users.Remind.With(task.At(%s)).Delay(ctx, "tea")`, clock(due)))
	call, err := users.Remind.With(task.At(due)).Delay(ctx, "tea")
	if err != nil {
		return err
	}
	ran, err := call.Get(ctx)
	if err != nil {
		return err
	}
	sayf(ran, "it ran %s after its time", ran.Sub(due).Round(10*time.Microsecond))
	if ran.Before(due) || ran.After(due.Add(late)) {
		return fmt.Errorf("it ran %s after its time, want 0 to %s", ran.Sub(due), late)
	}
	return nil
}

// rateLimit sends more than may run at a time.
func rateLimit(ctx context.Context) error {
	names := []string{"ada", "bob", "eve", "joe"}
	heading(`a rate limit`, `users.MailerWelcome.DelayMany(ctx, …), //task:rate_limit 2/s`)
	var args []users.MailerWelcomeArgs
	for _, name := range names {
		args = append(args, users.MailerWelcomeArgs{Username: name})
	}
	calls, err := users.MailerWelcome.DelayMany(ctx, args)
	if err != nil {
		return err
	}
	var mails []users.Mail
	for _, call := range calls {
		mail, err := call.Get(ctx)
		if err != nil {
			return err
		}
		mails = append(mails, mail)
	}
	slices.SortFunc(mails, func(a, b users.Mail) int { return a.Sent.Compare(b.Sent) })
	for _, mail := range mails {
		sayf(mail.Sent, "%s", mail.Subject)
	}
	// Four at two a second need three times half a second; a little less if the first was held up.
	if took := mails[len(mails)-1].Sent.Sub(mails[0].Sent); took < 1400*time.Millisecond {
		return fmt.Errorf("%d mails went out in %s: that is more than 2 a second", len(mails), took)
	}
	return nil
}

func heading(title, call string) {
	fmt.Printf("\n%s%s%s\n", title, strings.Repeat(" ", 16-len(title)), call)
}

// sayf tells what happened at a time.
func sayf(at time.Time, format string, args ...any) {
	fmt.Printf("  %s  %s\n", clock(at), fmt.Sprintf(format, args...))
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }
