// Package emit turns the model of a package into the source of its
// tasks_gen.go. What it writes holds names, types and values; all behaviour is
// in the runtime.
package emit

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"

	"github.com/dave/jennifer/jen"
	"golang.org/x/tools/imports"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// The packages that generated code is made of.
const (
	contextPath = "context"
	timePath    = "time"
	codecPath   = "github.com/taskgen/taskgen/runtime/codec"
	taskPath    = "github.com/taskgen/taskgen/runtime/task"
)

// file is one tasks_gen.go in the making.
type file struct {
	*jen.File
	pkg      *model.Package
	scope    *names.Scope // the package block and the imports
	tasks    []*task
	register string
}

// task is a task and the names of what is generated for it.
type task struct {
	*model.Task
	typ, args string
	fields    map[*model.Param]string
}

// File returns the source of p's tasks_gen.go. An error is either a name that p
// must give up, or a fault of this package.
func File(p *model.Package) ([]byte, error) {
	for _, name := range predeclared(p) {
		if p.Taken[name] {
			return nil, fmt.Errorf("package %s declares its own %s, and the code of tasks needs the predeclared one: rename it", p.Path, name)
		}
	}
	f, err := newFile(p)
	if err != nil {
		return nil, err
	}
	f.handshake()
	for _, t := range f.tasks {
		f.variable(t)
		f.taskType(t)
		f.argsType(t)
		f.visit(t)
		f.delay(t)
		f.with(t)
		if t.retries() {
			f.retry(t)
		}
	}
	if p.Runs() {
		f.registerFunc()
	}
	return f.source()
}

// Register is the name of the function that makes p's tasks known to a
// registry: RegisterTasks unless p has something else of that name.
func Register(p *model.Package) (string, error) {
	f, err := newFile(p)
	if err != nil {
		return "", err
	}
	return f.register, nil
}

// predeclared are the predeclared identifiers that the code of p's tasks uses,
// apart from those in types.
func predeclared(p *model.Package) []string {
	needed := []string{"error", "new", "nil", "true"}
	for _, t := range p.Tasks {
		if len(t.Options.Secret) > 0 {
			return append(needed, "string")
		}
	}
	return needed
}

// newFile settles all names at package level.
func newFile(p *model.Package) (*file, error) {
	f := &file{
		File:  jen.NewFilePathName(p.Path, p.Name),
		pkg:   p,
		scope: names.New(),
	}
	for name := range p.Taken {
		f.scope.Take(name)
	}
	for _, t := range p.Tasks {
		if f.scope.Has(t.Stub) {
			return nil, fmt.Errorf("%s: task %s: %s is declared already in package %s", t.Pos, t.Func, t.Stub, p.Path)
		}
		f.scope.Take(t.Stub)
	}
	f.register = f.scope.Fresh("RegisterTasks")
	for _, t := range p.Tasks {
		named := &task{Task: t, fields: map[*model.Param]string{}}
		named.typ = f.scope.Fresh(t.Stub + "Task")
		named.args = f.scope.Fresh(t.Stub + "Args")
		fields := names.New()
		fields.Take("Visit") // the method
		for _, param := range named.arguments() {
			named.fields[param] = fields.Fresh(param.Field)
		}
		f.tasks = append(f.tasks, named)
	}
	f.nameImports()
	return f, nil
}

// nameImports gives each package that the file may use a name that nothing else
// at package level has.
func (f *file) nameImports() {
	packages := map[string]string{contextPath: "context", timePath: "time", codecPath: "codec", taskPath: "task"}
	var others []string
	for importPath, name := range f.pkg.Imports {
		if packages[importPath] == "" && importPath != f.pkg.Path {
			packages[importPath] = name
			others = append(others, importPath)
		}
	}
	// Ours first: everybody knows them by their own names.
	slices.Sort(others)
	for _, importPath := range append([]string{contextPath, timePath, codecPath, taskPath}, others...) {
		name := packages[importPath]
		if fresh := f.scope.Fresh(name); fresh == assumedName(importPath) {
			f.ImportName(importPath, fresh)
		} else {
			f.ImportAlias(importPath, fresh)
		}
	}
}

var version = regexp.MustCompile(`^v[0-9]+$`)

// assumedName is the package name that a reader expects behind an import path.
func assumedName(importPath string) string {
	dir, base := path.Split(importPath)
	if version.MatchString(base) && dir != "" {
		base = path.Base(dir)
	}
	return base
}

// source renders the file, its imports in groups, and makes sure that it is
// what it was meant to be.
func (f *file) source() ([]byte, error) {
	f.HeaderComment(model.Header)
	var raw bytes.Buffer
	if err := f.Render(&raw); err != nil {
		return nil, fmt.Errorf("internal error: the code for package %s does not parse; please report this with the declarations of its tasks", f.pkg.Path)
	}
	src, err := imports.Process(model.FileName, raw.Bytes(), &imports.Options{FormatOnly: true, Comments: true, TabIndent: true, TabWidth: 8})
	if err != nil {
		return nil, fmt.Errorf("internal error: the code for package %s cannot be formatted: %w", f.pkg.Path, err)
	}
	if err := f.verify(src); err != nil {
		return nil, fmt.Errorf("internal error: the code for package %s is not what it should be; please report this with the declarations of its tasks: %w", f.pkg.Path, err)
	}
	return src, nil
}
