package worker

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
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
}
