package redis

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

const (
	contentType     = "application/json"
	contentEncoding = "utf-8"
	// timeFormat is what every version of Celery reads: six digits, and an offset.
	timeFormat = "2006-01-02T15:04:05.000000+00:00"
	// maxMeta bounds what is read of one result, in bytes: four times what a worker stores at most, unless it is told to.
	maxMeta = 64 << 20
)

// encodeMeta is what Celery stores of a result: its message, and when and for whom it is.
func encodeMeta(r *task.Result, now time.Time) ([]byte, error) {
	message, err := toJSON(r.ContentType, r.Body)
	if err != nil {
		return nil, err
	}
	message = bytes.TrimLeft(message, " \t\r\n")
	if len(message) < 2 || message[0] != '{' || message[1] == '}' {
		return nil, errors.New("it is no result message: want a map with task_id, status and result")
	}
	done := ""
	if r.State.Final() {
		done = now.UTC().Format(timeFormat)
	}
	more, err := codec.JSONText(func(v codec.Value) {
		v.Map(3)
		v.String("date_done")
		if v.Present(done != "") {
			v.String(done)
		}
		for _, id := range []struct{ name, value string }{{"group_id", r.GroupID}, {"parent_id", r.ParentID}} {
			if id.value != "" {
				v.String(id.name)
				v.String(id.value)
			}
		}
		v.End()
	})
	if err != nil {
		return nil, err
	}
	// Spliced, not decoded: so every number stays as it was written.
	more[len(more)-1] = ','
	return append(more, message[1:]...), nil
}

// toJSON translates data into JSON.
func toJSON(from string, data []byte) ([]byte, error) {
	if from == contentType {
		return data, nil
	}
	s, ok := codec.ByContentType(from)
	if !ok {
		return nil, fmt.Errorf("no serializer for content type %q", from)
	}
	tree, err := s.DecodeTree(data)
	if err != nil {
		return nil, err
	}
	return codec.TreeJSON(tree)
}

// decodeMeta reads what Celery, or we, have stored of a task.
func decodeMeta(id string, meta []byte) (*task.Result, error) {
	if len(meta) > maxMeta {
		return nil, fmt.Errorf("task %s: its result has more than %d bytes", id, maxMeta)
	}
	r := &task.Result{ID: id, ContentType: contentType, ContentEncoding: contentEncoding, Body: meta}
	json, _ := codec.ByName("json")
	if err := json.DecodeMap(meta, func(f codec.Fields) { codec.String(f.Field("status"), &r.State) }); err != nil {
		return nil, fmt.Errorf("task %s: its stored result can't be read (is Celery's result_serializer json?): %w", id, err)
	}
	if r.State == "" {
		return nil, fmt.Errorf("task %s: its stored result has no status", id)
	}
	return r, nil
}
