package worker

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/task"
)

const inspectManual = `Asks the workers of a broker, in Go and in Python, and shows what each of them says. The
exit code is 1 if no worker answers.`

// many is the number of arguments where there may be any.
const many = 1000

func (p *program) inspectCommand(broker *urlFlag) *cobra.Command {
	return p.fleet("inspect", "Ask the workers what they do", inspectManual, broker, []fleetCommand{
		{name: "ping", short: "see which workers answer, and how fast", show: showPongs},
		{name: "active", short: "tasks that run", show: showTasks("running", runningFor)},
		{name: "reserved", short: "tasks that workers have and that wait for a slot", show: showTasks("", nil)},
		{name: "scheduled", short: "tasks that workers have and that wait for their time, or for a rate limit", show: showScheduled},
		{name: "revoked", short: "ids of tasks that are not run", show: showEach("revoked")},
		{name: "registered", usage: "[OPTION…]", short: "tasks that workers know, with options such as rate_limit", most: many, arguments: registeredArguments, show: showEach("task")},
		{name: "stats", short: "what workers have done, and which tasks are too small to send", show: showFleetStats},
		{name: "active_queues", short: "queues that workers take from", show: showQueues},
		{name: "query_task", usage: "ID…", short: "which workers have these tasks", least: 1, most: many, arguments: idsAs("ids"), show: showQuery},
		{name: "conf", short: "settings of the workers", show: showSettings},
		{name: "report", short: "what belongs into a report of a fault", show: showReports},
		{name: "clock", short: "logical clocks of the workers", show: showSettings},
	})
}

func registeredArguments(args []string) (map[string]any, error) {
	return map[string]any{"taskinfoitems": append([]string{}, args...)}, nil
}

// idsAs sends the arguments under a name.
func idsAs(name string) func([]string) (map[string]any, error) {
	return func(args []string) (map[string]any, error) { return map[string]any{name: args}, nil }
}

func showPongs(answers []control.Answer) (string, error) {
	lines := newTable("")
	for _, a := range answers {
		lines.add(a.Worker+":", "pong in "+short(a.Took))
	}
	return lines.String(), nil
}

// unreadable is what a worker says in another form than Celery's do.
func unreadable(a *control.Answer, err error) error {
	return fmt.Errorf("what %s says can't be read: %w", a.Worker, err)
}

// rows shows a table with the worker in the first column, and what add adds of each answer; nothing is "none".
func rows[T any](answers []control.Answer, head []string, add func(lines *table, worker string, value T)) (string, error) {
	lines := newTable("")
	lines.add(append([]string{"worker"}, head...)...)
	for i := range answers {
		var value T
		if err := json.Unmarshal(answers[i].Value, &value); err != nil {
			return "", unreadable(&answers[i], err)
		}
		n := len(lines.rows)
		if add(lines, answers[i].Worker, value); len(lines.rows) == n {
			lines.add(answers[i].Worker, "none")
		}
	}
	return lines.String(), nil
}

// showEach shows a list of values, one a line.
func showEach(head string) func([]control.Answer) (string, error) {
	return func(answers []control.Answer) (string, error) {
		return rows(answers, []string{head}, func(lines *table, worker string, values []string) {
			for _, v := range values {
				lines.add(worker, v)
			}
		})
	}
}

func runningFor(t *control.TaskInfo) string {
	if t.TimeStart == nil {
		return ""
	}
	return short(time.Since(time.UnixMicro(int64(float64(*t.TimeStart) * 1e6)))) //nolint:mnd // microseconds
}

// showTasks shows tasks, with a column of their own kind if there is one.
func showTasks(column string, cell func(*control.TaskInfo) string) func([]control.Answer) (string, error) {
	head := []string{"id", "task", "queue", "arguments"}
	if cell != nil {
		head = slices.Insert(head, 1, column)
	}
	return func(answers []control.Answer) (string, error) {
		return rows(answers, head, func(lines *table, worker string, tasks []control.TaskInfo) {
			for i := range tasks {
				cells := taskCells(&tasks[i])
				if cell != nil {
					cells = slices.Insert(cells, 1, cell(&tasks[i]))
				}
				lines.add(append([]string{worker}, cells...)...)
			}
		})
	}
}

func showScheduled(answers []control.Answer) (string, error) {
	return rows(answers, []string{"id", "due", "task", "queue", "arguments"}, func(lines *table, worker string, tasks []control.ScheduledTask) {
		for i := range tasks {
			lines.add(append([]string{worker}, slices.Insert(taskCells(&tasks[i].Request), 1, tasks[i].ETA)...)...)
		}
	})
}

func taskCells(t *control.TaskInfo) []string {
	return []string{t.ID, t.Name, t.DeliveryInfo.RoutingKey, shownArguments(t.Args) + " " + shownArguments(t.Kwargs)}
}

// maxCell is how much of the arguments is shown of one task, in characters.
const maxCell = 100

func shownArguments(v any) string {
	text, isText := v.(string)
	if !isText {
		encoded, err := json.Marshal(v)
		if err != nil {
			return "?"
		}
		text = string(encoded)
	}
	if runes := []rune(text); len(runes) > maxCell {
		text = string(runes[:maxCell]) + "…"
	}
	return text
}

func showQueues(answers []control.Answer) (string, error) {
	return rows(answers, []string{"queue", "exchange", "type", "routing key", "arguments"}, func(lines *table, worker string, queues []control.QueueInfo) {
		for _, q := range queues {
			var arguments []string
			for _, name := range slices.Sorted(maps.Keys(q.QueueArguments)) {
				arguments = append(arguments, fmt.Sprintf("%s=%v", name, q.QueueArguments[name]))
			}
			lines.add(worker, q.Name, q.Exchange.Name, q.Exchange.Type, q.RoutingKey, strings.Join(arguments, " "))
			for _, b := range q.Bindings {
				lines.add(worker, q.Name, b.Exchange.Name, b.Exchange.Type, b.RoutingKey, "")
			}
		}
	})
}

func showQuery(answers []control.Answer) (string, error) {
	return rows(answers, []string{"id", "state", "task", "queue", "arguments"}, func(lines *table, worker string, found map[string][2]json.RawMessage) {
		for _, id := range slices.Sorted(maps.Keys(found)) {
			var state string
			var info control.TaskInfo
			if json.Unmarshal(found[id][0], &state) != nil || json.Unmarshal(found[id][1], &info) != nil {
				continue
			}
			lines.add(append([]string{worker}, slices.Insert(taskCells(&info), 1, state)...)...)
		}
	})
}

// showSettings shows a map.
func showSettings(answers []control.Answer) (string, error) {
	return rows(answers, []string{"setting", "value"}, func(lines *table, worker string, settings map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			lines.add(worker, name, shownArguments(settings[name]))
		}
	})
}

func showReports(answers []control.Answer) (string, error) {
	var out strings.Builder
	for i := range answers {
		var report struct {
			OK string `json:"ok"`
		}
		if err := json.Unmarshal(answers[i].Value, &report); err != nil {
			return "", unreadable(&answers[i], err)
		}
		fmt.Fprintf(&out, "%s\n%s\n", answers[i].Worker, strings.Trim(report.OK, "\n")+"\n")
	}
	return out.String(), nil
}

// showFleetStats shows a table of each worker: of a Python one, how many tasks it has taken.
func showFleetStats(answers []control.Answer) (string, error) {
	var out []string
	for i := range answers {
		var stats struct {
			Total   map[string]int64 `json:"total"`
			PID     int              `json:"pid"`
			Uptime  int              `json:"uptime"`
			Taskgen *task.Stats      `json:"taskgen"`
		}
		if err := json.Unmarshal(answers[i].Value, &stats); err != nil {
			return "", unreadable(&answers[i], err)
		}
		if stats.Taskgen != nil {
			out = append(out, showStats(stats.Taskgen))
			continue
		}
		lines := newTable("")
		lines.add("task", "taken")
		for _, name := range slices.Sorted(maps.Keys(stats.Total)) {
			lines.add(name, number(stats.Total[name]))
		}
		text := "no task has run yet\n"
		if len(stats.Total) > 0 {
			text = lines.String()
		}
		out = append(out, fmt.Sprintf("%s, process %d, up for %s\n\n%s", answers[i].Worker, stats.PID, time.Duration(stats.Uptime)*time.Second, text))
	}
	return strings.Join(out, "\n"), nil
}
