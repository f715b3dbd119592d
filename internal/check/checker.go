package check

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/directive"
	"github.com/taskgen/taskgen/internal/load"
	"github.com/taskgen/taskgen/internal/model"
)

// checker checks one package.
type checker struct {
	w      *load.Workspace
	source *load.Source
	diags  diag.List
	tasks  []*task
	types  map[string]directive.Set // of the annotated types
	taken  map[string]token.Pos
	values *values
	// structs are the types whose methods are tasks, as far as they may have hooks.
	structs map[string]*hooks
	// incomplete: some type could not be told, which is an error of its own.
	incomplete bool
	// foreignErrors are type errors in source that is not the user's.
	foreignErrors []load.Error
	// explained: type errors in source of the user's have been reported.
	explained bool
}

// task is a task in the making.
type task struct {
	model *model.Task
	file  *load.File
	decl  *ast.FuncDecl
	set   directive.Set
	// inherited are the directives that are not its own, the nearest ones last.
	inherited []inherited
	// broken: its signature is not worth looking at.
	broken bool
	// faulty are the parameters that have an error already.
	faulty []string
}

func newChecker(w *load.Workspace, source *load.Source) *checker {
	c := &checker{w: w, source: source, types: map[string]directive.Set{}, structs: map[string]*hooks{}, taken: source.Taken()}
	c.values = &values{pkg: source.Path, taken: map[string]bool{}, imports: map[string]string{}, records: map[string]*model.Record{}}
	for name := range c.taken {
		c.values.taken[name] = true
	}
	return c
}

func (c *checker) errorf(pos token.Pos, format string, args ...any) *diag.Diagnostic {
	return c.diags.Errorf(c.w.Position(pos), format, args...)
}

func (c *checker) generatedFile() string { return filepath.Join(c.source.Dir, model.FileName) }

// syntax does everything that needs no types.
func (c *checker) syntax() {
	var funcs, externs []*task
	for _, f := range c.source.Files {
		c.syntaxErrors(f)
		if f.AST.Name.Name != c.source.Name && f.AST.Name.Name != "documentation" && f.AST.Name.Name != "_" {
			c.errorf(f.AST.Name.Pos(), "package %s is in one directory with package %s", f.AST.Name.Name, c.source.Name)
		}
		annotated, annotatedTypes := directive.Extract(c.w.Fset(), f.AST, &c.diags)
		for _, fn := range annotated {
			funcs = append(funcs, &task{file: f, decl: fn.Decl, set: fn.Set})
		}
		for _, t := range annotatedTypes {
			if t.Set.Get("extern") != nil {
				externs = append(externs, c.externs(f, t)...)
				continue
			}
			c.annotatedType(t)
		}
		if filepath.Base(f.Path) == model.FileName && len(annotated)+len(externs) > 0 {
			c.errorf(f.AST.Name.Pos(), "%s is the name of the generated file: rename this one", model.FileName)
		}
	}
	for _, f := range c.source.Left {
		c.leftOut(f)
	}
	for _, t := range funcs {
		c.function(t)
		c.tasks = append(c.tasks, t)
		if name := t.model.Struct; name != "" && c.structs[name] == nil {
			c.structs[name] = c.findHooks(name)
		}
	}
	c.tasks = append(c.tasks, externs...)
	if len(c.tasks) > 0 {
		c.names()
	}
}

// syntaxErrors reports a file that can't be read where a task may be.
func (c *checker) syntaxErrors(f *load.File) {
	if !f.LostDirectives() {
		return
	}
	for _, e := range f.Errors {
		c.diags.Errorf(e.Pos, "syntax error: %s (a //task: directive is near, and what it belongs to can't be read)", e.Msg)
	}
}

// leftOut looks for directives in files that are not built.
func (c *checker) leftOut(f *load.File) {
	var mistakes diag.List
	funcs, annotated := directive.Extract(c.w.Fset(), f.AST, &mistakes)
	if f.Test {
		for _, fn := range funcs {
			c.errorf(fn.Decl.Name.Pos(), "%s can't be a task: it is in a test file, which no worker is built from", fn.Decl.Name.Name)
		}
		for _, t := range annotated {
			c.errorf(t.Spec.Name.Pos(), "%s is in a test file, which no worker is built from: move it", t.Spec.Name.Name)
		}
		return
	}
	why := f.Constraint
	if why == "" {
		why = "its name"
	}
	for _, fn := range funcs {
		c.diags.Warnf(c.w.Position(fn.Decl.Name.Pos()), "%s is no task here: %s keeps the file out of this build (see -tags)", fn.Decl.Name.Name, why)
	}
	for _, t := range annotated {
		if t.Set.Get("extern") != nil {
			c.diags.Warnf(c.w.Position(t.Spec.Name.Pos()), "%s declares no tasks here: %s keeps the file out of this build (see -tags)", t.Spec.Name.Name, why)
		}
	}
}

func (c *checker) annotatedType(t directive.Type) {
	name := t.Spec.Name.Name
	if _, ok := t.Spec.Type.(*ast.InterfaceType); ok {
		if len(t.Set) > 0 {
			c.errorf(t.Spec.Name.Pos(), "directives on an interface need //task:extern beside them: add it if others run the tasks that are the methods of %s", name)
		}
		return
	}
	switch _, isStruct := t.Spec.Type.(*ast.StructType); {
	case !isStruct || t.Spec.Assign.IsValid():
		c.errorf(t.Spec.Name.Pos(), "%s is no struct type: only methods of structs can be tasks", name)
	case t.Set.Get("abstract") == nil && len(t.Set) > 0:
		c.errorf(t.Spec.Name.Pos(), "directives on a type need //task:abstract beside them: add it to make them those of all task methods of %s", name)
	}
	c.types[name] = t.Set
}

// needed are the predeclared identifiers that generated code uses.
var needed = []string{"error", "nil", "new", "true"}

// names checks stubs against each other and against the package.
func (c *checker) names() {
	for _, name := range needed {
		if pos, ok := c.taken[name]; ok {
			c.errorf(pos, "generated code needs Go's own %s, which this declaration hides: rename it", name)
		}
	}
	first := map[string]*task{}
	for _, t := range c.tasks {
		stub := t.model.Stub
		if stub == "" {
			continue
		}
		if other := first[stub]; other != nil {
			c.errorf(t.decl.Name.Pos(), "task %s: its stub would be %s, as that of %s: rename one of them", t.model.Func, stub, other.model.Func).
				Relatef(c.w.Position(other.decl.Name.Pos()), "task %s", other.model.Func)
			continue
		}
		first[stub] = t
		if pos, ok := c.taken[stub]; ok {
			c.errorf(t.decl.Name.Pos(), "task %s: its stub is %s, but the package declares %s already: rename one of them", t.model.Func, stub, stub).
				Relatef(c.w.Position(pos), "%s is declared here", stub)
		}
	}
}

// requests asks for the types of all tasks and hooks.
func (c *checker) requests() []load.Request {
	r := load.Request{Source: c.source}
	for _, t := range c.tasks {
		if !t.broken {
			r.Funcs = append(r.Funcs, load.Func{File: t.file, Decl: t.decl})
		}
	}
	if len(r.Funcs) == 0 {
		return nil
	}
	list := []load.Request{r}
	for _, s := range c.structs {
		for _, h := range s.found {
			list = append(list, load.Request{Source: h.source, Funcs: []load.Func{h.Func}})
		}
	}
	return list
}

// taskAt returns the task whose signature spans pos.
func (c *checker) taskAt(pos token.Pos) *task {
	for _, t := range c.tasks {
		if t.decl.Type.Pos() <= pos && pos < t.decl.Type.End() {
			return t
		}
	}
	return nil
}

// finish makes the package's model out of the types.
func (c *checker) finish(signatures map[*ast.FuncDecl]*types.Signature) *model.Package {
	p := &model.Package{
		Path: c.source.Path, Name: c.source.Name, Dir: c.source.Dir,
		Taken: c.values.taken, Imports: c.values.imports, Records: c.values.records,
	}
	for _, t := range c.tasks {
		if sig := signatures[t.decl]; sig != nil {
			c.signature(t, sig)
			c.options(t)
			if t.model.Extern != "" {
				c.externOptions(t)
			}
		} else {
			c.incomplete = true
		}
		p.Tasks = append(p.Tasks, t.model)
	}
	for _, name := range slices.Sorted(maps.Keys(c.structs)) {
		c.checkHooks(name, signatures)
		p.Structs = append(p.Structs, model.Struct{Name: name, Hooks: c.structs[name].any()})
	}
	return p
}

// quote is a list of names for a message.
func quote(names []string) string { return strings.Join(names, ", ") }
