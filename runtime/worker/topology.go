package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

const topologyManual = `Prints the queues, exchanges and bindings that this worker, and who sends to its queues,
need at a RabbitMQ: those that it makes, or with -declare verify or never expects to be there. It asks no broker.
With -json it is what "rabbitmqctl import_definitions FILE" reads.

The queues that belong to one process are left out; each makes its own.`

func (p *program) topologyCommand(broker *urlFlag) *cobra.Command {
	var asJSON bool
	f := &runFlags{}
	cmd := &cobra.Command{
		Use: "topology", Short: "Show what is needed at a RabbitMQ", Long: topologyManual, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.config(newCatalog(p.registry))
			if err != nil {
				return err
			}
			url, err := broker.value()
			if err != nil {
				return err
			}
			if !isRabbitMQ(url) {
				return misuse("topology is for RabbitMQ, other brokers make what they need: %s such as amqp://…", broker.hint())
			}
			return withClient(cmd.Context(), broker, func(_ context.Context, t task.Transport) error {
				return p.printTopology(t, config, asJSON)
			})
		},
	}
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.register(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if slices.Contains([]string{"queues", "bind"}, flag.Name) {
			cmd.Flags().AddFlag(flag)
		}
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print definitions for rabbitmqctl import_definitions")
	return cmd
}

func (p *program) printTopology(t task.Transport, config task.WorkerConfig, asJSON bool) error {
	carrier := t
	if s, ok := t.(interface{ Unwrap() task.Transport }); ok {
		carrier = s.Unwrap()
	}
	rabbit, ok := carrier.(*rabbitmq.Transport)
	if !ok {
		return fmt.Errorf("topology: %s is no RabbitMQ", t)
	}
	if err := builtin.Register(p.registry, (&httpFlags{}).settings()); err != nil {
		return err
	}
	worker, err := task.NewWorker(t, p.registry, config)
	if err != nil {
		return err
	}
	definitions, err := rabbit.Definitions(worker.Subscriptions())
	if err != nil {
		return err
	}
	if !asJSON {
		_, err = fmt.Fprint(p.stdout, definitions)
		return err
	}
	out := json.NewEncoder(p.stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(definitions)
}
