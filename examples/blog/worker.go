package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/taskgen/taskgen/examples/blog/settings"
)

const (
	example = "github.com/taskgen/taskgen/examples/blog"
	// drainTime is how long the worker may take to stop.
	drainTime = 30 * time.Second
)

// worker is the worker process.
type worker struct {
	cmd    *exec.Cmd
	folder string        // of the program, "" if it is not ours
	ended  chan struct{} // closed when the process has
	err    error         // how
	stop   func()        // has it drain
}

// startWorker builds the worker, as one would by hand, and starts it. It does not end with ctx: see stop.
func (b *blog) startWorker(ctx context.Context, s settings.Settings) (*worker, error) {
	w := &worker{ended: make(chan struct{})}
	program := b.worker
	if program == "" {
		b.sayf("$ go build ./cmd/worker\n")
		var err error
		if w.folder, err = os.MkdirTemp("", "taskgen-blog-"); err != nil {
			return nil, err
		}
		program = filepath.Join(w.folder, "worker")
		if err := buildWorker(ctx, program); err != nil {
			w.remove()
			return nil, err
		}
	}
	var arguments []string
	if b.queue != "" {
		arguments = []string{"-queues", b.queue}
	}
	w.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, arguments...)
	w.cmd.Env = append(append(os.Environ(), s.Environment()...), "TASKGEN_BROKER="+b.broker)
	w.cmd.Stderr = b.log
	w.stop = sync.OnceFunc(w.drain)
	if err := w.cmd.Start(); err != nil {
		w.remove()
		return nil, fmt.Errorf("the worker: %w", err)
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.ended)
	}()
	return w, nil
}

// buildWorker compiles cmd/worker.
func buildWorker(ctx context.Context, program string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", example).Output()
	if err != nil {
		return fmt.Errorf("run it inside of the module: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/worker")
	cmd.Dir = string(bytes.TrimSpace(root))
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the worker: %w\n%s", err, output)
	}
	return nil
}

// wait returns when the process has ended. That is an error, unless it was told to.
func (w *worker) wait(ctx context.Context) error {
	<-w.ended
	switch {
	case ctx.Err() == nil && w.err == nil:
		return errors.New("the worker has stopped by itself")
	case ctx.Err() != nil && w.cmd.ProcessState.Exited():
		return nil // its log says what it thinks of having been stopped at its start, say
	case w.err != nil:
		return fmt.Errorf("the worker did not end well: %w", w.err)
	}
	return nil
}

// drain has the worker finish what runs and stop.
func (w *worker) drain() {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = w.cmd.Process.Kill() // Windows has no such signal
		return
	}
	kill := time.AfterFunc(drainTime, func() { _ = w.cmd.Process.Kill() })
	<-w.ended
	kill.Stop()
}

// remove deletes the program.
func (w *worker) remove() {
	if w.folder != "" {
		_ = os.RemoveAll(w.folder)
	}
}
