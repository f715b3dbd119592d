package task

import (
	"path/filepath"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
)

// TestCapturedResults reads the results that Celery workers of three versions sent.
func TestCapturedResults(t *testing.T) {
	t.Parallel()
	var paths []string
	for _, pattern := range []string{"result-rpc-*.json", "*/result-rpc-*.json"} {
		found, err := filepath.Glob(filepath.Join("..", "..", "testdata", "celery", pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	failures := map[State]int{}
	for _, path := range paths {
		m := readCaptured(t, path)
		if len(m.Body) == 0 {
			continue // a capture of several messages, or of none
		}
		s, _ := codec.ByContentType(m.ContentType)
		tree, err := s.DecodeTree(m.Body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		status := tree.(map[string]any)["status"].(string)
		failure, err := readResult(&Result{ID: m.ID, State: State(status), ContentType: m.ContentType, Body: m.Body}, "py.task", nil)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if failure != nil {
			failures[failure.State]++
			if failure.Type == "" {
				t.Errorf("%s: read as %+v", path, failure)
			}
		}
	}
	for _, state := range []State{Failure, Retried, Revoked} {
		if failures[state] == 0 {
			t.Errorf("no captured result in the state %s was found", state)
		}
	}
}

// TestResultRoundTrip writes each kind of result in each serializer, and reads it.
func TestResultRoundTrip(t *testing.T) {
	t.Parallel()
	for _, name := range codec.Names() {
		s, _ := codec.ByName(name)
		body, err := writeResult(s, "42", Success, func(v codec.Value) { v.String("value") }, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var value string
		failure, err := readResult(&Result{ID: "42", State: Success, ContentType: s.ContentType(), Body: body}, "t", func(v codec.Value) { codec.String(v, &value) })
		if err != nil || failure != nil || value != "value" {
			t.Errorf("%s: read %q, %v, %v", name, value, failure, err)
		}
		body, err = writeResult(s, "42", Failure, nil, &TaskError{Type: "T", Module: "m", Message: "text", Traceback: "stack"}, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		failure, err = readResult(&Result{ID: "42", State: Failure, ContentType: s.ContentType(), Body: body}, "t", nil)
		if err != nil || failure == nil || failure.Type != "T" || failure.Message != "text" || failure.Traceback != "stack" {
			t.Errorf("%s: read %+v, %v", name, failure, err)
		}
	}
}
