package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

// fleetCommand is one that is given to a fleet.
type fleetCommand struct {
	name, usage, short string
	least, most        int // arguments
	// arguments makes those of the request.
	arguments func(args []string) (map[string]any, error)
	// show shows the answers to people; nil: the text of each.
	show func([]control.Answer) (string, error)
	// silent says that nobody answers.
	silent bool
}

// fleetFlags say who is asked.
type fleetFlags struct {
	destination []string
	timeout     time.Duration
	asJSON      bool
}

// fleet makes a command that takes one of some commands for a fleet.
func (p *program) fleet(name, short, long string, broker *urlFlag, all []fleetCommand) *cobra.Command {
	f := &fleetFlags{}
	lines := newTable("  ")
	for _, c := range all {
		lines.add(strings.TrimSpace(c.name+" "+c.usage), c.short)
	}
	cmd := &cobra.Command{
		Use: name + " COMMAND [ARGUMENTS]", Short: short, Long: long + "\n\n" + strings.TrimRight(lines.String(), "\n"), Args: between(1, 1000), //nolint:mnd // any number
		RunE: func(cmd *cobra.Command, args []string) error {
			i := slices.IndexFunc(all, func(c fleetCommand) bool { return c.name == args[0] })
			if i < 0 {
				return misuse("%s has no command %q; %s -h lists them", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return p.tellFleet(cmd.Context(), broker, f, &all[i], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.destination, "destination", "d", nil, "ask these `WORKERS` only, such as worker@a,celery@b; or those whose\nnames match one pattern with * in it (default all)")
	flags.DurationVarP(&f.timeout, "timeout", "t", control.DefaultTimeout, "how long to wait for answers")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON: a map by worker")
	return cmd
}

// config is what the flags ask for.
func (f *fleetFlags) config() (control.ClientConfig, error) {
	config := control.ClientConfig{Timeout: f.timeout}
	if f.timeout <= 0 {
		return config, misuse("-timeout %s: want a time above 0s", f.timeout)
	}
	names := splitLists(f.destination)
	if len(names) == 1 && strings.ContainsAny(names[0], "*?[") {
		config.Pattern = names[0]
	} else {
		config.Destination = names
	}
	return config, nil
}

// tellFleet gives a command and shows the answers.
func (p *program) tellFleet(ctx context.Context, broker *urlFlag, f *fleetFlags, c *fleetCommand, args []string) error {
	if len(args) < c.least || len(args) > c.most {
		return misuse("want: %s %s", c.name, c.usage)
	}
	var arguments map[string]any
	if c.arguments != nil {
		var err error
		if arguments, err = c.arguments(args); err != nil {
			return err
		}
	}
	config, err := f.config()
	if err != nil {
		return err
	}
	return withExisting(ctx, broker, func(ctx context.Context, t task.Transport) error {
		client := control.NewClient(t, config)
		defer func() { _ = client.Close() }()
		over := p.waitFor(t)
		err := client.Ready(ctx)
		if over(); err != nil {
			return err
		}
		if c.silent {
			return client.Tell(ctx, c.name, arguments)
		}
		answers, err := client.Ask(ctx, c.name, arguments)
		if errors.Is(err, control.ErrNobody) {
			return fmt.Errorf("%s: %w", broker.asked(t), err)
		}
		if err != nil {
			return err
		}
		return p.showAnswers(f, c, answers)
	})
}

// showAnswers prints what the workers say. What they refuse is an error.
func (p *program) showAnswers(f *fleetFlags, c *fleetCommand, answers []control.Answer) error {
	var refused []error
	var good []control.Answer
	for _, a := range answers {
		if a.Err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", a.Worker, a.Err))
		} else {
			good = append(good, a)
		}
	}
	switch {
	case f.asJSON:
		byWorker := map[string]json.RawMessage{}
		for _, a := range answers {
			byWorker[a.Worker] = a.Value
		}
		if err := p.writeJSON(byWorker); err != nil {
			return err
		}
	case len(good) > 0:
		show := c.show
		if show == nil {
			show = showTexts
		}
		text, err := show(good)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(p.stdout, printable(text)); err != nil {
			return err
		}
	}
	return errors.Join(refused...)
}

// showTexts shows the words with which workers confirm a command.
func showTexts(answers []control.Answer) (string, error) {
	lines := newTable("")
	for _, a := range answers {
		var value struct {
			OK *string `json:"ok"`
		}
		text := string(a.Value)
		if json.Unmarshal(a.Value, &value) == nil && value.OK != nil {
			text = *value.OK
		}
		lines.add(a.Worker, text)
	}
	return lines.String(), nil
}
