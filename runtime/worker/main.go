// Package worker is the command line of a worker, which a generated main calls:
//
//	func main() {
//		worker.Main(registry(nil), setup)
//	}
//
// `worker` runs the tasks until SIGTERM or SIGINT, `worker -h` tells the rest.
package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Run runs the tasks of r until ctx ends or the process is told to stop.
type Run func(ctx context.Context, r *task.Registry) error

// Main is the whole of a worker's main function; it ends the process. r lists
// the tasks. setup makes what they depend on and calls run with a registry whose
// tasks have it; ctx has a client, so that it can send tasks too. nil: r is run
// as it is.
//
// The exit code is 0 if all went well, 1 after an error, 2 if the command line is wrong.
func Main(r *task.Registry, setup func(ctx context.Context, run Run) error) {
	// Two: the second signal must not be lost while the first is being handled.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	hideArguments()
	p := &program{
		name: filepath.Base(os.Args[0]), registry: r, setup: setup,
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		interactive: isTerminal(os.Stdin), setLogger: slog.SetDefault, signals: signals,
		silence: time.Second, patience: 30 * time.Second,
	}
	os.Exit(p.execute(context.Background(), os.Args[1:]))
}

// isTerminal says whether f is a device that somebody sits at.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// program is a worker's command line and the world that it lives in.
type program struct {
	name     string
	registry *task.Registry
	setup    func(ctx context.Context, run Run) error

	stdin          io.Reader
	stdout, stderr io.Writer
	// interactive says that somebody can answer questions.
	interactive bool
	// setLogger makes the worker's log that of the whole process.
	setLogger func(*slog.Logger)
	signals   <-chan os.Signal
	// A command says after silence that it waits for the broker, and gives up after patience.
	silence, patience time.Duration
}

// The exit codes.
const (
	succeeded = 0
	failed    = 1
	misused   = 2
)

// signalEcho is how long after a signal another one is taken for the same: whoever
// signals a process group, as timeout(1) and terminals do, and a parent that passes signals on, both
// reach the worker.
const signalEcho = 250 * time.Millisecond

// execute runs a command line. The first signal ends its context, the second ends it all.
func (p *program) execute(ctx context.Context, args []string) int {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	code := make(chan int, 1)
	go func() { code <- p.run(ctx, args) }()
	var stopping time.Time
	for {
		select {
		case c := <-code:
			return c
		case s := <-p.signals:
			if !stopping.IsZero() && time.Since(stopping) < signalEcho {
				continue
			}
			if !stopping.IsZero() {
				slog.Warn("stopped at once by a second signal; the broker delivers again what was running", "signal", s.String())
				return failed
			}
			stopping = time.Now()
			stop(fmt.Errorf("signal: %s", s))
		}
	}
}

// run runs a command line and reports its error.
func (p *program) run(ctx context.Context, args []string) int {
	cmd := p.command()
	cmd.SetArgs(newFlagNames(cmd).normalize(args))
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return succeeded
	case errors.Is(err, errLogged):
		return failed
	}
	text := printable(conceal(err.Error(), args))
	if errors.As(err, new(*usageError)) {
		p.tellf("%s: %s\n%s -h shows the manual\n", p.name, text, p.name)
		return misused
	}
	p.tellf("%s: %s\n", p.name, text)
	return failed
}

// tellf writes to standard error. If that fails there is nobody left to tell.
func (p *program) tellf(format string, args ...any) { _, _ = fmt.Fprintf(p.stderr, format, args...) }

// errLogged marks an error that the log tells of where people read it.
var errLogged = errors.New("logged")

// usageError is a mistake in the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }
