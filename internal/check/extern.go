package check

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/directive"
	"github.com/taskgen/taskgen/internal/load"
	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// Celery's own choices, for tasks that Celery's workers run.
const (
	externSerializer = "json"
	externQueue      = "celery"
)

// externs makes tasks of an extern interface's methods.
func (c *checker) externs(f *load.File, t directive.Type) (tasks []*task) {
	name := t.Spec.Name.Name
	iface := t.Spec.Type.(*ast.InterfaceType)
	switch {
	case t.Spec.TypeParams != nil:
		c.errorf(t.Spec.Name.Pos(), "%s is generic, and its tasks have to say which types travel: write an interface for each", name)
		return nil
	case export(name) == "":
		c.errorf(t.Spec.Name.Pos(), "the stubs of %s need names that begin with an upper case letter, which it has none for: begin it with a letter that has one", name)
		return nil
	case len(iface.Methods.List) == 0:
		c.errorf(t.Spec.Name.Pos(), "%s has no methods, and so declares no tasks: write one for each task that others run", name)
	}
	for _, field := range iface.Methods.List {
		if len(field.Names) == 0 {
			c.errorf(field.Type.Pos(), "%s embeds this, and only methods that are written in the interface itself can be extern tasks: write them here", name)
		}
	}
	for _, m := range t.Methods {
		method := &task{
			file: f, set: m.Set,
			decl:      &ast.FuncDecl{Doc: m.Field.Doc, Name: m.Field.Names[0], Type: m.Field.Type.(*ast.FuncType)},
			inherited: []inherited{{name, t.Set}},
		}
		c.extern(method, name)
		tasks = append(tasks, method)
	}
	return tasks
}

// extern checks what can be told from a method's declaration alone, and settles its names.
func (c *checker) extern(t *task, iface string) {
	name := t.decl.Name.Name
	t.model = &model.Task{
		Func: name, Stub: export(iface) + name, Extern: iface, Doc: doc(t.decl.Doc), Pos: c.w.Position(t.decl.Name.Pos()),
	}
	named, from := t.source("name")
	switch {
	case !token.IsExported(name):
		t.broken = true
		c.errorf(t.decl.Name.Pos(), "task %s: rename the method to begin with an upper case letter: it is what its callers know the task by", name)
	case named == nil:
		t.broken = true
		c.errorf(t.decl.Name.Pos(), "task %s: what is it called where it runs? Write //task:name MODULE above interface %s, or //task:name NAME above the method; a Celery worker shows the names when it starts", name, iface)
	case from == "":
		t.model.Name = named.Value
	default:
		t.model.Name = strings.TrimSuffix(named.Value, ".") + "." + names.Snake(name)
		if err := directive.CheckName(t.model.Name); err != nil {
			t.broken = true
			c.errorf(t.decl.Name.Pos(), "task %s: %q can't be its registered name: %v; give it one with //task:name", name, t.model.Name, err)
		}
	}
}

// externOptions settles what only tasks have that others run.
func (c *checker) externOptions(t *task) {
	o := &t.model.Options
	if o.Serializer == "gob" {
		d := c.errorf(t.where("serializer"), "task %s: gob is read by Go alone, and others run this task: json is read by every Celery worker", t.model.Func)
		c.relateInherited(d, t, "serializer")
	}
	if o.Serializer == "" {
		o.Serializer = externSerializer
	}
	if o.Queue == "" && (o.Exchange != "" || o.RoutingKey == "") {
		o.Queue = externQueue
	}
	first := map[string]*model.Param{}
	for _, p := range t.model.Params {
		if p.Variadic && o.Args == "positional" {
			c.errorf(t.decl.Name.Pos(), "task %s: %s is variadic, and would travel by position as one list: make it a slice", t.model.Func, p.Name)
		}
		if p.Wire = o.Params[p.Name]; p.Wire == "" {
			p.Wire = p.Name
			if o.Args != "go" {
				p.Wire = names.Snake(p.Name)
			}
		}
		if other := first[p.Wire]; other != nil {
			c.errorf(t.decl.Name.Pos(), "task %s: parameters %s and %s would both be called %s: name one of them with //task:params", t.model.Func, other.Name, p.Name, p.Wire)
		}
		first[p.Wire] = p
	}
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		if argument(t, name) == nil && !slices.Contains(t.faulty, name) {
			c.errorf(t.where("params"), "task %s: params names %s, which is no parameter of it that travels%s", t.model.Func, name, among(arguments(t)))
		}
	}
	c.onTheWire(t)
}

// onTheWire turns the names of parameters in options into those of messages.
func (c *checker) onTheWire(t *task) {
	o := &t.model.Options
	for i, name := range o.Secret {
		o.Secret[i] = argument(t, name).Wire
	}
	params, _ := directive.RoutingParams(o.RoutingKey)
	for _, name := range params {
		if p := argument(t, name); p != nil {
			o.RoutingKey = strings.ReplaceAll(o.RoutingKey, "{"+name+"}", "{"+p.Wire+"}")
		}
	}
}
