package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

const resultManual = `Prints what is known of a task: its state, then its result as JSON or the error it
ended with.

The embedded broker keeps results for a day, and so does a store that -results names.
RabbitMQ keeps none: each goes to the process that sent the task. There, use call, or
Call.Get in the program.`

func (p *program) resultCommand(broker *urlFlag) *cobra.Command {
	return &cobra.Command{
		Use: "result ID", Short: "Show the state and the result of a task", Long: resultManual, Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withExisting(cmd.Context(), broker, func(ctx context.Context, t task.Transport) error {
				if t.ReplyTo() != "" {
					return fmt.Errorf("%s keeps no results: each goes to the process that sent the task; send it with call, or use Call.Get in the program", t)
				}
				ctx, cancel := p.withPatience(ctx, t)
				defer cancel()
				stored, err := t.Result(ctx, args[0])
				if err != nil {
					return err
				}
				text, err := showResult(stored, whereResults(broker, t))
				if err != nil {
					return fmt.Errorf("task %s: %w", args[0], err)
				}
				_, err = fmt.Fprintln(p.stdout, printable(text))
				return err
			})
		},
	}
}

// whereResults is what was asked for a result.
func whereResults(broker *urlFlag, t task.Transport) string {
	if s := task.StoreOf(t); s != nil {
		return s.String()
	}
	return broker.asked(t)
}

// showResult turns a result into text: the state, and on the next line the value or the error.
func showResult(stored *task.Result, where string) (string, error) {
	if stored == nil {
		return string(task.Pending) + "\nno result at " + where + ": the task waits or runs, its result is too old or ignored, or it was never sent", nil
	}
	serializer, ok := codec.ByContentType(stored.ContentType)
	if !ok {
		return "", fmt.Errorf("no serializer for its result of content type %q", stored.ContentType)
	}
	tree, err := serializer.DecodeTree(stored.Body)
	if err != nil {
		return "", fmt.Errorf("its result can't be read: %w", err)
	}
	meta, _ := tree.(map[string]any)
	if stored.State == task.Success {
		value, err := json.Marshal(meta["result"])
		if err != nil {
			return "", fmt.Errorf("its result has no form in JSON: %w", err)
		}
		return string(stored.State) + "\n" + string(value), nil
	}
	text := string(stored.State)
	if failure, ok := meta["result"].(map[string]any); ok {
		text += "\n" + showFailure(failure)
	}
	if traceback, _ := meta["traceback"].(string); traceback != "" {
		text += "\n\n" + strings.TrimRight(traceback, "\n")
	}
	return text, nil
}

// showFailure is an exception in one line: its type and its message.
func showFailure(failure map[string]any) string {
	var parts []string
	switch message := failure["exc_message"].(type) {
	case []any:
		for _, part := range message {
			parts = append(parts, fmt.Sprint(part))
		}
	case nil:
	default:
		parts = append(parts, fmt.Sprint(message))
	}
	text := strings.Join(parts, ", ")
	if name, _ := failure["exc_type"].(string); name != "" {
		return strings.TrimSuffix(name+": "+text, ": ")
	}
	return text
}
