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
func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rows) == 0 {
		return ""
	}
	var out strings.Builder
	line := func(cells ...string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns...)
	line(slices.Repeat([]string{"---"}, len(columns))...)
	for _, l := range r.rows {
		line(l.fault, l.broker, number(l.tasks), number(l.accepted), number(l.rejected), number(l.lost), number(l.startedTwice), number(l.endedTwice),
			seconds(l.longestCall), seconds(l.publisherBack), seconds(l.workerBack), l.verdict())
	}
	return out.String()
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

// publish puts the table into a page.
func (r *report) publish(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(page), tableBegins)
	_, after, closed := strings.Cut(rest, tableEnds)
	if !found || !closed {
		return fmt.Errorf("%s has no place for the table: want %q and %q", path, tableBegins, tableEnds)
	}
	text := before + tableBegins + "\n\n" + r.table() + "\n" + tableEnds + after
	return os.WriteFile(path, []byte(text), 0o644)
}
