package python

import (
	"fmt"

	"github.com/taskgen/taskgen/internal/model"
)

// argument annotates a parameter of a task: it takes what the support code turns into JSON, and what results hold.
func (m *module) argument(t *model.Type) string {
	switch t.Kind {
	case model.Bytes:
		return "Union[bytes, Base64]"
	case model.Time:
		return "Union[datetime, Timestamp]"
	case model.Duration:
		return "Union[timedelta, Seconds]"
	case model.Slice:
		elem := m.argument(t.Elem)
		if elem == "str" {
			return "list[str]" // a str is a Sequence[str] too, and never what is meant
		}
		return fmt.Sprintf("Sequence[%s]", elem)
	case model.Map:
		return fmt.Sprintf("Mapping[%s, %s]", m.argument(t.Key), m.argument(t.Elem))
	case model.Pointer:
		return optional(m.argument(t.Elem))
	}
	return m.value(t)
}

// result annotates what a task returns.
func (m *module) result(t *model.Type) string {
	switch t.Kind {
	case model.Duration:
		return "Seconds"
	case model.Slice:
		return fmt.Sprintf("list[%s]", m.result(t.Elem))
	case model.Map:
		return fmt.Sprintf("dict[str, %s]", m.result(t.Elem))
	case model.Pointer:
		return optional(m.result(t.Elem))
	}
	return m.value(t)
}

// value annotates what is in JSON as encoding/json writes it.
func (m *module) value(t *model.Type) string {
	switch t.Kind {
	case model.Bool:
		return "bool"
	case model.Int, model.Uint:
		return "int"
	case model.Float:
		return "float"
	case model.String:
		return "str"
	case model.Bytes:
		return "Base64"
	case model.Time:
		return "Timestamp"
	case model.Duration:
		return "Nanoseconds"
	case model.Slice:
		return fmt.Sprintf("list[%s]", m.value(t.Elem))
	case model.Map:
		return fmt.Sprintf("dict[str, %s]", m.value(t.Elem))
	case model.Pointer:
		return optional(m.value(t.Elem))
	case model.Object:
		return m.records[t.Record].name
	}
	if t.JSON != nil {
		return m.value(t.JSON)
	}
	return "Any"
}

func optional(text string) string {
	if text == "Any" {
		return text
	}
	return "Optional[" + text + "]"
}
