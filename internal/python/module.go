// Package python turns the model of packages into a Python module with which Celery clients call their
// tasks. As in package emit, the module holds names, types and values; what it does is in support.py, which
// begins it.
package python

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

//go:embed support.py
var support string

// manual is the module's docstring.
const manual = `"""Tasks that Go workers run, for Python callers.

    from %[1]s import %[2]s

    result = %[2]s.delay(...)   # Celery's AsyncResult
    result.get(timeout=10)      # a type checker knows the type

A task has the methods of Celery's own tasks: delay, apply_async, s and si. Where a chain, a link or a
chord passes on a result as the first argument, partial is s without the first parameter.

The queue, the priority and what else the Go code says of a task is set here, so that nothing has to be
configured. The app is the current one; bind(app) sets another one. Its results need a backend, such as rpc://.

Arguments travel as JSON, whatever Go's own callers use: every Celery client can write it, and a worker answers
in the format that it was asked in. A datetime, a timedelta or bytes can be an argument as it is. In results,
and inside of structs, which are TypedDicts, they are what JSON has for them; parse_timestamp, parse_seconds,
parse_nanoseconds and decode_bytes read them, and timestamp, nanoseconds and encode_bytes write them.

Queues are not declared here but by the Go workers: start one before the first call.
"""
`

// module is one module in the making.
type module struct {
	scope   *names.Scope
	tasks   []*task
	records map[string]*record // by the keys of model.Package.Records
}

// task is a task and what it is called here.
type task struct {
	*model.Task
	pkg         *model.Package
	name, class string
}

// record is a struct and what it is called here.
type record struct {
	*model.Record
	name string
}

// Module returns the module of all tasks that Go workers run. It is imported as the given name.
func Module(name string, packages []*model.Package) []byte {
	m := &module{scope: newScope(), records: map[string]*record{}}
	for _, p := range packages {
		for _, t := range p.Tasks {
			if t.Extern == "" {
				m.tasks = append(m.tasks, &task{Task: t, pkg: p})
			}
		}
	}
	m.nameTasks()
	m.nameRecords()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", model.PythonHeader)
	example := "create_user"
	if len(m.tasks) > 0 {
		example = m.tasks[0].name
	}
	fmt.Fprintf(&b, manual, name, example)
	b.WriteString("\n" + support)
	for _, r := range slices.SortedFunc(maps.Values(m.records), func(a, b *record) int { return strings.Compare(a.name, b.name) }) {
		m.record(&b, r)
	}
	for _, t := range m.tasks {
		m.task(&b, t)
	}
	return []byte(b.String())
}
