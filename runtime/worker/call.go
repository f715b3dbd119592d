package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

const callManual = `Sends a task, waits for it and prints its result as JSON.

The arguments are a JSON list, or a map by name; - reads them from standard input,
where ps does not show them. NAME may be the end of a task's name, if only one ends so.
A built-in task goes to -queue, by default the first queue of the tasks, and runs in
one worker that takes from there.

  call users.createUser '["ada", "s3cret"]'
  call createUser '{"username": "ada", "password": "s3cret"}'
  call createUser - < arguments.json
  call taskgen.run '["users.createUser", {"username": "ada", "password": "s3cret"}]'`

// callFlags say how to call.
type callFlags struct {
	noWait      bool
	timeout, in time.Duration
	queue       string
	immediate   bool
	priority    *int // nil: the task's own
}

func (p *program) callCommand(broker *urlFlag) *cobra.Command {
	f := &callFlags{}
	var priority int
	cmd := &cobra.Command{
		Use: "call NAME [ARGUMENTS]", Short: "Send a task and print its result", Long: callManual, Args: between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			tasks := newCatalog(p.registry)
			entry, err := tasks.find(args[0])
			if err != nil {
				return err
			}
			if tasks.isBuiltIn(entry) {
				f.queue = tasks.queueFor(f.queue)
			}
			if cmd.Flags().Changed("priority") {
				f.priority = &priority
			}
			if priority < 0 || priority > 9 {
				return misuse("-priority %d: want 0 (highest) to 9", priority)
			}
			arguments, err := p.arguments(args[1:])
			if err != nil {
				return err
			}
			return withClient(cmd.Context(), broker, func(ctx context.Context, _ task.Transport) error {
				return p.call(ctx, entry, arguments, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noWait, "no-wait", false, "print the task's id at once instead")
	flags.DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait; the time of -in comes on top")
	flags.DurationVar(&f.in, "in", 0, "have the broker hold the task for that long")
	flags.StringVarP(&f.queue, "queue", "Q", "", "send to `QUEUE` instead of the task's own")
	flags.BoolVar(&f.immediate, "immediate", false, "fail unless a worker that has a slot free takes the task now")
	flags.IntVar(&priority, "priority", 0, "send with priority `N`: 0 (highest) to 9 (default the task's own)")
	return cmd
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
	if f.immediate {
		options = append(options, task.Immediate(true))
	}
	if f.priority != nil {
		options = append(options, task.Priority(*f.priority))
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
	p.tellf("sent %s to %s, id %s\n", entry.Name(), call.Destination, call.ID)
	result, err := call.Get(ctx)
	switch {
	case errors.Is(err, task.ErrNoResult):
		p.tellf("not waiting: the task ignores its result\n")
		return nil
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w: task %s waits or runs. Is a worker running for %s?", context.Cause(ctx), call.ID, call.Destination)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintln(p.stdout, printable(string(result)))
	return err
}
