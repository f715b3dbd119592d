package events

import (
	"fmt"
	"math"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/event"
	"github.com/taskgen/taskgen/runtime/task"
)

// Event is what a worker or a client told, of Go or of Python: the fields of its JSON map. docs/events.md lists them.
type Event map[string]any

// Type is such as task-received or worker-heartbeat.
func (e Event) Type() string { return e.text("type") }

// Hostname is who told it.
func (e Event) Hostname() string { return e.text("hostname") }

// Time is when it happened, by the clock of who told it; the zero time if that is not said.
func (e Event) Time() time.Time {
	seconds, ok := e["timestamp"].(float64)
	if whole, isWhole := e["timestamp"].(int64); isWhole {
		seconds, ok = float64(whole), true
	}
	if !ok || !(math.Abs(seconds) < 1<<40) {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6)))
}

func (e Event) text(key string) string {
	text, _ := e[key].(string)
	return text
}

// maxBody is how large a broadcast of events may be, in bytes: a full batch of the longest tracebacks is half of it.
const maxBody = 4 << 20

// Decode reads the events of a broadcast: one map, or a list of them. What is no event is left out, NaN and the infinities,
// which Python writes and JSON doesn't have, are nil; the error is for what can't be read at all.
func Decode(b *task.Broadcast) ([]Event, error) {
	if len(b.Body) > maxBody {
		return nil, fmt.Errorf("events of %d bytes, more than the limit of %d", len(b.Body), maxBody)
	}
	if b.ContentType != event.ContentType {
		return nil, fmt.Errorf("events of content type %q: want %s, Celery's event_serializer json", b.ContentType, event.ContentType)
	}
	serializer, _ := codec.ByName("json")
	tree, err := serializer.DecodeTree(b.Body)
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	list, ok := finite(tree).([]any)
	if !ok {
		list = []any{tree}
	}
	var out []Event
	for _, one := range list {
		if fields, ok := one.(map[string]any); ok && Event(fields).Type() != "" {
			out = append(out, fields)
		}
	}
	return out, nil
}

// finite is a decoded value without NaN and infinities.
func finite(value any) any {
	switch v := value.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = finite(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = finite(v[key])
		}
	}
	return value
}
