package worker

import (
	"cmp"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/task"
)

// catalog is what a worker's commands know of its tasks, without being able to run them.
type catalog struct {
	registry *task.Registry
	// own are the user's tasks, builtIn those that workers have besides.
	own, builtIn []*task.Entry
}

func newCatalog(r *task.Registry) *catalog {
	c := &catalog{registry: r}
	for _, e := range r.Entries() {
		if !e.BuiltIn() {
			c.own = append(c.own, e)
		}
	}
	all := task.NewRegistry()
	builtin.RegisterTasks(all, nil, nil)
	for _, e := range all.Entries() {
		if !slices.ContainsFunc(c.own, named(e.Name())) {
			c.builtIn = append(c.builtIn, e)
		}
	}
	return c
}

func named(name string) func(*task.Entry) bool {
	return func(e *task.Entry) bool { return e.Name() == name }
}

// find finds a task by its name or the end of it; if a task of the user's ends so, that is meant.
func (c *catalog) find(name string) (*task.Entry, error) {
	all := slices.Concat(c.own, c.builtIn)
	if i := slices.IndexFunc(all, named(name)); i >= 0 {
		return all[i], nil
	}
	for _, tasks := range [][]*task.Entry{c.own, c.builtIn} {
		found := slices.DeleteFunc(slices.Clone(tasks), func(e *task.Entry) bool {
			return !strings.HasSuffix(e.Name(), "."+name) && !strings.HasSuffix(e.Name(), "/"+name)
		})
		switch len(found) {
		case 0:
		case 1:
			return found[0], nil
		default:
			return nil, misuse("several tasks end in %q: give more of the name:\n  %s", name, names(found))
		}
	}
	return nil, misuse("there is no task %q; there are:\n  %s", name, names(all))
}

// names is one name a line.
func names(tasks []*task.Entry) string {
	var out []string
	for _, e := range tasks {
		out = append(out, e.Name())
	}
	return strings.Join(out, "\n  ")
}

// isBuiltIn says whether a task is a built-in one.
func (c *catalog) isBuiltIn(e *task.Entry) bool { return slices.Contains(c.builtIn, e) }

// queues are those that a worker takes from which is not told from which.
func (c *catalog) queues() []string {
	if queues := c.registry.Queues(); len(queues) > 0 {
		return queues
	}
	return []string{task.DefaultQueue}
}

// queueFor is where a built-in task goes: the given queue, or the default one if tasks use it, or the first of
// theirs by name.
func (c *catalog) queueFor(given string) string {
	queues := c.queues()
	if given == "" && slices.Contains(queues, task.DefaultQueue) {
		return task.DefaultQueue
	}
	return cmp.Or(given, queues[0])
}
