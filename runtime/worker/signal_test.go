package worker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// child is a worker in a process of its own.
type child struct {
	*testing.T
	cmd *exec.Cmd
	log output
}

func startChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := launchChild(t, args...)
	c.log.await(t, "ready")
	return c
}

// launchChild does not wait until it is ready.
func launchChild(t *testing.T, args ...string) *child {
	t.Helper()
	c := &child{T: t, cmd: exec.Command(os.Args[0], args...)}
	c.cmd.Env = append(os.Environ(), childVariable+"=1")
	c.cmd.Stderr = &c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = c.cmd.Process.Kill()
			_ = c.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("the worker wrote:\n%s", &c.log)
		}
	})
	return c
}

func (c *child) signal(s os.Signal) {
	c.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.Fatal(err)
	}
}

// exitCode waits for the end of the process.
func (c *child) exitCode() int {
	c.Helper()
	kill := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		c.Fatal(err)
	}
	return c.cmd.ProcessState.ExitCode()
}

// holder is where running hold tasks connect to.
type holder struct {
	*testing.T
	net.Listener
}

func newHolder(t *testing.T) *holder {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return &holder{t, listener}
}

// send sends a hold task.
func (h *holder) send(ctx context.Context) *task.Call[string] {
	h.Helper()
	call, err := hold.Send(ctx, &args{Text: h.Addr().String()})
	if err != nil {
		h.Fatal(err)
	}
	return call
}

// started waits until a hold task runs.
func (h *holder) started() net.Conn {
	h.Helper()
	if err := h.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		h.Fatal(err)
	}
	conn, err := h.Accept()
	if err != nil {
		h.Fatal("the task does not run: ", err)
	}
	h.Cleanup(func() { conn.Close() })
	return conn
}

// finish lets a running hold task return text.
func (h *holder) finish(conn net.Conn, text string) {
	h.Helper()
	if _, err := conn.Write([]byte(text + "\n")); err != nil {
		h.Fatal(err)
	}
}

func TestSignalDrains(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			url := "sqlite:" + t.TempDir()
			ctx := sender(t, url)
			worker := startChild(t, "-broker", url, "-c", "1")
			holder := newHolder(t)
			running, waiting := holder.send(ctx), holder.send(ctx)
			conn := holder.started()

			worker.signal(signal)
			worker.log.await(t, "worker is draining")
			holder.finish(conn, "done")
			if code := worker.exitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if got, err := running.Get(ctx); got != "done\n" || err != nil {
				t.Errorf("the running task: %q, %v", got, err)
			}
			if status, err := waiting.Status(ctx); status.State != task.Pending || err != nil {
				t.Errorf("the waiting task: %v, %v", status, err)
			}
		})
	}
}

func TestSecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	worker := startChild(t, "-broker", url, "-drain", "1h")
	holder := newHolder(t)
	call := holder.send(ctx)
	first := holder.started()

	worker.signal(syscall.SIGTERM)
	worker.log.await(t, "worker is draining")
	ended := make(chan struct{})
	go func() { // one that comes too soon is taken for the first
		for {
			select {
			case <-ended:
				return
			case <-time.After(100 * time.Millisecond):
				_ = worker.cmd.Process.Signal(syscall.SIGTERM)
			}
		}
	}()
	if code := worker.exitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	close(ended)
	worker.log.await(t, "second signal")
	if _, err := bufio.NewReader(first).ReadByte(); err == nil {
		t.Error("the task goes on")
	}

	startChild(t, "-broker", url)
	holder.finish(holder.started(), "again")
	if got, err := call.Get(ctx); got != "again\n" || err != nil {
		t.Errorf("the task, delivered again: %q, %v", got, err)
	}
}

// A signal that reaches the worker twice, by way of its group and of its parent, is one.
func TestEchoedSignalDrains(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	worker := startChild(t, "-broker", url)
	holder := newHolder(t)
	call := holder.send(ctx)
	conn := holder.started()
	worker.signal(syscall.SIGTERM)
	worker.signal(os.Interrupt)
	worker.log.await(t, "worker is draining")
	holder.finish(conn, "done")
	if code := worker.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got, err := call.Get(ctx); got != "done\n" || err != nil {
		t.Errorf("the task: %q, %v", got, err)
	}
}

// A task that heeds no context is given up after the drain time, and delivered again.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	worker := startChild(t, "-broker", url, "-drain", "10ms")
	holder := newHolder(t)
	call := holder.send(ctx)
	holder.started()
	worker.signal(syscall.SIGTERM)
	if code := worker.exitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	startChild(t, "-broker", url)
	holder.finish(holder.started(), "again")
	if got, err := call.Get(ctx); got != "again\n" || err != nil {
		t.Errorf("the task, delivered again: %q, %v", got, err)
	}
	for _, want := range []string{"the worker stops while the task runs", "id=" + call.ID, "cause=\"the worker is shutting down\"", "worker.held(", "1 tasks still ran 3s after they were told to stop"} {
		if !strings.Contains(worker.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// A run that the shutdown ends is no failed attempt: whoever runs the task next has as many retries left.
func TestInterruptedRunIsNoAttempt(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		ctx := sender(t, url)
		worker := startChild(t, "-broker", url, "-Q", queue, "-drain", "10ms")
		holder := newHolder(t)
		call, err := heed.With(task.Queue(queue)).Send(ctx, &args{Text: holder.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		holder.started()
		worker.signal(syscall.SIGTERM)
		if code := worker.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if strings.Contains(worker.log.String(), "task failed") || strings.Contains(worker.log.String(), "retried") {
			t.Error("the run counts as an attempt")
		}
		startChild(t, "-broker", url, "-Q", queue)
		holder.finish(holder.started(), "done")
		if got, err := call.Get(ctx); got != "done after 0 retries" || err != nil {
			t.Errorf("the task: %q, %v", got, err)
		}
	})
}

// What a worker holds and has not started goes to others as soon as it is told to stop, however long its running task
// takes to end.
func TestUnstartedTasksGoToOthers(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		ctx := sender(t, url)
		first := startChild(t, "-broker", url, "-Q", queue, "-c", "1", "-prefetch", "20")
		holder := newHolder(t)
		running, err := hold.With(task.Queue(queue)).Send(ctx, &args{Text: holder.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		conn := holder.started()
		var calls []*task.Call[string]
		for range 10 {
			call, err := echo.With(task.Queue(queue)).Send(ctx, &args{Text: "other"})
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, call)
		}
		second := startChild(t, "-broker", url, "-Q", queue, "-c", "4")
		if strings.Contains(second.log.String(), "task succeeded") {
			t.Fatal("the second worker has got tasks that the first one should hold")
		}
		first.signal(syscall.SIGTERM)
		began := time.Now()
		for _, call := range calls {
			if got, err := call.Get(ctx); got != "other" || err != nil {
				t.Fatalf("a task that had not started: %q, %v", got, err)
			}
		}
		// A second is promised, and about 0.1 s is usual; the tests of other packages run beside this one.
		took := time.Since(began)
		t.Logf("%d tasks ran elsewhere %s after the signal", len(calls), took.Round(time.Millisecond))
		if took > 5*time.Second {
			t.Errorf("the tasks that had not started took %s", took)
		}
		holder.finish(conn, "done")
		if code := first.exitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if got, err := running.Get(ctx); got != "done\n" || err != nil {
			t.Errorf("the running task: %q, %v", got, err)
		}
	})
}
