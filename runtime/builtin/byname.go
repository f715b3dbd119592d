package builtin

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/taskgen/taskgen/runtime/task"
)

// ByName runs the tasks of a registry by their names. [Register] makes it.
type ByName struct {
	registry *task.Registry
}

// run runs any task that the worker has, by its registered name. The arguments are a
// JSON list, or a map by name; the result is JSON. It is one run, of taskgen.run: of what the task's own
// directives say, only the arguments count.
//
//task:name taskgen.run
//task:serializer json
//task:secret arguments
func (b *ByName) run(ctx context.Context, name string, arguments json.RawMessage) (json.RawMessage, error) {
	e, err := b.find(name)
	if err != nil {
		return nil, err
	}
	return e.Run(ctx, arguments)
}

// runAll runs a task that the worker has on each item in turn, in one slot, and returns the
// results in their order. An item is the arguments as a JSON list, or a map by name. The first that
// fails ends the rest. The typed way to send it is Map, which every task has.
//
//task:name taskgen.map
//task:serializer json
//task:secret items
func (b *ByName) runAll(ctx context.Context, task string, items []json.RawMessage) ([]json.RawMessage, error) {
	e, err := b.find(task)
	if err != nil {
		return nil, err
	}
	results := make([]json.RawMessage, len(items))
	for i, item := range items {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("stopped before item %d of %d: %w", i+1, len(items), context.Cause(ctx))
		}
		if results[i], err = runItem(ctx, e, item); err != nil {
			return nil, fmt.Errorf("item %d of %d: %w", i+1, len(items), err)
		}
	}
	return results, nil
}

// runItem runs a task once. A panic is an error, so that it can be said which item it was.
func runItem(ctx context.Context, e *task.Entry, item json.RawMessage) (_ json.RawMessage, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &task.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return e.Run(ctx, item)
}

// find finds a task that can be run by its name. Those that run others can't: a message could have
// them run themselves as often as its size allows.
func (b *ByName) find(name string) (*task.Entry, error) {
	e, ok := b.registry.Lookup(name)
	switch {
	case !ok:
		return nil, task.Permanent(fmt.Errorf("no task %q is registered at this worker%s", name, b.hint(name)))
	case name == ByNameRun.Name() || name == ByNameRunAll.Name():
		return nil, task.Permanent(fmt.Errorf("task %s runs other tasks, and can't be run by one that does", name))
	}
	return e, nil
}

// hint names the tasks that may have been meant.
func (b *ByName) hint(name string) string {
	var names []string
	for _, e := range b.registry.Entries() {
		names = append(names, e.Name())
	}
	if names = near(name, names); len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}
