package task

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/taskgen/taskgen/runtime/codec"
)

// mapTask is the built-in task that runs another one over a list (runtime/builtin).
const mapTask = "taskgen.map"

// Map sends one message that has a worker run the task on each element of args in turn, in one slot, and
// returns all results. It suits many small runs, which cost more to send than to run; for
// large ones [Task.DelayMany] spreads them over the workers. An element that fails ends the rest,
// and its error is that of the call; one that asks for a retry has the whole list run again. The worker needs the
// built-in tasks, which a generated one has.
func (t Task[A, R]) Map(ctx context.Context, args []A) (*Call[[]R], error) {
	client, err := clientFor(ctx, t.def.spec.Name)
	if err != nil {
		return nil, err
	}
	m, err := t.mapMessage(ctx, client, args)
	if err != nil {
		return nil, fmt.Errorf("task %s over %d elements: %w", t.def.spec.Name, len(args), err)
	}
	if err := client.publish(ctx, m); err != nil {
		return nil, fmt.Errorf("sending task %s over %d elements to %s: %w", t.def.spec.Name, len(args), m.destination(), err)
	}
	return &Call[[]R]{ID: m.ID, task: mapTask, client: client, result: func(v codec.Value, p *[]R) { codec.Slice(v, p, t.def.result) }}, nil
}

// mapMessage is the call of the built-in task. It goes where the task itself would go, if
// that does not depend on an argument.
func (t Task[A, R]) mapMessage(ctx context.Context, client *Client, args []A) (*Message, error) {
	text, _ := codec.ByName("json")
	items := make([]json.RawMessage, len(args))
	for i := range args {
		item, err := text.EncodeMap(func(f codec.Fields) { t.def.visit(&args[i], f) })
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		items[i] = item
	}
	spec := t.def.spec
	spec.Name, spec.Secret, spec.IgnoreResult = mapTask, []string{"items"}, false
	o, err := newCallOptions(&spec, t.options)
	if err != nil {
		return nil, err
	}
	// In JSON the results travel as they are, so that the task's own reader reads them.
	o.serializer = "json"
	return client.message(ctx, o, func(f codec.Fields) {
		codec.String(f.Field("task"), &t.def.spec.Name)
		codec.Slice(f.Field("items"), &items, codec.JSON)
	})
}
