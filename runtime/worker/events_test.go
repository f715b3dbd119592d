package worker

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/task"
)

// watcher is `worker events` beside the test.
type watcher struct {
	*shell
	out  output
	code chan int
}

func watchEvents(t *testing.T, args ...string) *watcher {
	t.Helper()
	w := &watcher{shell: newShell(t), code: make(chan int, 1)}
	w.stdout = &w.out
	go func() { w.code <- w.execute(context.WithoutCancel(t.Context()), append([]string{"events"}, args...)) }()
	return w
}

// stop sends a signal, and fails unless the command ends well.
func (w *watcher) stop() {
	w.Helper()
	w.signals <- os.Interrupt
	select {
	case code := <-w.code:
		if code != succeeded {
			w.Errorf("exit code %d: %s", code, &w.err)
		}
	case <-time.After(patience):
		w.Error("worker events does not stop")
	}
}

func TestEventsCommand(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		name := "go@" + uuid.NewString()
		worker := start(t, nil, "-broker", url, "-Q", queue, "-hostname", name, "-heartbeat-interval", "100ms", "-events")
		lines, objects := watchEvents(t, "-broker", url), watchEvents(t, "-broker", url, "-json")
		lines.out.await(t, name+" worker-heartbeat ")
		objects.out.await(t, `"`+name+`"`)
		ctx := sender(t, url)
		call := send(t, ctx, echo.With(task.Queue(queue)), args{Text: "s3cret", Number: 7})
		get(t, ctx, call, "s3cret")
		for _, w := range []*watcher{lines, objects} {
			w.out.await(t, "task-succeeded")
		}
		worker.stop()
		lines.out.await(t, name+" worker-offline ")
		lines.stop()
		objects.stop()
		for _, want := range []string{
			name + ` task-received ` + call.ID + ` example.com/app/users.echo args=() kwargs="{'text': '***', 'number': 7}" retries=0 root_id=` + call.ID,
			name + ` task-started ` + call.ID,
			name + ` task-succeeded ` + call.ID + ` result='s3cret' runtime=`,
			name + ` worker-offline active=0 freq=0.1 loadavg=[`,
		} {
			if !regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3} ` + regexp.QuoteMeta(want)).MatchString(lines.out.String()) {
				t.Errorf("no line %s in\n%s", want, &lines.out)
			}
		}
		for line := range strings.Lines(objects.out.String()) {
			var event struct{ Type, Hostname string }
			if err := json.Unmarshal([]byte(line), &event); err != nil || event.Type == "" || event.Hostname == "" {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}

func TestEventFlags(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.want(misused, "", "worker: -heartbeat-interval -1s: want a time, or 0 for no heartbeats\nworker -h shows the manual\n", "-heartbeat-interval", "-1s")
	s.want(misused, "", "worker: worker events: \"x\" is one argument too many\nworker -h shows the manual\n", "events", "x")
}

// A worker without -heartbeat-interval says nothing of itself, and one without -events nothing of tasks.
func TestNoEvents(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		silent, herald := "silent@"+uuid.NewString(), "herald@"+uuid.NewString()
		ctx := sender(t, url) // to watch makes no broker
		watcher := watchEvents(t, "-broker", url)
		first := start(t, nil, "-broker", url, "-Q", queue, "-hostname", herald, "-heartbeat-interval", "100ms")
		watcher.out.await(t, herald)
		second := start(t, nil, "-broker", url, "-Q", queue, "-hostname", silent, "-heartbeat-interval", "0",
			"-control", "off") // another test may ask all for a heartbeat
		for range 20 {
			get(t, ctx, send(t, ctx, echo.With(task.Queue(queue)), args{Text: "a"}), "a")
		}
		second.stop()
		first.stop()
		watcher.out.await(t, herald+" worker-offline")
		watcher.stop()
		for line := range strings.Lines(watcher.out.String()) {
			if strings.Contains(line, silent) || strings.Contains(line, herald+" task-") {
				t.Errorf("unasked: %s", line)
			}
		}
	})
}

// FuzzEventLine: whatever comes as events, each that is read becomes one line that controls no terminal, and one of JSON.
func FuzzEventLine(f *testing.F) {
	for _, dir := range []string{"", "5.2.6"} {
		names, err := filepath.Glob(filepath.Join("../../testdata/celery", dir, "event-*.json"))
		if err != nil || len(names) == 0 {
			f.Fatalf("no fixtures: %v", err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			var fixture struct {
				Body []byte `json:"body_base64"`
			}
			if err := json.Unmarshal(text, &fixture); err != nil {
				f.Fatal(err)
			}
			f.Add(fixture.Body)
		}
	}
	f.Add([]byte(`[{"type": "a\nb", "hostname": "\u001b[2J", "timestamp": 1e300, "x y": {"\n": [null, NaN]}}, 7]`))
	f.Add([]byte(strings.Repeat(`[{"a":`, 200)))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := events.Decode(&task.Broadcast{ContentType: "application/json", Body: body})
		if err != nil && len(list) > 0 {
			t.Fatalf("%d events and an error: %v", len(list), err)
		}
		for _, e := range list {
			for _, line := range []string{showEvent(e), eventJSON(e)} {
				if line = printable(line); strings.ContainsAny(line, "\n\r\x1b") {
					t.Fatalf("not one line: %q", line)
				}
			}
			if line := eventJSON(e); !json.Valid([]byte(line)) {
				t.Fatalf("no JSON: %s", line)
			}
		}
	})
}
