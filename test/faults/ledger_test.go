package faults

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// What a line of a ledger tells of a task.
const (
	accepted = "accepted" // the call returned no error
	rejected = "rejected" // it returned one, so the task may or may not run
	started  = "started"
	ended    = "ended"
)

// pen writes into a ledger. A line is one write to a file opened for appending, so the lines of all
// processes stay whole, and a line that is written survives the kill -9 of its writer.
type pen struct{ file *os.File }

func openPen(path string) (pen, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return pen{file}, err
}

func (p pen) note(kind string, task int) error {
	_, err := fmt.Fprintf(p.file, "%s %d %d %d\n", kind, task, time.Now().UnixNano(), os.Getpid())
	return err
}

// event is one line.
type event struct {
	kind string
	at   time.Time
	pid  int
}

// ledger is what all processes have told of the tasks of a world.
type ledger struct {
	testing.TB
	path string
	pen

	mu    sync.Mutex
	read  int64
	tasks map[int][]event
}

func newLedger(t testing.TB, path string) *ledger {
	t.Helper()
	p, err := openPen(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.file.Close() })
	return &ledger{TB: t, path: path, pen: p, tasks: make(map[int][]event)}
}

// catchUp reads what has been written since the last time. The caller holds the lock.
func (l *ledger) catchUp() {
	l.Helper()
	file, err := os.Open(l.path)
	if err != nil {
		l.Fatal(err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, l.read, 1<<40))
	if err != nil {
		l.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			return
		}
		var task int
		var nanoseconds int64
		var e event
		if _, err := fmt.Sscanf(string(line), "%s %d %d %d\n", &e.kind, &task, &nanoseconds, &e.pid); err != nil {
			l.Fatalf("a line of the ledger is %q: %v", line, err)
		}
		e.at = time.Unix(0, nanoseconds)
		l.tasks[task] = append(l.tasks[task], e)
		l.read += int64(len(line))
	}
}

// each visits all tasks with their events, in the order in which they were written.
func (l *ledger) each(visit func(task int, events []event)) {
	l.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp()
	for task, events := range l.tasks {
		visit(task, events)
	}
}

// tally is the ledger in numbers of tasks.
type tally struct {
	accepted, rejected       int
	started, ended           int // at least once
	startedTwice, endedTwice int // more than once
	lost                     int // accepted and not ended
	rejectedAndRun           int
}

func (l *ledger) tally() tally {
	l.Helper()
	var t tally
	l.each(func(_ int, events []event) {
		n := count(events)
		for _, c := range []struct {
			total *int
			yes   bool
		}{
			{&t.accepted, n[accepted] > 0},
			{&t.rejected, n[rejected] > 0},
			{&t.started, n[started] > 0},
			{&t.ended, n[ended] > 0},
			{&t.startedTwice, n[started] > 1},
			{&t.endedTwice, n[ended] > 1},
			{&t.lost, n[accepted] > 0 && n[ended] == 0},
			{&t.rejectedAndRun, n[rejected] > 0 && n[started] > 0},
		} {
			if c.yes {
				*c.total++
			}
		}
	})
	return t
}

// count counts the events of a task by their kinds.
func count(events []event) map[string]int {
	n := make(map[string]int)
	for _, e := range events {
		n[e.kind]++
	}
	return n
}

// running are the tasks that a process has started and not ended.
func (l *ledger) running(pid int) []int {
	l.Helper()
	var tasks []int
	l.each(func(task int, events []event) {
		open := 0
		for _, e := range events {
			switch {
			case e.pid != pid:
			case e.kind == started:
				open++
			case e.kind == ended:
				open--
			}
		}
		if open > 0 {
			tasks = append(tasks, task)
		}
	})
	return tasks
}

// firstStart is when the first task after a time was started; ok is false if none was.
func (l *ledger) firstStart(after time.Time) (first time.Time, ok bool) {
	l.Helper()
	return l.firstStartBy(0, after)
}

// firstStartBy is firstStart by one process; 0: by any.
func (l *ledger) firstStartBy(pid int, after time.Time) (first time.Time, ok bool) {
	l.Helper()
	l.each(func(_ int, events []event) {
		for _, e := range events {
			if e.kind == started && (pid == 0 || e.pid == pid) && e.at.After(after) && (!ok || e.at.Before(first)) {
				first, ok = e.at, true
			}
		}
	})
	return first, ok
}

// nextStart is when a task was started after a time; ok is false if it was not.
func (l *ledger) nextStart(task int, after time.Time) (at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp()
	for _, e := range l.tasks[task] {
		if e.kind == started && e.at.After(after) {
			return e.at, true
		}
	}
	return at, false
}

// has says whether there is a line of that kind for a task.
func (l *ledger) has(task int, kind string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp()
	return slices.ContainsFunc(l.tasks[task], func(e event) bool { return e.kind == kind })
}

// starts is how often a task was started.
func (l *ledger) starts(task int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catchUp()
	return count(l.tasks[task])[started]
}
