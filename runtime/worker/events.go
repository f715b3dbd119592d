package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

const eventsManual = `Prints what the workers of the broker tell of themselves and of their tasks, those of Celery
included, a line for each event, until SIGTERM or SIGINT. A worker tells of tasks if it was
started with -events, or is asked to: -enable asks all of them, and they go on after that.

With -json each line is an event with all its fields.`

func (p *program) eventsCommand(broker *urlFlag) *cobra.Command {
	var asJSON, enable bool
	cmd := &cobra.Command{
		Use: "events", Short: "Show what workers do as they do it", Long: eventsManual, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := showEvent
			if asJSON {
				show = eventJSON
			}
			return withExisting(cmd.Context(), broker, func(ctx context.Context, t task.Transport) error {
				return p.watch(ctx, broker.asked(t), t, enable, show)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a line of JSON for each event")
	cmd.Flags().BoolVar(&enable, "enable", false, "ask all workers to tell of their tasks")
	return cmd
}

// watch prints events until ctx ends.
func (p *program) watch(ctx context.Context, name string, t task.Transport, enable bool, show func(events.Event) string) error {
	told := ctx
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.tellf("events of %s; stop with Ctrl-C\n", name)
	err := events.Listen(ctx, t, events.ListenConfig{Enable: enable}, func(e events.Event) {
		if _, err := fmt.Fprintln(p.stdout, printable(show(e))); err != nil {
			stop(err)
		}
	})
	if told.Err() != nil && errors.Is(err, context.Cause(told)) {
		return nil
	}
	return err
}

// common are the fields of all events, which come first or are for machines.
var common = []string{"type", "hostname", "timestamp", "uuid", "name", "pid", "clock", "utcoffset"}

// showEvent is an event for people.
func showEvent(e events.Event) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %s %s", e.Time().Format("15:04:05.000"), word(e.Hostname()), word(e.Type()))
	for _, key := range []string{"uuid", "name"} {
		if text, ok := e[key].(string); ok {
			out.WriteString(" " + word(text))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e)) {
		if value := e[key]; value != nil && !slices.Contains(common, key) {
			out.WriteString(" " + word(key) + "=" + shown(value))
		}
	}
	return out.String()
}

// shown is one value of an event.
func shown(value any) string {
	if text, ok := value.(string); ok {
		return word(text)
	}
	return jsonOf(value)
}

// word keeps a text in one piece.
func word(text string) string {
	if text == "" || strings.ContainsFunc(text, unicode.IsSpace) {
		return strconv.Quote(text)
	}
	return text
}

// eventJSON is an event for programs.
func eventJSON(e events.Event) string { return jsonOf(map[string]any(e)) }

func jsonOf(value any) string {
	text, err := codec.JSONText(func(v codec.Value) { v.Any(&value) })
	if err != nil {
		return "?"
	}
	return string(text)
}
