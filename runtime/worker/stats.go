package worker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// writeJSON prints a value for programs.
func (p *program) writeJSON(v any) error {
	encoder := json.NewEncoder(escaper{p.stdout})
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

const inLineNote = "* cheaper to run in line than to send: do more in each, or call the function\n"

// showStats is the statistics as a table.
func showStats(s *task.Stats) string {
	var out strings.Builder
	stuck := ""
	if s.Stuck > 0 {
		stuck = fmt.Sprintf(", %d stuck", s.Stuck)
	}
	fmt.Fprintf(&out, "%s, started %s, %d running%s\n\n", s.Worker, s.Started.Format(time.DateTime), s.Running, stuck)
	if len(s.Tasks) == 0 {
		return out.String() + "no task has run yet\n"
	}
	lines, inLine := newTable(""), false
	lines.add("task", "succeeded", "failed", "retried", "mean run", "mean overhead")
	for _, t := range s.Tasks {
		mark := ""
		if t.InLine() {
			mark, inLine = "*", true
		}
		lines.add(t.Name, number(t.Succeeded), number(t.Failed), number(t.Retried), short(t.MeanRun), short(t.MeanOverhead), mark)
	}
	out.WriteString(lines.String())
	if inLine {
		out.WriteString("\n" + inLineNote)
	}
	return out.String()
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// short is a duration with about three digits.
func short(d time.Duration) string {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}
