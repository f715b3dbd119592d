package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/internal/urlvar"
	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// brokerVariable is where the broker's URL comes from without a -broker flag. The
// command lines of processes are for everybody to see, their environments are not.
const brokerVariable = urlvar.Broker

// resultsVariable is where the URL of the results comes from without a -results flag.
const resultsVariable = urlvar.Results

const manual = `Runs tasks, and shows what they are and what became of them.

Long flags take one dash or two. The broker is a URL:

  amqp://user:password@host/vhost    RabbitMQ; amqps:// over TLS
  sqlite:path                        the embedded broker: a folder, or a .db file

Without one it is the embedded broker in .taskgen/ at the root of the module, which
the worker and call make if it is missing; no other command does. Results
are the broker's own business (rpc), unless -results names a store for them, which all
senders and workers must have:

  redis://[user:password@]host/0     Redis, as Celery uses it; rediss:// over TLS

Keep a URL with a password in ` + brokerVariable + ` or ` + resultsVariable + `, or in a file that
-broker-file or -results-file names: command lines show up in ps.

SIGTERM and SIGINT drain the worker: it takes no more messages, hands back what has
not started, and lets the running tasks finish. A second signal stops it at once;
the broker then delivers the running tasks again.

Exit codes: 0 done, 1 an error, 2 wrong usage.`

// command builds the tree of commands.
func (p *program) command() *cobra.Command {
	broker := &urlFlag{name: "broker", variable: brokerVariable, results: &urlFlag{name: "results", variable: resultsVariable}}
	run := p.runCommand(broker)
	root := &cobra.Command{
		Use: p.name, Short: "Run tasks", Long: manual,
		Args: run.Args, RunE: run.RunE,
		SilenceErrors: true, SilenceUsage: true, SuggestionsMinimumDistance: 2,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.Flags().AddFlagSet(run.Flags())
	broker.register(root.PersistentFlags(), "`URL` of the broker", ", or the embedded one")
	broker.option(root.PersistentFlags(), "declare", "declare", "on RabbitMQ, `create` what is missing (the default), verify that\nnothing is, or never declare anything", "create", "verify", "never")
	broker.option(root.PersistentFlags(), "queue-type", "queue_type", "on RabbitMQ, make queues of that `TYPE`: quorum (the default), or\nclassic as Celery does", "quorum", "classic")
	broker.results.register(root.PersistentFlags(), "`URL` of the store of results, or rpc", ", or rpc")
	root.AddCommand(run, p.listCommand(), p.callCommand(broker), p.resultCommand(broker), p.inspectCommand(broker), p.controlCommand(broker), p.eventsCommand(broker), p.deadCommand(broker), p.purgeCommand(broker), p.topologyCommand(broker), p.versionCommand())
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	return root
}

// withPatience ends the context of a command that needs an answer of the broker, and tells whoever waits what for.
func (p *program) withPatience(ctx context.Context, t task.Transport) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.patience, fmt.Errorf("gave up after %s", p.patience))
	told := p.waitFor(t)
	return ctx, func() { told(); cancel() }
}

// waitFor says after a while what is waited for, unless the function that it returns was called by then.
func (p *program) waitFor(t task.Transport) (over func()) {
	timer := time.AfterFunc(p.silence, func() { p.tellf("waiting for the broker %s\n", t) })
	return func() { timer.Stop() }
}

// withExisting is withClient for commands that ask or change what is there: they make no embedded broker, in which
// there would be nothing.
func withExisting(ctx context.Context, flag *urlFlag, do func(context.Context, task.Transport) error) error {
	err := withClient(ctx, flag, do, broker.Existing())
	if errors.Is(err, sqlite.ErrMissing) {
		return fmt.Errorf("%w; %s", err, flag.hint())
	}
	return err
}

// withClient opens the broker for the time that do needs, with a client in its context.
func withClient(ctx context.Context, flag *urlFlag, do func(context.Context, task.Transport) error, options ...broker.Option) (err error) {
	url, err := flag.value()
	if err != nil {
		return err
	}
	results, err := flag.results.value()
	if err != nil {
		return err
	}
	t, err := broker.Transport(ctx, url, append(options, broker.Results(results))...)
	if err != nil {
		return err
	}
	client := task.NewClient(t, task.ClientConfig{})
	defer func() {
		if e := client.Close(); err == nil {
			err = e
		}
	}()
	return do(task.WithClient(ctx, client), t)
}

// atMost is a check of the number of arguments.
func atMost(n int) cobra.PositionalArgs { return between(0, n) }

// between is a check of the number of arguments.
func between(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least {
			return misuse("%s: want: %s", cmd.CommandPath(), cmd.UseLine())
		}
		if len(args) <= most {
			return nil
		}
		if !cmd.HasParent() {
			hint := ""
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
			}
			return misuse("there is no command %q%s", args[0], hint)
		}
		return misuse("%s: %q is one argument too many", cmd.CommandPath(), args[most])
	}
}
