package control

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// seeds adds the captured requests, or answers.
func seeds(f *testing.F, add func(request, answer string)) {
	f.Helper()
	files, err := filepath.Glob("../../testdata/celery/control-*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("there are no fixtures", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		type message struct {
			Body string `json:"body_text_if_utf8"`
		}
		var c struct {
			Request message   `json:"request"`
			Replies []message `json:"replies"`
		}
		_ = json.Unmarshal(text, &c)
		if len(c.Replies) == 0 {
			c.Replies = []message{{}}
		}
		add(c.Request.Body, c.Replies[0].Body)
	}
}

// FuzzRequest: whatever is asked, there is an answer in JSON, or a reason why there is none.
func FuzzRequest(f *testing.F) {
	for _, contentType := range []string{"application/json", "application/x-msgpack", "application/x-yaml"} {
		seeds(f, func(request, _ string) { f.Add(contentType, request) })
	}
	f.Add("application/json", `{"method": "rate_limit", "arguments": {"task_name": "py.add", "rate_limit": "x/y"}}`)
	f.Add("application/json", `{"method": "ping", "destination": "cap@proto"}`)
	f.Add("application/json", `{"method": "ping", "pattern": "(a*)*{1000}", "matcher": "pcre"}`)
	worker, err := task.NewWorker(memory.Open(f.Name()), task.NewRegistry(), task.WorkerConfig{Name: "cap@proto", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	s, err := Start(Config{Worker: worker, Mode: Off})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r, err := readRequest(&task.Broadcast{ContentType: contentType, Body: []byte(body)})
		if err != nil {
			return
		}
		r.meant("cap@proto")
		value, err := s.run(r)
		if errors.Is(err, errSilent) {
			return
		}
		if err != nil {
			value = map[string]string{"error": err.Error()}
		}
		if _, err := encode(value); err != nil {
			t.Errorf("the answer to %q: %v", body, err)
		}
	})
}

// FuzzAnswer: whatever a worker says, it is read or refused.
func FuzzAnswer(f *testing.F) {
	for _, contentType := range []string{"application/json", "application/x-msgpack", "application/x-yaml"} {
		seeds(f, func(_, answer string) { f.Add(contentType, answer) })
	}
	f.Fuzz(func(_ *testing.T, contentType, body string) {
		answers, err := readAnswers(&task.Broadcast{ContentType: contentType, Body: []byte(body)})
		if err != nil {
			return
		}
		for _, a := range answers {
			var told revokedSince
			if json.Unmarshal(a.Value, &told) == nil {
				_, _ = told.read()
			}
		}
	})
}
