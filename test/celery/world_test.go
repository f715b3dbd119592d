package celery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// patience bounds every wait: a machine may be busy.
const patience = 2 * time.Minute

// world is a broker with a queue for Go tasks and one for Python tasks.
type world struct {
	url, python      string
	goQueue, pyQueue string
	results          string // a Redis; "": each client gets its own
}

// newWorld declares the queues as Celery does, before any Go worker comes: such is the fleet that Go comes into.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		url: needed(t, "TASKGEN_TEST_AMQP"), python: needed(t, "TASKGEN_TEST_PYTHON"),
		goQueue: "go-" + uuid.NewString(), pyQueue: "py-" + uuid.NewString(),
	}
	w.withChannel(t, func(channel *amqp.Channel) error {
		return declareLikeCelery(channel, nil, w.goQueue, w.pyQueue)
	})
	t.Cleanup(func() {
		w.withChannel(t, func(channel *amqp.Channel) error {
			for _, name := range []string{w.goQueue, w.pyQueue} {
				for _, queue := range []string{name, name + ".dead", name + ".probation"} {
					if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
						return err
					}
				}
				if err := channel.ExchangeDelete(name, false, false); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return w
}

// declareLikeCelery declares queues as a Celery client does before it sends to them (5.2 to 5.6: app/amqp.py).
func declareLikeCelery(channel *amqp.Channel, arguments amqp.Table, queues ...string) error {
	for _, name := range queues {
		if err := channel.ExchangeDeclare(name, "direct", true, false, false, false, nil); err != nil {
			return err
		}
		if _, err := channel.QueueDeclare(name, true, false, false, false, arguments); err != nil {
			return err
		}
		if err := channel.QueueBind(name, name, name, false, nil); err != nil {
			return err
		}
	}
	return nil
}

// needed is the value of a variable that scripts/test.sh sets.
func needed(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value != "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not set", variable)
	default:
		t.Skipf("NOT TESTED AGAINST CELERY: %s is not set; scripts/test.sh sets it", variable)
	}
	return value
}

func (w *world) withChannel(t *testing.T, use func(*amqp.Channel) error) {
	t.Helper()
	conn, err := amqp.Dial(w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err == nil {
		err = use(channel)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// built builds the generated worker, once.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "taskgen-celery-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "worker")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/worker")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// startGo starts a worker process of the Go tasks, and waits until it takes messages.
func (w *world) startGo(t *testing.T, flags ...string) {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"-Q", w.goQueue}, flags...)...) // -Q can be repeated
	cmd.Env = append(os.Environ(), "TASKGEN_BROKER="+w.url)
	w.start(t, cmd, w.goQueue)
}

// startPython starts a Celery worker of the Python tasks, and waits until it takes messages.
func (w *world) startPython(t *testing.T) {
	t.Helper()
	cmd := w.pythonCommand("-m", "celery", "-A", "pytasks", "worker", "-P", "threads", "-c", "8", "-Q", w.pyQueue, "-n", w.pyQueue+"@%h",
		"--without-gossip", "--without-mingle", "-l", "WARNING")
	w.start(t, cmd, w.pyQueue)
}

// start runs a worker until the test ends. Its output is shown if the test fails.
func (w *world) start(t *testing.T, cmd *exec.Cmd, queue string) {
	t.Helper()
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("%s does not stop", cmd.Path)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), out.String())
		}
	})
	deadline := time.Now().Add(patience)
	for w.consumers(t, queue) == 0 {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s has ended: %v\n%s", cmd.Path, err, out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s takes no messages", cmd.Path)
		}
	}
}

// consumers tells how many workers take messages of a queue.
func (w *world) consumers(t *testing.T, queue string) (n int) {
	t.Helper()
	w.withChannel(t, func(channel *amqp.Channel) error {
		state, err := channel.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = state.Consumers
		return err
	})
	return n
}

// pythonCommand runs Python in testdata.
func (w *world) pythonCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(w.python, args...)
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), "BROKER="+w.url, "GO_QUEUE="+w.goQueue, "PY_QUEUE="+w.pyQueue, "RESULTS="+w.results, "PYTHONDONTWRITEBYTECODE=1", "C_FORCE_ROOT=1")
	return cmd
}

// runPython runs a script to its end and returns what it printed.
func (w *world) runPython(t *testing.T, stdin io.Reader, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := w.pythonOutput(ctx, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pythonOutput runs a script until it or ctx ends, and returns what it printed.
func (w *world) pythonOutput(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := w.pythonCommand(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
