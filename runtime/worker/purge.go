package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

const purgeManual = `Deletes the messages that wait in the queues, by default in all that the tasks are
sent to. Tasks that run are not touched. It asks first, unless -yes is given.`

func (p *program) purgeCommand(broker *urlFlag) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "purge [QUEUE…]", Short: "Delete the messages that wait in queues", Long: purgeManual,
		RunE: func(cmd *cobra.Command, queues []string) error {
			if len(queues) == 0 {
				queues = p.registry.Queues()
			}
			if len(queues) == 0 {
				return misuse("there are no tasks, so no queues: name one")
			}
			if !yes && !p.interactive {
				return misuse("purge deletes messages for good, and there is nobody to ask: say -yes if that is what you want")
			}
			return withExisting(cmd.Context(), broker, func(ctx context.Context, t task.Transport) error {
				if !yes && !p.confirm(fmt.Sprintf("Delete all messages that wait in %s at %s?", strings.Join(queues, ", "), t)) {
					return errors.New("nothing was deleted")
				}
				ctx, cancel := p.withPatience(ctx, t)
				defer cancel()
				return p.purge(ctx, broker.asked(t), t, queues)
			})
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}

// confirm asks on the terminal.
func (p *program) confirm(question string) bool {
	p.tellf("%s [y/N] ", question)
	answer, _ := bufio.NewReader(p.stdin).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

func (p *program) purge(ctx context.Context, name string, t task.Transport, queues []string) error {
	all := 0
	for _, queue := range queues {
		deleted := 0
		for _, name := range []string{queue, task.ProbationQueue(queue)} {
			n, err := t.Purge(ctx, name)
			if err != nil {
				return fmt.Errorf("queue %q: %w", name, err)
			}
			deleted += n
		}
		all += deleted
		if _, err := fmt.Fprintf(p.stdout, "%s: %s deleted\n", queue, plural(deleted, "message")); err != nil {
			return err
		}
	}
	if all == 0 {
		p.tellf("nothing waits at %s\n", name)
	}
	return nil
}
