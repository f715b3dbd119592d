package faults

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// row is one line of the table. Times below 0 were not measured: nothing of that kind was hurt.
type row struct {
	fault, broker            string
	tasks                    int
	accepted, rejected, lost int
	startedTwice, endedTwice int
	longestCall              time.Duration
	publisherBack            time.Duration
	workerBack               time.Duration
	// remark says in few words what the columns don't.
	remark string
	failed bool
}

// report is the table.
type report struct {
	mu   sync.Mutex
	rows []row
}

var results report

func (r *report) add(line row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, line)
}

var columns = []string{
	"fault", "broker", "tasks", "accepted", "rejected", "lost", "started twice", "completed twice",
	"longest call", "publisher back", "worker back", "verdict",
}

// table is the report as Markdown.
func (r *report) table() string { return asTable(r.lines()) }

// lines are the rows of the table.
func (r *report) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []string
	for _, l := range r.rows {
		lines = append(lines, asLine(l.fault, l.broker, number(l.tasks), number(l.accepted), number(l.rejected), number(l.lost), number(l.startedTwice),
			number(l.endedTwice), seconds(l.longestCall), seconds(l.publisherBack), seconds(l.workerBack), l.verdict()))
	}
	return lines
}

func asLine(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

func asTable(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return asLine(columns...) + asLine(slices.Repeat([]string{"---"}, len(columns))...) + strings.Join(lines, "")
}

// scenario is what two lines of the same scenario begin with: the fault and the broker.
func scenario(line string) string { return strings.Join(strings.SplitN(line, " | ", 3)[:2], " | ") }

// renew puts new lines in the place of those of the same scenarios, and others behind them.
func renew(lines, news []string) []string {
	renewed := make(map[int]bool)
	for _, line := range news {
		at := slices.IndexFunc(lines, func(old string) bool { return scenario(old) == scenario(line) })
		for at >= 0 && renewed[at] { // a scenario can have several lines
			next := slices.IndexFunc(lines[at+1:], func(old string) bool { return scenario(old) == scenario(line) })
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 {
			at, lines = len(lines), append(lines, "")
		}
		lines[at], renewed[at] = line, true
	}
	return lines
}

func (l *row) verdict() string {
	verdict := "held"
	if l.failed {
		verdict = "**failed**"
	}
	if l.remark != "" {
		verdict += "; " + l.remark
	}
	return verdict
}

func number(n int) string {
	text := fmt.Sprint(n)
	if n >= 1000 {
		text = text[:len(text)-3] + "," + text[len(text)-3:]
	}
	return text
}

func seconds(d time.Duration) string {
	if d < 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// The table stands between these in the page.
const (
	tableBegins = "<!-- table: written by make faults -->"
	tableEnds   = "<!-- end of table -->"
)

// publish puts the table into a page. Of scenarios that have not run, the lines that are there stay.
func (r *report) publish(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), tableBegins)
	old, after, closed := strings.Cut(rest, tableEnds)
	if !found || !closed {
		return fmt.Errorf("%s has no place for the table: want %q and %q", path, tableBegins, tableEnds)
	}
	lines := slices.DeleteFunc(slices.Collect(strings.Lines(old)), func(line string) bool {
		return !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || line == asLine(columns...)
	})
	text := before + tableBegins + "\n\n" + asTable(renew(lines, r.lines())) + "\n" + tableEnds + after
	return os.WriteFile(path, []byte(text), 0o644)
}
