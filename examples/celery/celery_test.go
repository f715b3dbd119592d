package celery

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/examples/celery/shop"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// Python calls Go's tasks with the generated module, Go calls Python's with generated stubs, and a task of Go waits for
// one of Python.
func TestCelery(t *testing.T) {
	t.Parallel()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	python := interpreter(t)
	t.Cleanup(func() { deleteQueues(t, url, "example-shop", "example-shop.probation", "example-billing") })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	celeryWorker(t, python, url)
	client, err := broker.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	ctx = task.WithClient(ctx, client)
	goCallsPython(ctx, t)
	goWorker(ctx, t, url)
	pythonCallsGo(ctx, t, python, url)
	typeChecked(t)
}

func goCallsPython(ctx context.Context, t *testing.T) {
	t.Helper()
	charge, err := shop.BillingCharge.Delay(ctx, 17, 9.5)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := charge.Get(ctx)
	if err != nil || receipt.Number != "R17" || time.Since(receipt.At).Abs() > time.Hour {
		t.Errorf("charge: %+v, %v", receipt, err)
	}
	refund, err := shop.BillingRefund.Delay(ctx, 17, []float64{1.5, 2})
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := refund.Get(ctx); err != nil || sum != -3.5 {
		t.Errorf("refund: %v, %v", sum, err)
	}
	wrong, err := shop.BillingCharge.Delay(ctx, 17, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Get(ctx)
	failure, ok := errors.AsType[*task.TaskError](err)
	if !ok || failure.Type != "ValueError" || !strings.Contains(failure.Message, "customer 17 can't be charged 0") {
		t.Errorf("a charge of nothing: %#v", err)
	}
}

func pythonCallsGo(ctx context.Context, t *testing.T, python, url string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, python, "-B", "client.py")
	cmd.Dir = "python"
	cmd.Env = append(os.Environ(), "BROKER="+url)
	output, err := cmd.CombinedOutput()
	const want = `the order costs 12.15
until 2026-08-21
the label is b'\x89PNG2026-08-20 4 Ada Lovelace London'
the receipt is R12
the cart costs 5
refused:`
	if err != nil || !strings.HasPrefix(string(output), want) || !strings.Contains(string(output), "order 7 is empty") {
		t.Errorf("client.py: %v\n%s\nwant\n%s … order 7 is empty", err, output, want)
	}
}

// goWorker runs the worker as its main does.
func goWorker(ctx context.Context, t *testing.T, url string) {
	t.Helper()
	r := task.NewRegistry()
	shop.RegisterTasks(r)
	transport, err := broker.Transport(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	w, err := task.NewWorker(transport, r, task.WorkerConfig{
		Queues: []task.QueueConfig{{Name: "example-shop"}},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, transport.Close()); err != nil {
			t.Error(err)
		}
	})
}

// celeryWorker runs Celery's own worker, and waits until it says that it is ready.
func celeryWorker(t *testing.T, python, url string) {
	t.Helper()
	cmd := exec.Command(python, "-B", "-m", "celery", "-A", "billing", "worker",
		"-P", "threads", "-c", "2", "-Q", "example-billing", "-n", "example-billing@%h",
		"--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "info")
	cmd.Dir = "python"
	cmd.Env = append(os.Environ(), "BROKER="+url)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // a warm shutdown
		<-ended
	})
	ready := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = cmd.Wait() }()
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), " ready.") {
				close(ready)
				_, _ = io.Copy(io.Discard, log)
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(time.Minute):
		t.Fatal("Celery's worker is not ready after a minute")
	}
}

// typeChecked has mypy look at the client.
func typeChecked(t *testing.T) {
	t.Helper()
	mypy, err := exec.LookPath("mypy")
	if err != nil {
		t.Log("NOT TYPE-CHECKED: mypy is not installed (apt-get install mypy)")
		return
	}
	cmd := exec.CommandContext(t.Context(), mypy, "--strict", "--python-version", "3.9", "--cache-dir", t.TempDir(), "client.py")
	cmd.Dir = "python"
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("mypy: %v\n%s", err, output)
	}
}

// interpreter is a Python that has Celery.
func interpreter(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TASKGEN_TEST_PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.CommandContext(t.Context(), name, "-c", "import celery").Run() == nil {
			return name
		}
	}
	t.Skip("NOT RUN: no Python with Celery (apt-get install celery, or name one in TASKGEN_TEST_PYTHON)")
	return ""
}

// deleteQueues leaves a broker that others use as it was.
func deleteQueues(t *testing.T, url string, queues ...string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Error(err)
		return
	}
	for _, queue := range queues {
		if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
			t.Errorf("queue %s: %v", queue, err)
		}
	}
}
