package check

import (
	"go/ast"
	"go/token"
	"slices"

	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/directive"
	"github.com/taskgen/taskgen/internal/load"
	"github.com/taskgen/taskgen/internal/model"
)

// inherited is the directives of an abstract type.
type inherited struct {
	name string
	set  directive.Set
}

// options settles a task's options: those of the structs that its receiver
// embeds, of the receiver, and its own, each overriding the ones before.
func (c *checker) options(t *task) {
	o := &t.model.Options
	if t.model.Struct != "" {
		t.inherited = c.ancestors(c.source, c.types, t.model.Struct, nil)
	}
	for _, from := range t.inherited {
		from.set.Apply(o)
	}
	t.set.Apply(o)
	c.secrets(t)
	c.destination(t)
	c.routingKey(t)
}

// ancestors returns the directives that methods of a struct inherit, the most distant
// first. Of two embedded structs the first one wins.
func (c *checker) ancestors(source *load.Source, annotated map[string]directive.Set, name string, seen []string) []inherited {
	key := source.Path + "." + name
	spec, file := source.TypeSpec(name)
	if spec == nil || slices.Contains(seen, key) {
		return nil
	}
	seen = append(seen, key)
	var list []inherited
	switch t := spec.Type.(type) {
	case *ast.Ident: // type A B, type A = B
		list = c.ancestors(source, annotated, t.Name, seen)
	case *ast.SelectorExpr:
		list = c.foreign(source, file, t, seen)
	case *ast.StructType:
		for _, field := range slices.Backward(t.Fields.List) {
			if len(field.Names) > 0 {
				continue
			}
			embedded := field.Type
			if star, ok := embedded.(*ast.StarExpr); ok {
				embedded = star.X
			}
			switch e := embedded.(type) {
			case *ast.Ident:
				list = append(list, c.ancestors(source, annotated, e.Name, seen)...)
			case *ast.SelectorExpr:
				list = append(list, c.foreign(source, file, e, seen)...)
			}
		}
	}
	if set := annotated[name]; set.Get("abstract") != nil {
		list = append(list, inherited{name, set})
	}
	return list
}

// foreign follows a struct of another package whose source is at hand.
func (c *checker) foreign(source *load.Source, file *load.File, e *ast.SelectorExpr, seen []string) []inherited {
	qualifier, ok := e.X.(*ast.Ident)
	if !ok {
		return nil
	}
	imported := c.w.Imported(source, file, qualifier.Name)
	if imported == nil {
		return nil
	}
	annotated := map[string]directive.Set{}
	for _, f := range imported.Files {
		_, found := directive.Extract(c.w.Fset(), f.AST, new(diag.List)) // mistakes are reported where they are checked
		for _, t := range found {
			annotated[t.Spec.Name.Name] = t.Set
		}
	}
	return c.ancestors(imported, annotated, e.Sel.Name, seen)
}

// argument returns the argument of a name.
func argument(t *task, name string) *model.Param {
	for _, p := range t.model.Params {
		if p.Name == name && p.Injected == model.Argument {
			return p
		}
	}
	return nil
}

func arguments(t *task) []string {
	var names []string
	for _, p := range t.model.Params {
		if p.Injected == model.Argument {
			names = append(names, p.Name)
		}
	}
	return names
}

// secrets checks the names of secret parameters. A list that was inherited
// holds for those parameters that the method has.
func (c *checker) secrets(t *task) {
	var known []string
	own := t.set.Get("secret")
	for _, name := range t.model.Options.Secret {
		switch {
		case slices.Contains(t.faulty, name):
		case argument(t, name) != nil:
			known = append(known, name)
		case own != nil:
			c.errorf(own.Pos, "task %s: secret names %s, which is no parameter of it that travels%s", t.model.Func, name, among(arguments(t)))
		}
	}
	t.model.Options.Secret = known
}

func among(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ": those are " + quote(names)
}

// source returns the directive that decides about a key, and the type that it is inherited from.
func (t *task) source(key string) (d *directive.Directive, from string) {
	if d := t.set.Get(key); d != nil {
		return d, ""
	}
	for _, from := range slices.Backward(t.inherited) {
		if d := from.set.Get(key); d != nil {
			return d, from.name
		}
	}
	return nil, ""
}

// where is the place of an error about directives of a task: the last of its own, or else the function.
func (t *task) where(keys ...string) token.Pos {
	pos := token.NoPos
	for _, key := range keys {
		if own := t.set.Get(key); own != nil {
			pos = max(pos, own.Pos)
		}
	}
	if pos == token.NoPos {
		return t.decl.Name.Pos()
	}
	return pos
}

// relateInherited names the place where a task has a directive from, unless it is its own.
func (c *checker) relateInherited(d *diag.Diagnostic, t *task, key string) {
	if source, from := t.source(key); source != nil && from != "" {
		d.Relatef(c.w.Position(source.Pos), "%s is inherited from %s", key, from)
	}
}

// destination checks that what says where messages go fits together.
func (c *checker) destination(t *task) {
	o := &t.model.Options
	if o.Exchange != "" {
		if o.Immediate {
			d := c.errorf(t.where("exchange", "immediate"), "task %s: immediate and exchange don't go together, as an immediate task goes to a worker of one queue: remove one of them", t.model.Func)
			c.relateInherited(d, t, "exchange")
			c.relateInherited(d, t, "immediate")
		}
		return
	}
	if o.ExchangeType != "" {
		d := c.errorf(t.where("exchange_type"), "task %s: exchange_type %s needs an exchange to be the type of: add //task:exchange NAME", t.model.Func, o.ExchangeType)
		c.relateInherited(d, t, "exchange_type")
	}
	if o.Queue != "" && o.RoutingKey != "" {
		d := c.errorf(t.where("queue", "routing_key"), "task %s: queue %s and routing_key %s both name the queue, as there is no exchange: remove one of them, or add //task:exchange NAME", t.model.Func, o.Queue, o.RoutingKey)
		c.relateInherited(d, t, "queue")
		c.relateInherited(d, t, "routing_key")
	}
}

// routingKey checks what a routing key refers to.
func (c *checker) routingKey(t *task) {
	names, _ := directive.RoutingParams(t.model.Options.RoutingKey)
	pos := t.where("routing_key")
	for _, name := range names {
		var d *diag.Diagnostic
		switch p := argument(t, name); {
		case slices.Contains(t.faulty, name):
			continue
		case p == nil:
			d = c.errorf(pos, "task %s: routing_key refers to {%s}, which is no parameter of it that travels%s", t.model.Func, name, among(arguments(t)))
		case !scalar(p):
			d = c.errorf(pos, "task %s: routing_key refers to {%s}, which must be text, a number or a boolean", t.model.Func, name)
		default:
			continue
		}
		c.relateInherited(d, t, "routing_key")
	}
}

func scalar(p *model.Param) bool {
	switch p.Type.Kind {
	case model.Bool, model.Int, model.Uint, model.Float, model.String:
		return true
	}
	return false
}
