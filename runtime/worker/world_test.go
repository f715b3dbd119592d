package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/quickstart/users"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// childVariable makes the test binary a worker.
const childVariable = "TASKGEN_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		r := testTasks()
		users.RegisterTasks(r, new(users.Mailer))
		speak.Handle(r, spoken)
		heed.Handle(r, heeded)
		deaf.Handle(r, held)
		guard.Handle(r, func(context.Context, *args) (string, error) { return "", errors.New("no entry") })
		Main(r, nil)
	}
	os.Exit(m.Run())
}

// args are the arguments of the tasks of these tests.
type args struct {
	Text   string
	Number int64
}

func (a *args) Visit(f codec.Fields) {
	codec.String(f.Field("text"), &a.Text)
	codec.Int(f.Field("number"), &a.Number)
}

type testTask = task.Task[args, string]

func define(spec task.Spec) testTask { return task.Define[args](spec, codec.String[string]) }

var (
	echo   = define(task.Spec{Name: "example.com/app/users.echo", Secret: []string{"text"}})
	fail   = define(task.Spec{Name: "example.com/app/users.fail", Queue: "mail", Serializer: "json", MaxRetries: new(5)})
	panics = define(task.Spec{Name: "example.com/app/users.panic"})
	quiet  = define(task.Spec{Name: "example.com/app/users.quiet", IgnoreResult: true})
	// hold connects to the address in its text and runs until it has read a line from there, which it returns.
	hold = define(task.Spec{Name: "example.com/app/jobs.hold"})
	// deaf is one that should take no longer than a moment, and does.
	deaf = define(task.Spec{Name: "example.com/app/jobs.deaf", Timeout: time.Millisecond})
	// heed is one that ends with its context. It returns what it has read, and how many attempts failed before.
	heed = define(task.Spec{Name: "example.com/app/jobs.heed", AutoRetry: true})
	// guard lets nobody in.
	guard = define(task.Spec{Name: "example.com/app/users.guard", Secret: []string{"text"}})
	// speak logs on every level, and returns what it knows of the log.
	speak = define(task.Spec{Name: "example.com/app/jobs.speak"})
)

func spoken(ctx context.Context, _ *args) (string, error) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		task.LoggerFrom(ctx).Log(ctx, level, "spoken", "at", "level-"+level.String())
	}
	info := task.InfoFrom(ctx)
	return info.LogLevel.String() + " " + info.LogFile, nil
}

// OverdrawnError is what fail fails with.
type OverdrawnError struct{ text string }

func (e *OverdrawnError) Error() string { return e.text }

func testTasks() *task.Registry {
	r := task.NewRegistry()
	echo.Handle(r, func(_ context.Context, a *args) (string, error) { return a.Text, nil })
	fail.Handle(r, func(_ context.Context, a *args) (string, error) { return "", &OverdrawnError{a.Text} })
	panics.Handle(r, func(_ context.Context, a *args) (string, error) { panic(a.Text) })
	quiet.Handle(r, func(context.Context, *args) (string, error) { return "", nil })
	hold.Handle(r, held)
	return r
}

func held(_ context.Context, a *args) (string, error) {
	conn, err := net.Dial("tcp", a.Text)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return bufio.NewReader(conn).ReadString('\n')
}

func heeded(ctx context.Context, a *args) (string, error) {
	conn, err := net.Dial("tcp", a.Text)
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	return fmt.Sprintf("%s after %d retries", strings.TrimSpace(line), task.InfoFrom(ctx).Retries), err
}

// shell is a command line under test. Its error output can be waited for.
type shell struct {
	*testing.T
	program
	out     bytes.Buffer
	err     output
	signals chan os.Signal
}

func newShell(t *testing.T) *shell {
	s := &shell{T: t, signals: make(chan os.Signal, 2)}
	s.program = program{
		name: "worker", registry: testTasks(), stdin: strings.NewReader(""), stdout: &s.out, stderr: &s.err,
		setLogger: func(*slog.Logger) {}, signals: s.signals, silence: patience, patience: patience,
	}
	return s
}

// run runs a command line to its end.
func (s *shell) run(args ...string) (code int) {
	s.Helper()
	s.out.Reset()
	s.err.reset()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	return s.execute(ctx, args)
}

// want runs a command line that must end so.
func (s *shell) want(code int, stdout, stderr string, args ...string) {
	s.Helper()
	got := s.run(args...)
	if out := anonymous(s.out.String()); got != code || out != stdout || anonymous(s.err.String()) != stderr {
		s.Errorf("worker %s: exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d, stdout:\n%s\nstderr:\n%s",
			strings.Join(args, " "), got, out, anonymous(s.err.String()), code, stdout, stderr)
	}
}

var uuidForm = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// anonymous replaces the ids of tasks.
func anonymous(text string) string { return uuidForm.ReplaceAllString(text, "ID") }

// background is a worker that runs beside the test.
type background struct {
	*shell
	code chan int
}

// start starts a worker and waits until it is ready. It is stopped when the test ends.
func start(t *testing.T, change func(*shell), args ...string) *background {
	t.Helper()
	b := &background{shell: newShell(t), code: make(chan int, 1)}
	if change != nil {
		change(b.shell)
	}
	go func() { b.code <- b.execute(context.WithoutCancel(t.Context()), args) }()
	t.Cleanup(func() { b.stop() })
	b.err.await(t, "ready")
	return b
}

// stop sends a signal and waits for the exit code.
func (b *background) stop() int {
	b.Helper()
	select {
	case b.signals <- os.Interrupt:
	default:
	}
	select {
	case code := <-b.code:
		b.code <- code
		return code
	case <-time.After(patience):
		b.Error("the worker does not stop")
		return -1
	}
}

// output is what a process writes, and can be waited for.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Reset()
}

// await waits until the output has text in it.
func (o *output) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		o.mu.Lock()
		if strings.Contains(o.text.String(), text) {
			o.mu.Unlock()
			return
		}
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		changed := o.changed
		o.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q never came; there is:\n%s", text, o)
		}
	}
}

var _ io.Writer = (*output)(nil)

// sender is a client of a broker that worker commands use too.
func sender(t *testing.T, url string) context.Context {
	t.Helper()
	transport, err := broker.Transport(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	client := task.NewClient(transport, task.ClientConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(func() {
		cancel()
		if err := client.Close(); err != nil && !errors.Is(err, task.ErrClosed) {
			t.Error(err)
		}
	})
	return task.WithClient(ctx, client)
}
