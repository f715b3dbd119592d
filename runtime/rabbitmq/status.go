package rabbitmq

import (
	"encoding/json"

	"github.com/taskgen/taskgen/runtime/task"
)

// stateOf reads the state in a result message.
func stateOf(contentType string, body []byte) (task.State, error) {
	var m struct{ Status string }
	err := json.Unmarshal(body, &m)
	return task.State(m.Status), err
}
