package task

import (
	"maps"
	"slices"

	"github.com/taskgen/taskgen/runtime/codec"
)

// protocol1 are the keys of a body of Celery's first protocol that are headers in the second one. The others are read with the body:
// args, kwargs, callbacks, errbacks and chord.
var protocol1 = []string{"task", "id", "group", "taskset", "group_index", "retries", "eta", "expires", "timelimit", "shadow", "root_id", "parent_id"}

// upgrade gives a message of Celery's first protocol, which has no headers, those of the second one. What can't be read
// stays as it is, and is no task.
func (e *executor) upgrade(m *Message) {
	s, ok := codec.ByContentType(m.ContentType)
	if m.Headers["task"] != nil || m.Headers[UnreadableHeader] != nil || !ok || !slices.Contains(e.accept, m.ContentType) || len(m.Body) > e.maxBody {
		return
	}
	e.large.Lock()
	defer e.large.Unlock()
	body, err := decompress(m, e.maxDecompressed)
	if err != nil {
		return
	}
	found := map[string]any{}
	err = guard(func() error {
		return s.DecodeValue(body, func(v codec.Value) {
			eachField(v, func(name string) {
				raw := v.Raw(nil)
				if len(raw) <= maxHeaderBytes && slices.Contains(protocol1, name) {
					found[name], _ = s.DecodeTree(raw)
				}
			})
		})
	})
	if name, ok := found["task"].(string); err != nil || !ok || name == "" {
		return
	}
	if found["taskset"] != nil {
		found["group"] = found["taskset"]
	}
	delete(found, "taskset")
	headers := make(map[string]any, len(m.Headers)+len(found))
	for name, value := range found {
		headers[name] = headerValue(value)
	}
	maps.Copy(headers, m.Headers)
	m.Headers = headers
}
