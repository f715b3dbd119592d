package rabbitmq

import (
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// stateOf reads the state in a result message of any serializer.
func stateOf(contentType string, body []byte) (task.State, error) {
	s, known := codec.ByContentType(contentType)
	if !known {
		return "", fmt.Errorf("content type %q is unknown", contentType)
	}
	var status string
	err := s.DecodeMap(body, func(f codec.Fields) { codec.String(f.Field("status"), &status) })
	return task.State(status), err
}
