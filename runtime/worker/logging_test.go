package worker

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/quickstart/users"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// hostile is text that a sender may put where a log shows it.
const hostile = "x\nlevel=INFO msg=forged\r\x1b[31m\u2028\u009b\x00\u202e\xff\""

// Whatever a message says, a record stays one line, without control characters.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	for format, first := range map[string]string{"text": "time=", "json": `{"time":`} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			url := "memory:" + t.Name()
			b := start(t, nil, "-broker", url, "-logformat", format, "-Q", "tasks,mail")
			transport, err := broker.Transport(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			ctx := task.WithClient(t.Context(), task.NewClient(transport, task.ClientConfig{}))
			text := strings.ToValidUTF8(hostile, "")
			for _, m := range []*task.Message{
				{Headers: map[string]any{"task": hostile, "id": hostile}},
				{Headers: map[string]any{"task": text, "id": "named"}, ContentType: "application/json"},
				{Headers: map[string]any{"task": "users.gone", "id": "gone"}, ContentType: "application/json"},
				{Headers: map[string]any{"task": echo.Name(), "id": "late", "eta": hostile}},
				{Headers: map[string]any{"task": echo.Name(), "id": "typed"}, ContentType: hostile, Body: []byte(hostile)},
				{Headers: map[string]any{"task": echo.Name(), "id": "broken"}, ContentType: "application/json", Body: []byte(hostile)},
			} {
				m.Queue = "tasks"
				if err := transport.Publish(ctx, m); err != nil {
					t.Fatal(err)
				}
			}
			call, err := fail.Send(ctx, &args{Text: text})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = call.Get(ctx)
			if call, err = panics.Send(ctx, &args{Text: text}); err != nil {
				t.Fatal(err)
			}
			_, _ = call.Get(ctx)
			b.err.await(t, "bad-header")
			b.err.await(t, "unknown-task")
			b.err.await(t, "task can't be decoded")
			b.err.await(t, "task failed")
			b.err.await(t, "panic: x")
			b.stop()

			_, log, _ := strings.Cut(b.err.String(), first)
			for line := range strings.Lines(first + log) {
				line = strings.TrimSuffix(line, "\n")
				if printable(line) != line || !strings.HasPrefix(line, first) {
					t.Errorf("the log has the line %q", line)
				}
			}
		})
	}
}

func TestLogJSON(t *testing.T) {
	t.Parallel()
	b := start(t, nil, "-broker", "memory:"+t.Name(), "-logformat=json", "-l", "debug")
	b.stop()
	decoder := json.NewDecoder(strings.NewReader(b.err.String()))
	var first map[string]any
	for n := 0; decoder.More(); n++ {
		var record map[string]any
		if err := decoder.Decode(&record); err != nil {
			t.Fatalf("%v in:\n%s", err, &b.err)
		}
		if n == 0 {
			first = record
		}
	}
	if first["msg"] != "starting" || first["broker"] != "memory:TestLogJSON" || len(first["tasks"].([]any)) != 5 || first["concurrency"] != 10.0 {
		t.Errorf("the first record is %v", first)
	}
}

// An error ends up in one place: where people look, or where the collector of logs does.
func TestLogErrors(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "worker.log")
	for _, test := range []struct {
		args         []string
		stderr, file string
	}{
		{nil, "worker: broker redis://host: ", ""},
		{[]string{"-logformat", "json"}, `"msg":"the worker has failed"`, ""},
		{[]string{"-logfile", file}, "worker: broker redis://host: ", "the worker has failed"},
	} {
		s := newShell(t)
		if code := s.run(append(test.args, "-broker", "redis://host")...); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if got := s.err.String(); !strings.Contains(got, test.stderr) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: stderr has:\n%s", test.args, got)
		}
		if text, _ := os.ReadFile(file); !bytes.Contains(text, []byte(test.file)) {
			t.Errorf("%s: the file has:\n%s", test.args, text)
		}
	}
}

func TestLogFileIsReopened(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "worker.log")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := (&logFlags{level: "WARNING", file: file, format: "text"}).open(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.close()
	log.Info("below the level")
	log.Warn("first")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		t.Skip("no SIGHUP here:", err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not opened anew")
		}
	}
	log.Warn("second")
	for name, want := range map[string][2]string{file + ".1": {"before\n", "first"}, file: {"", "second"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		rest, found := strings.CutPrefix(string(text), want[0])
		if !found || strings.Count(rest, "\n") != 1 || !strings.Contains(rest, want[1]) {
			t.Errorf("%s has %q, want %q", filepath.Base(name), text, want)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the log: %v, %v", info.Mode(), err)
	}
}

// What a task logs is in the worker's log file, with its name and id, from the worker's level on. In a
// process of its own, as users have it.
func TestTaskLog(t *testing.T) {
	t.Parallel()
	levels := []string{"DEBUG", "INFO", "WARN", "ERROR"}
	for at, level := range levels {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			url, file := "sqlite:"+t.TempDir(), filepath.Join(t.TempDir(), "worker.log")
			worker := launchChild(t, "-broker", url, "-logfile", file, "-loglevel", strings.ToLower(level))
			ctx := sender(t, url)
			call, err := speak.Send(ctx, &args{})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := call.Get(ctx); got != level+" "+file || err != nil {
				t.Errorf("the task knows of the log: %q, %v", got, err)
			}
			// This task is generated code, and has the logger as a parameter.
			posted, err := users.SendStatus.Delay(ctx, "token", "hello")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := posted.Get(ctx); err != nil {
				t.Error(err)
			}
			worker.signal(syscall.SIGTERM)
			if code := worker.exitCode(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			log, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, logged := range levels {
				line := "msg=spoken at=level-" + logged + " task=" + speak.Name() + " id=" + call.ID
				if !hasLine(log, "level="+logged, line) != (i < at) {
					t.Errorf("%q at level %s, in:\n%s", line, level, log)
				}
			}
			line := "msg=posting retries=0 task=" + users.SendStatus.Name() + " id=" + posted.ID
			if hasLine(log, "level=INFO", line) != (at <= 1) {
				t.Errorf("%q at level %s, in:\n%s", line, level, log)
			}
			if strings.Contains(worker.log.String(), "spoken") {
				t.Error("the log is on standard error too")
			}
		})
	}
}

// hasLine says whether some line has all of the parts, the task's own attributes in any place.
func hasLine(log []byte, parts ...string) bool {
	for line := range strings.Lines(string(log)) {
		words := strings.Fields(line)
		if !slices.ContainsFunc(strings.Fields(strings.Join(parts, " ")), func(part string) bool { return !slices.Contains(words, part) }) {
			return true
		}
	}
	return false
}
