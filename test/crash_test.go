package test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/worker"
)

const (
	// tasks is how many tasks the client sends.
	tasks = 2000
	// killAfter is how many have run when the worker is killed.
	killAfter = tasks / 4
	patience  = 2 * time.Minute
)

// What the processes of the test are told by their environment.
const (
	roleVariable   = "TASKGEN_TEST_ROLE" // client or worker
	queueVariable  = "TASKGEN_TEST_QUEUE"
	ledgerVariable = "TASKGEN_TEST_LEDGER"
	brokerVariable = "TASKGEN_BROKER"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "worker":
		r := task.NewRegistry()
		entry().Handle(r, note)
		worker.Main(r, nil)
	case "client":
		if err := send(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type entryArgs struct{ Number int }

func (a *entryArgs) Visit(f codec.Fields) { codec.Int(f.Field("number"), &a.Number) }

// entry is a task that enters its number into the ledger.
func entry() task.Task[entryArgs, int] {
	return task.Define[entryArgs](task.Spec{Name: "test.entry", Queue: os.Getenv(queueVariable)}, codec.Int[int])
}

// note is what entry does. It takes a moment, so that a kill finds some tasks half done.
func note(_ context.Context, a *entryArgs) (int, error) {
	ledger, err := os.OpenFile(os.Getenv(ledgerVariable), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer ledger.Close()
	if _, err := fmt.Fprintln(ledger, a.Number); err != nil {
		return 0, err
	}
	time.Sleep(time.Millisecond)
	return 2 * a.Number, nil
}

// send is the client process: it sends all tasks, and waits for all results.
func send() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := broker.Open(ctx, os.Getenv(brokerVariable))
	if err != nil {
		return err
	}
	defer client.Close()
	args := make([]entryArgs, tasks)
	for i := range args {
		args[i].Number = i
	}
	calls, err := entry().DelayMany(task.WithClient(ctx, client), args)
	if err != nil {
		return err
	}
	fmt.Println("sent")
	for i, call := range calls {
		got, err := call.Get(ctx)
		if err != nil {
			return err
		}
		if got != 2*i {
			return fmt.Errorf("task %d returned %d", i, got)
		}
	}
	return nil
}

func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		kill(t, "sqlite:"+t.TempDir(), "kill")
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv("TASKGEN_TEST_AMQP")
		if url == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		queue := "kill-" + uuid.NewString()
		t.Cleanup(func() { deleteQueues(t, url, queue, queue+".dead", queue+".probation") })
		kill(t, url, queue)
	})
}

func deleteQueues(t *testing.T, url string, queues ...string) {
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Log("the queues stay:", err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Log("the queues stay:", err)
		return
	}
	for _, queue := range queues {
		if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
			t.Log("the queue stays:", err)
		}
	}
}

// kill kills a worker with kill -9 in the middle of its tasks, and starts another. Every task runs, and
// every result arrives.
func kill(t *testing.T, url, queue string) {
	w := &world{T: t, ledger: filepath.Join(t.TempDir(), "ledger")}
	if err := os.WriteFile(w.ledger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.environment = append(os.Environ(), brokerVariable+"="+url, queueVariable+"="+queue, ledgerVariable+"="+w.ledger)

	client := w.start("client")
	client.await("sent")
	victim := w.start("worker", "-c", "4")
	for len(w.entries()) < killAfter {
		select {
		case err := <-victim.ended:
			t.Fatalf("the worker has ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := victim.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-victim.ended
	before := len(w.entries())
	if before >= tasks {
		t.Fatal("the kill came too late to prove anything")
	}

	w.start("worker", "-c", "4")
	select {
	case err := <-client.ended:
		if err != nil {
			t.Fatalf("the client: %v", err)
		}
	case <-time.After(patience):
		t.Fatalf("%d entries, and the client still waits", len(w.entries()))
	}
	entries := w.entries()
	runs := map[string]int{}
	for _, number := range entries {
		runs[number]++
	}
	for i := range tasks {
		if runs[fmt.Sprint(i)] == 0 {
			t.Errorf("task %d has not run", i)
		}
	}
	t.Logf("killed after %d tasks; %d ran twice", before, len(entries)-len(runs))
}

// world is a ledger and the processes that know of it.
type world struct {
	*testing.T
	ledger      string
	environment []string
}

// entries are the complete lines of the ledger.
func (w *world) entries() []string {
	w.Helper()
	text, err := os.ReadFile(w.ledger)
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for line := range bytes.Lines(text) {
		if number, complete := bytes.CutSuffix(line, []byte("\n")); complete {
			out = append(out, string(number))
		}
	}
	return out
}

// process is a client or a worker.
type process struct {
	*testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer // complete once the process has ended
	ended  chan error
}

// start starts a process that ends with the test at the latest.
func (w *world) start(role string, args ...string) *process {
	w.Helper()
	p := &process{T: w.T, cmd: exec.Command(os.Args[0], args...), ended: make(chan error, 1)}
	p.cmd.Env = slices.Concat(w.environment, []string{roleVariable + "=" + role})
	p.cmd.Stderr = &p.stderr
	read, write := io.Pipe()
	p.stdout, p.cmd.Stdout = bufio.NewReader(read), write
	if err := p.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		p.ended <- p.cmd.Wait()
		_ = write.Close()
		close(gone)
	}()
	w.Cleanup(func() {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			w.Error(err)
		}
		<-gone
		if w.Failed() {
			w.Logf("the %s wrote:\n%s", role, &p.stderr)
		}
	})
	return p
}

// await waits for a line on the standard output of a process.
func (p *process) await(want string) {
	p.Helper()
	if line, err := p.stdout.ReadString('\n'); line != want+"\n" {
		p.Fatalf("got %q, %v; want %q", line, err, want)
	}
}
