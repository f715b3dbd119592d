package worker

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/task"
)

const controlManual = `Changes the workers of a broker, in Go and in Python, while they run; until they are
started anew. The exit code is 1 if no worker answers, or one refuses.`

func (p *program) controlCommand(broker *urlFlag) *cobra.Command {
	return p.fleet("control", "Change the workers while they run", controlManual, broker, []fleetCommand{
		{name: "revoke", usage: "ID…", short: "don't run these tasks", least: 1, most: many, arguments: idsAs("task_id")},
		{name: "terminate", usage: "ID…", short: "don't run these tasks, and stop those that run", least: 1, most: many, arguments: terminateArguments},
		{name: "revoke_by_stamped_headers", usage: "NAME=VALUE…", short: "don't run the tasks that have one of these stamps", least: 1, most: many, arguments: idsAs("headers")},
		{name: "rate_limit", usage: "TASK RATE", short: "start the task at most that often, such as 10/m; 0 lifts the limit", least: 2, most: 2, arguments: rateArguments},
		{name: "time_limit", usage: "TASK HARD [SOFT]", short: "end runs that take longer, in seconds; 0 is no limit", least: 2, most: 3, arguments: limitArguments},
		{name: "add_consumer", usage: "QUEUE [EXCHANGE [TYPE [KEY]]]", short: "take from one more queue", least: 1, most: 4, arguments: queueArguments},
		{name: "cancel_consumer", usage: "QUEUE", short: "take no more from a queue", least: 1, most: 1, arguments: cancelArguments},
		{name: "pool_grow", usage: "[N]", short: "run N tasks more at a time", most: 1, arguments: slotArguments},
		{name: "pool_shrink", usage: "[N]", short: "run N tasks less at a time", most: 1, arguments: slotArguments},
		{name: "autoscale", usage: "MAX MIN", short: "bounds of the pools of Python workers that scale by themselves", least: 2, most: 2, arguments: scaleArguments},
		{name: "enable_events", short: "send events of tasks"},
		{name: "disable_events", short: "don't"},
		{name: "heartbeat", short: "send the event that says that the worker is there"},
		{name: "shutdown", short: "stop as on SIGTERM; not answered", silent: true},
	})
}

func terminateArguments(args []string) (map[string]any, error) {
	return map[string]any{"task_id": args, "signal": "SIGTERM"}, nil
}

func rateArguments(args []string) (map[string]any, error) {
	if _, err := task.ParseRate(args[1]); err != nil {
		return nil, misuse("rate_limit: %w", err)
	}
	rate := args[1]
	if rate == "none" {
		rate = "0"
	}
	return map[string]any{"task_name": args[0], "rate_limit": rate}, nil
}

func limitArguments(args []string) (map[string]any, error) {
	out := map[string]any{"task_name": args[0], "hard": nil, "soft": nil}
	for i, text := range args[1:] {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= 0) {
			return nil, misuse("time_limit: %q: want a number of seconds", text)
		}
		if n > 0 {
			out[[]string{"hard", "soft"}[i]] = n
		}
	}
	return out, nil
}

func queueArguments(args []string) (map[string]any, error) {
	out := map[string]any{"queue": args[0], "exchange": nil, "exchange_type": task.Direct, "routing_key": nil}
	for i, text := range args[1:] {
		out[[]string{"exchange", "exchange_type", "routing_key"}[i]] = text
	}
	return out, nil
}

func cancelArguments(args []string) (map[string]any, error) {
	return map[string]any{"queue": args[0]}, nil
}

func slotArguments(args []string) (map[string]any, error) {
	if len(args) == 0 {
		return map[string]any{"n": 1}, nil
	}
	return numbers(args, "n")
}

func scaleArguments(args []string) (map[string]any, error) { return numbers(args, "max", "min") }

func numbers(args []string, names ...string) (map[string]any, error) {
	out := map[string]any{}
	for i, name := range names[:min(len(names), len(args))] {
		text := args[i]
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, misuse("%q: want a number", text)
		}
		out[name] = n
	}
	return out, nil
}
