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

const deadManual = `Shows, sends again and drops the messages that were parked: those that no worker could
run, with the reason. Without -queue it looks at all queues of the tasks.

A message that is sent again goes to the queue that it was parked from, as it came. Do
that after what was wrong with it, or with the worker, is mended.`

// deadFlags say which messages are meant.
type deadFlags struct {
	queues []string
	all    bool
}

func (p *program) deadCommand(broker *urlFlag) *cobra.Command {
	f := &deadFlags{}
	cmd := &cobra.Command{
		Use: "dead", Short: "Show, replay and drop parked messages", Long: deadManual, Args: atMost(0),
		RunE: func(*cobra.Command, []string) error { return misuse("dead: want list, show, replay or drop") },
	}
	cmd.PersistentFlags().StringArrayVarP(&f.queues, "queue", "Q", nil, "look at `QUEUE`; can be repeated (default all queues of the tasks)")
	cmd.AddCommand(p.deadListCommand(broker, f), p.deadShowCommand(broker, f),
		p.deadEndCommand(broker, f, "replay", "Send parked messages to their queues again", task.ReplayDead, "sent again"),
		p.deadEndCommand(broker, f, "drop", "Delete parked messages", task.DropDead, "dropped"))
	return cmd
}

// withDead visits the dead letters of the queues that the flags name. It says where that was, and how many were ended; a queue
// with an error does not keep it from the others.
func (p *program) withDead(ctx context.Context, broker *urlFlag, f *deadFlags, visit func(*task.DeadMessage) (task.DeadAction, error)) (where string, ended int, err error) {
	queues := splitLists(f.queues)
	if len(queues) == 0 {
		queues = newCatalog(p.registry).queues()
	}
	err = withExisting(ctx, broker, func(ctx context.Context, t task.Transport) error {
		where = strings.Join(queues, ", ") + " at " + broker.asked(t)
		ctx, cancel := p.withPatience(ctx, t)
		defer cancel()
		var errs []error
		for _, queue := range queues {
			n := 0
			err := t.DeadLetters(ctx, queue, func(d *task.DeadMessage) (task.DeadAction, error) {
				action, err := visit(d)
				if err == nil && action != task.KeepDead {
					n++
				}
				return action, err
			})
			if err != nil {
				n = max(n-1, 0) // the last one may have been in the way
			}
			ended, errs = ended+n, append(errs, err)
			if ctx.Err() != nil || errors.Is(err, task.ErrRefused) {
				break // it is not for the queue
			}
		}
		return errors.Join(errs...)
	})
	return where, ended, err
}

// deadInfo is a parked message as it is listed.
type deadInfo struct {
	ID     string    `json:"id"`
	Task   string    `json:"task"`
	Queue  string    `json:"queue"`
	Reason string    `json:"reason"`
	Error  string    `json:"error"`
	Worker string    `json:"worker"`
	Died   time.Time `json:"died"`
}

func (p *program) deadListCommand(broker *urlFlag, f *deadFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List parked messages, oldest first", Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			infos := []deadInfo{}
			where, _, err := p.withDead(cmd.Context(), broker, f, func(d *task.DeadMessage) (task.DeadAction, error) {
				infos = append(infos, deadInfo{d.Message.ID, d.Message.Task, d.Message.Queue, d.Reason, d.Error, d.Worker, d.Time})
				return task.KeepDead, nil
			})
			if err != nil && len(infos) == 0 {
				return err
			}
			if asJSON {
				return errors.Join(p.writeJSON(infos), err)
			}
			text := "no message is parked in " + where + "\n"
			if len(infos) > 0 {
				text = deadListing(infos)
			}
			_, failure := io.WriteString(p.stdout, printable(text))
			return errors.Join(failure, err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func deadListing(infos []deadInfo) string {
	lines := newTable("")
	lines.add("id", "task", "queue", "died", "reason", "error")
	for _, d := range infos {
		lines.add(d.ID, d.Task, d.Queue, d.Died.Format(time.DateTime), d.Reason, firstLine(d.Error))
	}
	return lines.String()
}

// firstLine is what fits into a list.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return beginning(text, 100)
}

// beginning is text, or as much of it as so many characters hold.
func beginning(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func (p *program) deadShowCommand(broker *urlFlag, f *deadFlags) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a parked message, its headers and why it was parked", Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found := false
			where, _, err := p.withDead(cmd.Context(), broker, f, func(d *task.DeadMessage) (task.DeadAction, error) {
				if d.Message.ID != args[0] || found {
					return task.KeepDead, nil
				}
				found = true
				if raw {
					_, err := p.stdout.Write(d.Message.Body)
					return task.KeepDead, err
				}
				_, err := io.WriteString(p.stdout, printable(showDead(d)))
				return task.KeepDead, err
			})
			if err == nil && !found {
				err = fmt.Errorf("no message %s is parked in %s", args[0], where)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "print nothing but the body as it came, whatever secrets and bytes are in it")
	return cmd
}

// showDead is all of a message but its body, which may have secrets.
func showDead(d *task.DeadMessage) string {
	lines := newTable("")
	m := d.Message
	for _, row := range [][2]string{
		{"id", m.ID},
		{"task", m.Task},
		{"queue", m.Queue},
		{"reason", d.Reason},
		{"error", d.Error},
		{"worker", d.Worker},
		{"died", d.Time.Format(time.RFC3339)},
		{"content", strings.TrimSpace(m.ContentType + " " + m.ContentEncoding)},
		{"body", fmt.Sprintf("%d bytes; -raw prints them", len(m.Body))},
	} {
		lines.add(row[0], row[1])
	}
	var names []string
	for name := range m.Headers {
		if name != "argsrepr" && name != "kwargsrepr" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		lines.add("header "+name, beginning(fmt.Sprint(m.Headers[name]), 1000))
	}
	text := lines.String()
	if d.Stack != "" {
		text += "\n" + strings.TrimRight(d.Stack, "\n") + "\n"
	}
	return text
}

// deadEndCommand is a command that ends parked messages.
func (p *program) deadEndCommand(broker *urlFlag, f *deadFlags, name, short string, action task.DeadAction, done string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: name + " ID… | -all", Short: short,
		RunE: func(cmd *cobra.Command, ids []string) error {
			switch {
			case f.all == (len(ids) > 0):
				return misuse("dead %s: want the ids of messages, or -all", name)
			case f.all && !yes && !p.interactive:
				return misuse("dead %s -all, and there is nobody to ask: say -yes if that is what you want", name)
			case f.all && !yes && !p.confirm(short+", all of them?"):
				return errors.New("nothing was done")
			}
			missing := slices.Clone(ids)
			where, n, err := p.withDead(cmd.Context(), broker, f, func(d *task.DeadMessage) (task.DeadAction, error) {
				at := slices.Index(missing, d.Message.ID)
				if at < 0 && !f.all {
					return task.KeepDead, nil
				}
				if at >= 0 {
					missing = slices.Delete(missing, at, at+1)
				}
				return action, nil
			})
			if err == nil || n > 0 {
				_, failure := fmt.Fprintf(p.stdout, "%s %s\n", plural(n, "message"), done)
				err = errors.Join(failure, err)
			}
			if err == nil && f.all && n == 0 {
				p.tellf("no message is parked in %s\n", where)
			}
			if err == nil && len(missing) > 0 {
				err = fmt.Errorf("not parked in %s: %s", where, strings.Join(missing, ", "))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&f.all, "all", false, "all that are parked")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "don't ask")
	return cmd
}
