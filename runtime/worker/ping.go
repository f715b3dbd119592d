package worker

import (
	"fmt"

	"github.com/spf13/cobra"
)

const pingManual = `Asks one worker that takes from the queue to answer, and prints its name and how long
that took, from the sending of a task to its result. Which one, if there are several, the
broker decides. The exit code is 1 if none answers.`

func (p *program) pingCommand(broker *urlFlag) *cobra.Command {
	f := &askFlags{}
	cmd := &cobra.Command{
		Use: "ping", Short: "See whether a worker answers", Long: pingManual, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			// taskgen.ping would not tell who answers.
			stats, took, err := p.ask(cmd, broker, f)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(p.stdout, "%s: pong in %s\n", printable(stats.Worker), short(took))
			return err
		},
	}
	f.register(cmd.Flags())
	return cmd
}
