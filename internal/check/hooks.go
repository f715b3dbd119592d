package check

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/taskgen/taskgen/internal/load"
)

// hookNames are the methods that the runtime looks for in a struct whose methods are tasks.
var hookNames = []string{"OnSuccess", "OnRetry", "OnFailure", "AfterReturn"}

// attemptType is what a hook is told of.
const attemptType = "github.com/taskgen/taskgen/runtime/task.Attempt"

// hooks are the methods of a struct with the names of hooks, its own and promoted ones.
type hooks struct {
	found []hook
	// hidden: there may be others, in a type whose source is not at hand.
	hidden bool
}

// any says whether the runtime has to look for hooks.
func (h *hooks) any() bool { return h.hidden || len(h.found) > 0 }

// hook is one such method, and the type that declares it.
type hook struct {
	load.Func
	source *load.Source
	owner  string
}

// findHooks looks for hooks in a struct and, level by level, in what it embeds: the
// least deep one counts, as in Go, and of two on one level none.
func (c *checker) findHooks(name string) *hooks {
	h := &hooks{}
	decided := map[string]bool{}
	seen := map[declared]bool{}
	level := []embedded{{c.source, nil, ast.NewIdent(name)}}
	for len(level) > 0 && !h.hidden {
		l := &hookLevel{c: c, seen: seen, methods: map[string][]hook{}, fields: map[string]bool{}}
		for _, e := range level {
			l.look(e, "", true)
		}
		for _, name := range hookNames {
			if decided[name] {
				continue
			}
			decided[name] = l.fields[name] || len(l.methods[name]) > 0
			if len(l.methods[name]) == 1 && !l.fields[name] {
				h.found = append(h.found, l.methods[name]...)
			}
		}
		h.hidden, level = l.hidden, l.embedded
	}
	return h
}

// declared is a type by its name.
type declared struct {
	source *load.Source
	name   string
}

// embedded is a type as it is written somewhere.
type embedded struct {
	source *load.Source
	file   *load.File
	expr   ast.Expr
}

// hookLevel is one depth of embedding: what has the name of a hook there, and what is embedded.
type hookLevel struct {
	c        *checker
	seen     map[declared]bool
	methods  map[string][]hook
	fields   map[string]bool
	embedded []embedded
	hidden   bool
}

// look takes what a type expression has. owner is the type that it defines. A type that is only the definition of another one
// does not give it its methods, except for those of an interface.
func (l *hookLevel) look(at embedded, owner string, methods bool) {
	switch e := at.expr.(type) {
	case *ast.ParenExpr:
		l.look(embedded{at.source, at.file, e.X}, owner, methods)
	case *ast.StarExpr:
		l.look(embedded{at.source, at.file, e.X}, owner, methods)
	case *ast.IndexExpr:
		l.look(embedded{at.source, at.file, e.X}, owner, methods)
	case *ast.IndexListExpr:
		l.look(embedded{at.source, at.file, e.X}, owner, methods)
	case *ast.Ident:
		l.named(declared{at.source, e.Name}, methods)
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		if !ok {
			return
		}
		if imported := l.c.w.Imported(at.source, at.file, x.Name); imported != nil {
			l.named(declared{imported, e.Sel.Name}, methods)
		} else if !at.file.Standard(x.Name) { // whose types have no such methods
			l.hidden = true
		}
	case *ast.StructType:
		l.structure(at, e)
	case *ast.InterfaceType:
		l.iface(at, e, owner)
	}
}

// named takes what a declared type has.
func (l *hookLevel) named(d declared, methods bool) {
	if l.seen[d] {
		return
	}
	l.seen[d] = true
	spec, file := d.source.TypeSpec(d.name)
	switch {
	case spec == nil:
		// Else it may come from a dot import.
		l.hidden = l.hidden || types.Universe.Lookup(d.name) == nil
		return
	case spec.TypeParams != nil:
		l.hidden = true // the signature of a method may mention them
		return
	}
	if alias := spec.Assign.IsValid(); !alias && methods {
		for _, name := range hookNames {
			if f, ok := d.source.Method(d.name, name); ok {
				l.methods[name] = append(l.methods[name], hook{f, d.source, d.name})
			}
		}
		methods = false
	}
	l.look(embedded{d.source, file, spec.Type}, d.name, methods)
}

func (l *hookLevel) structure(at embedded, t *ast.StructType) {
	for _, field := range t.Fields.List {
		for _, name := range field.Names {
			l.fields[name.Name] = true
		}
		if len(field.Names) == 0 {
			l.embedded = append(l.embedded, embedded{at.source, at.file, field.Type})
		}
	}
}

func (l *hookLevel) iface(at embedded, t *ast.InterfaceType, owner string) {
	for _, m := range t.Methods.List {
		signature, ok := m.Type.(*ast.FuncType)
		if !ok {
			l.look(embedded{at.source, at.file, m.Type}, owner, true)
			continue
		}
		for _, name := range m.Names {
			f := load.Func{File: at.file, Decl: &ast.FuncDecl{Name: name, Type: signature}}
			l.methods[name.Name] = append(l.methods[name.Name], hook{f, at.source, owner})
		}
	}
}

// hookAt returns the hook whose signature spans pos.
func (c *checker) hookAt(pos token.Pos) string {
	for _, s := range c.structs {
		for _, h := range s.found {
			if h.Decl.Type.Pos() <= pos && pos < h.Decl.Type.End() {
				return h.owner + "." + h.Decl.Name.Name
			}
		}
	}
	return ""
}

// checkHooks reports what has the name of a hook of a struct and is none: the worker would not start.
func (c *checker) checkHooks(structName string, signatures map[*ast.FuncDecl]*types.Signature) {
	for _, h := range c.structs[structName].found {
		sig := signatures[h.Decl]
		if sig == nil || isHook(sig) || strings.Contains(types.TypeString(sig, nil), "invalid type") {
			continue // what is wrong with a type has been said
		}
		name := h.Decl.Name.Name
		receiver := ""
		if h.Decl.Recv != nil && len(h.Decl.Recv.List) > 0 {
			recv := h.Decl.Recv.List[0]
			receiver = "func (" + types.ExprString(recv.Type) + ") "
			if len(recv.Names) > 0 {
				receiver = "func (" + recv.Names[0].Name + " " + types.ExprString(recv.Type) + ") "
			}
		}
		d := c.errorf(h.Decl.Name.Pos(), "%s.%s would be the hook of tasks, which is %s%s(ctx context.Context, a *task.Attempt): write it so, or give it another name",
			h.owner, name, receiver, name)
		if spec, _ := c.source.TypeSpec(structName); h.owner != structName && spec != nil {
			d.Relatef(c.w.Position(spec.Name.Pos()), "methods of %s, which has it by embedding, are tasks", structName)
		}
	}
}

func isHook(sig *types.Signature) bool {
	if sig.Params().Len() != 2 || sig.Results().Len() > 0 || sig.Variadic() {
		return false
	}
	attempt, ok := types.Unalias(sig.Params().At(1).Type()).(*types.Pointer)
	return ok && named(sig.Params().At(0).Type()) == contextType && named(attempt.Elem()) == attemptType
}
