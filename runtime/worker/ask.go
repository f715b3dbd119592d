package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/task"
)

// askFlags say which worker is asked.
type askFlags struct {
	queue   string
	timeout time.Duration
}

func (f *askFlags) register(flags *pflag.FlagSet) {
	flags.StringVarP(&f.queue, "queue", "Q", "", "ask a worker that takes from `QUEUE` (default \"tasks\", or the first queue of the tasks)")
	flags.DurationVar(&f.timeout, "timeout", 10*time.Second, "how long to wait for the answer")
}

// ask asks one worker of a queue what it has done, and measures how long the answer took.
func (p *program) ask(cmd *cobra.Command, broker *urlFlag, f *askFlags) (stats task.Stats, took time.Duration, err error) {
	if f.timeout <= 0 {
		return stats, 0, misuse("-timeout %s: want a time above 0s", f.timeout)
	}
	queue := newCatalog(p.registry).queueFor(f.queue)
	err = withClient(cmd.Context(), broker, func(ctx context.Context, _ task.Transport) error {
		ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("no worker that takes from queue %q has answered within %s: none runs, or all are busy", queue, f.timeout))
		defer cancel()
		sent := time.Now()
		// A question that nobody waits for any more needs no answer.
		call, err := builtin.Stats.With(task.Queue(queue), task.Expires(f.timeout)).Delay(ctx)
		if err == nil {
			stats, err = call.Get(ctx)
		}
		took = time.Since(sent)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	})
	return stats, took, err
}
