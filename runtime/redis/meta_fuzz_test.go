package redis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// capture is what a Celery worker has left in Redis.
type capture struct {
	Keys []struct {
		Key, Type string
		Value     any
	}
	Published []struct{ Channel, Data string }
}

// captures are those of all versions of Celery, by file.
func captures(t testing.TB) map[string]capture {
	all := map[string]capture{}
	for _, pattern := range []string{"redis-*.json", "*/redis-*.json"} {
		names, err := filepath.Glob(filepath.Join("..", "..", "testdata", "celery", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("there are no captures %s: %v", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var c capture
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[name] = c
		}
	}
	return all
}

// metas are the results that were captured.
func metas(t testing.TB) (out []string) {
	for name, c := range captures(t) {
		if strings.Contains(name, "msgpack") {
			continue // result_serializer is msgpack there
		}
		for _, k := range c.Keys {
			if text, ok := k.Value.(string); ok && strings.HasPrefix(k.Key, "celery-task-meta-") {
				out = append(out, text)
			}
		}
		for _, p := range c.Published {
			if strings.HasPrefix(p.Channel, "celery-task-meta-") {
				out = append(out, p.Data)
			}
		}
	}
	return out
}

// What every version of Celery stores is read.
func TestCapturedMetas(t *testing.T) {
	t.Parallel()
	states := map[task.State]int{}
	for _, meta := range metas(t) {
		r, err := decodeMeta("id", []byte(meta))
		if err != nil {
			t.Errorf("%v\n%s", err, meta)
			continue
		}
		states[r.State]++
	}
	for _, state := range []task.State{task.Started, task.Retried, task.Success, task.Failure, task.Revoked} {
		if states[state] == 0 {
			t.Errorf("no capture is of state %s: %v", state, states)
		}
	}
}

// The parts of captured chords are read, and written as they were.
func TestCapturedParts(t *testing.T) {
	t.Parallel()
	n := 0
	for name, c := range captures(t) {
		for _, k := range c.Keys {
			members, _ := k.Value.([]any)
			for _, member := range members {
				text, _ := member.([]any)[0].(string)
				part, err := decodePart([]byte(text))
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if again, err := encodePart(part); err != nil || again != text {
					t.Errorf("%s: %s became %s, %v", name, text, again, err)
				}
				n++
			}
		}
	}
	if n == 0 {
		t.Error("no capture has a part of a chord")
	}
}

// What is written of a result has Celery's keys, and what JSON can't say is written as JSON tasks have it.
func TestMetaOfOtherSerializers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 2, 34, 253830000, time.UTC)
	msgpack, _ := codec.ByName("msgpack")
	body, err := msgpack.EncodeMap(func(f codec.Fields) {
		f.Field("task_id").String("x")
		f.Field("status").String("SUCCESS")
		f.Field("result").Bytes([]byte{0, 255})
	})
	if err != nil {
		t.Fatal(err)
	}
	meta, err := encodeMeta(&task.Result{ID: "x", State: task.Success, ContentType: msgpack.ContentType(), Body: body, GroupID: "g", ParentID: "p"}, at)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(meta, &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"task_id": "x", "status": "SUCCESS", "result": "AP8=", "group_id": "g", "parent_id": "p", "date_done": "2026-11-22T10:02:34.253830+00:00",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	for _, body := range []string{"", "[]", "{}", "7"} {
		if meta, err := encodeMeta(&task.Result{State: task.Success, ContentType: contentType, Body: []byte(body)}, at); err == nil {
			t.Errorf("%q was stored as %s", body, meta)
		}
	}
}

// Whatever lies in Redis ends as a result or an error; a result can be stored again.
func FuzzMeta(f *testing.F) {
	for _, meta := range metas(f) {
		f.Add([]byte(meta))
	}
	f.Fuzz(func(t *testing.T, meta []byte) {
		r, err := decodeMeta("id", meta)
		if err != nil {
			return
		}
		again, err := encodeMeta(r, time.Now())
		if err != nil {
			t.Fatalf("%q was read and can't be stored: %v", meta, err)
		}
		if second, err := decodeMeta("id", again); err != nil || second.State != r.State {
			t.Errorf("%q was stored as %q: %v", meta, again, err)
		}
	})
}

// Whatever is among the parts of a chord ends as a part or an error; a part has a value.
func FuzzChordPart(f *testing.F) {
	for _, c := range captures(f) {
		for _, k := range c.Keys {
			members, _ := k.Value.([]any)
			for _, member := range members {
				text, _ := member.([]any)[0].(string)
				f.Add([]byte(text))
			}
		}
	}
	f.Add([]byte(`[1, "a\"],[", "SUCCESS", {"x": ["]", "\\"]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		part, err := decodePart(text)
		if err != nil {
			return
		}
		json, _ := codec.ByName("json")
		if _, err := json.DecodeTree(part.Body); err != nil {
			t.Fatalf("%q: its value %q is not JSON: %v", text, part.Body, err)
		}
		again, err := encodePart(part)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := decodePart([]byte(again)); err != nil || string(second.Body) != string(part.Body) || second.ID != part.ID {
			t.Errorf("%q became %q: %v", text, again, err)
		}
	})
}
