// Command quickstart shows what taskgen does, in about ten seconds: it generates the code of this
// example, starts its worker and its client as processes, and lets the client tell
// what happens. It ends with 1 if anything is not as promised.
//
//	go run ./examples/quickstart                                             the embedded broker
//	TASKGEN_BROKER=amqp://guest:guest@localhost/ go run ./examples/quickstart    RabbitMQ
//
// The example itself is in users (the tasks), cmd/worker and cmd/client.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	example = "github.com/taskgen/taskgen/examples/quickstart"
	// drainTime is how long the worker may take to stop.
	drainTime = 10 * time.Second
)

func main() {
	generate := flag.Bool("generate", true, "generate the code first")
	verbose := flag.Bool("v", false, "show the worker's log at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	d := &demo{out: os.Stdout, broker: os.Getenv("TASKGEN_BROKER"), generate: *generate, verbose: *verbose}
	err := d.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// demo is one run of it.
type demo struct {
	out               io.Writer
	broker            string // "": an embedded one of its own
	generate, verbose bool
	folder            string // for all that it makes
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.folder, err = os.MkdirTemp("", "quickstart-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	d.broker = cmp.Or(d.broker, "sqlite:"+d.folder)
	if err := d.build(ctx); err != nil {
		return err
	}
	worker, err := d.startWorker(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || d.verbose {
			d.tellf("\nThe worker wrote:\n%s", &worker.log)
		}
	}()
	client := d.command(ctx, "client")
	client.Stdout, client.Stderr = d.out, d.out
	err = client.Run()
	if err != nil {
		err = fmt.Errorf("the client: %w", err)
	}
	if e := worker.stop(); e != nil {
		return errors.Join(err, e)
	}
	d.tellf("\n$ kill %-18d# the worker drained and exited with 0\n", worker.cmd.Process.Pid)
	return err
}

// tellf writes for people. A closed terminal is no reason to stop in the middle.
func (d *demo) tellf(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// build makes the two programs, as one would by hand.
func (d *demo) build(ctx context.Context) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", example).Output()
	if err != nil {
		return fmt.Errorf("run it inside of the module: %w", err)
	}
	steps := [][]string{
		{"go", "build", "-o", d.folder + string(filepath.Separator), "./cmd/worker", "./cmd/client"},
	}
	if d.generate {
		steps = append([][]string{{"go", "generate", "./users", "./cmd/worker"}}, steps...)
	}
	for _, step := range steps {
		d.tellf("$ %s %s %s %s\n", step[0], step[1], step[len(step)-2], step[len(step)-1])
		cmd := exec.CommandContext(ctx, step[0], step[1:]...)
		cmd.Dir = string(bytes.TrimSpace(root))
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", step[0], step[1], err, output)
		}
	}
	return nil
}

// command is one of the programs, which find the broker in their environment.
func (d *demo) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(d.folder, name), args...)
	cmd.Env = append(os.Environ(), "TASKGEN_BROKER="+d.broker)
	return cmd
}

// worker is the worker process.
type worker struct {
	cmd *exec.Cmd
	log bytes.Buffer // complete once the process has ended
}

func (d *demo) startWorker(ctx context.Context) (*worker, error) {
	w := &worker{cmd: d.command(ctx, "worker")}
	w.cmd.Stderr = &w.log
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	d.tellf("$ worker &                # process %d\n$ client\n\n", w.cmd.Process.Pid)
	return w, nil
}

// stop has the worker drain, and waits until it has.
func (w *worker) stop() error {
	kill := time.AfterFunc(drainTime, func() { _ = w.cmd.Process.Kill() })
	defer kill.Stop()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = w.cmd.Process.Kill() // Windows has no such signal
	}
	if err := w.cmd.Wait(); err != nil {
		return fmt.Errorf("the worker did not drain: %w", err)
	}
	return nil
}
