package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Answer is what one worker says.
type Answer struct {
	// Worker is its node name.
	Worker string
	// Value is what it tells, in JSON.
	Value json.RawMessage
	// Took is how long it took to come.
	Took time.Duration
	// Err is why it has not done what it was asked for.
	Err error
}

// ErrNobody says that the broker has carried a question, and no worker has answered in time.
var ErrNobody = errors.New("no worker has answered")

// ErrNotCarried says that the broker does not carry messages, whoever may be there: it is blocked, or refuses the client.
var ErrNotCarried = errors.New("the broker does not carry messages now")

// readAnswers reads an answer; there is one worker in each.
func readAnswers(b *task.Broadcast) ([]Answer, error) {
	body, err := asJSON(b)
	if err != nil {
		return nil, err
	}
	var byWorker map[string]json.RawMessage
	if err := json.Unmarshal(body, &byWorker); err != nil {
		return nil, fmt.Errorf("an answer of remote control: %w", err)
	}
	var out []Answer
	for worker, value := range byWorker {
		out = append(out, Answer{Worker: worker, Value: value, Err: refusal(value)})
	}
	return out, nil
}

// refusal is the error of an answer that is nothing else.
func refusal(value json.RawMessage) error {
	var fields map[string]any
	if err := json.Unmarshal(value, &fields); err != nil || len(fields) != 1 {
		return nil //nolint:nilerr // then it is no refusal
	}
	if text, ok := fields["error"].(string); ok {
		return errors.New(text)
	}
	return nil
}
