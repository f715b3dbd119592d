package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

const callManual = `Sends a task, waits for it and prints its result as JSON.

The arguments are a JSON list, or a map by name; - reads them from standard input,
where ps does not show them. NAME may be the end of a task's name, if only one ends so.

  call users.createUser '["ada", "s3cret"]'
  call createUser '{"username": "ada", "password": "s3cret"}'
  call createUser - < arguments.json`

// callFlags say how to call.
type callFlags struct {
	noWait      bool
	timeout, in time.Duration
	queue       string
}

func (p *program) callCommand(url *string) *cobra.Command {
	f := &callFlags{}
	cmd := &cobra.Command{
		Use: "call NAME [ARGUMENTS]", Short: "Send a task and print its result", Long: callManual, Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, err := findTask(p.registry, args[0])
			if err != nil {
				return err
			}
			arguments, err := p.arguments(args[1:])
			if err != nil {
				return err
			}
			return withClient(cmd.Context(), *url, func(ctx context.Context, _ task.Transport) error {
				return p.call(ctx, entry, arguments, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noWait, "no-wait", false, "print the task's id at once instead")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait; the time of -in comes on top")
	flags.DurationVar(&f.in, "in", 0, "have the broker hold the task for that long")
	flags.StringVar(&f.queue, "queue", "", "send to that queue instead of the task's own")
	return cmd
}

// findTask finds a task by its name or the end of it.
func findTask(r *task.Registry, name string) (*task.Entry, error) {
	if e, ok := r.Lookup(name); ok {
		return e, nil
	}
	var found []*task.Entry
	var names []string
	for _, e := range r.Entries() {
		names = append(names, e.Name())
		if strings.HasSuffix(e.Name(), "."+name) || strings.HasSuffix(e.Name(), "/"+name) {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return nil, misuse("there is no task %q; there are:\n  %s", name, strings.Join(names, "\n  "))
	case 1:
		return found[0], nil
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return !slices.ContainsFunc(found, func(e *task.Entry) bool { return e.Name() == n })
	})
	return nil, misuse("several tasks end in %q: give more of the name:\n  %s", name, strings.Join(names, "\n  "))
}

// arguments are those of the command line or of standard input.
func (p *program) arguments(args []string) ([]byte, error) {
	switch {
	case len(args) == 0:
		return nil, nil
	case args[0] != "-":
		return []byte(args[0]), nil
	}
	text, err := io.ReadAll(io.LimitReader(p.stdin, task.DefaultMaxBody))
	if err != nil {
		return nil, fmt.Errorf("reading the arguments from standard input: %w", err)
	}
	return text, nil
}

func (p *program) call(ctx context.Context, entry *task.Entry, arguments []byte, f *callFlags) error {
	var options []task.Option
	if f.in > 0 {
		options = append(options, task.In(f.in))
	}
	if f.queue != "" {
		options = append(options, task.Queue(f.queue))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, f.in+f.timeout, fmt.Errorf("gave up after %s", f.in+f.timeout))
	defer cancel()
	call, err := entry.Call(ctx, arguments, options...)
	if err != nil {
		return err
	}
	if f.noWait {
		_, err := fmt.Fprintln(p.stdout, call.ID)
		return err
	}
	p.tellf("sent %s, id %s\n", entry.Name(), call.ID)
	result, err := call.Get(ctx)
	switch {
	case errors.Is(err, task.ErrNoResult):
		p.tellf("not waiting: the task ignores its result\n")
		return nil
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: task %s waits or runs. Is a worker running for its queue?", context.Cause(ctx), call.ID)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintln(p.stdout, printable(string(result)))
	return err
}
