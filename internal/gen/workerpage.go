package gen

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"golang.org/x/tools/imports"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
	"github.com/taskgen/taskgen/templates"
)

// The packages that a worker command is made of.
const (
	contextPath = "context"
	taskPath    = "github.com/taskgen/taskgen/runtime/task"
	workerPath  = "github.com/taskgen/taskgen/runtime/worker"
)

// page is what the templates are filled with.
type page struct {
	Header, Command, Generate      string
	Imports, SetupImports          []string
	ContextPkg, TaskPkg, WorkerPkg string
	Registry, Ctx, Run             string
	Setup, More                    bool
	Nils                           string
	Packages                       []*pagePackage
	Structs                        []*pageStruct
}

type pagePackage struct {
	Path, Name, Register string
	Structs              []*pageStruct
}

type pageStruct struct{ Param, Type string }

// render adds the files to out.
func (w *workerCommand) render(out *Output, config Config) error {
	p := w.page(config)
	files := []string{mainName}
	if w.hasStructs() && !w.setup {
		files = append(files, setupName)
	}
	for _, name := range files {
		source, err := p.fill(name)
		if err != nil {
			return fmt.Errorf("internal error: the worker's %s is not Go; please report this with the names of its packages: %w", name, err)
		}
		if err := out.add(filepath.Join(w.dir, name), source); err != nil {
			return err
		}
	}
	return nil
}

func (w *workerCommand) page(config Config) *page {
	scope := names.New()
	scope.Take("main", "registry", "setup")
	for name := range w.taken {
		scope.Take(name)
	}
	p := &page{
		Header:   model.Header,
		Command:  path.Base(w.path),
		Generate: w.generate(config),
		Setup:    w.setup || w.hasStructs(),
		More:     w.register,
	}
	use := func(importPath, name string) (string, string) {
		fresh := scope.Fresh(name)
		if fresh == path.Base(importPath) {
			return fresh, strconv.Quote(importPath)
		}
		return fresh, fresh + " " + strconv.Quote(importPath)
	}
	var taskImport, workerImport, contextImport string
	p.TaskPkg, taskImport = use(taskPath, "task")
	p.WorkerPkg, workerImport = use(workerPath, "worker")
	p.ContextPkg, contextImport = use(contextPath, "context")
	p.Imports = []string{taskImport, workerImport}
	for _, path := range w.links {
		p.Imports = append(p.Imports, "_ "+strconv.Quote(path))
	}
	p.SetupImports = []string{contextImport, workerImport}
	for _, m := range w.packages {
		name, spec := use(m.path, m.name)
		p.Imports = append(p.Imports, spec)
		if len(m.structs) > 0 {
			p.SetupImports = append(p.SetupImports, spec)
		}
		p.Packages = append(p.Packages, &pagePackage{Path: m.path, Name: name, Register: m.register})
	}
	p.nameLocals(scope.Inner(), w.packages)
	return p
}

// nameLocals names what the functions declare, once all packages have names.
func (p *page) nameLocals(scope *names.Scope, packages []*registration) {
	p.Registry, p.Ctx, p.Run = scope.Fresh("r"), scope.Fresh("ctx"), scope.Fresh("run")
	var nils []string
	for i, m := range packages {
		pkg := p.Packages[i]
		for _, s := range m.structs {
			s := &pageStruct{Param: scope.Fresh(pkg.Name + s.name), Type: pkg.Name + "." + s.name}
			pkg.Structs = append(pkg.Structs, s)
			p.Structs = append(p.Structs, s)
			nils = append(nils, "nil")
		}
	}
	p.Nils = strings.Join(nils, ", ")
}

var pages = template.Must(template.ParseFS(templates.Worker, "worker/*.tmpl"))

// fill returns one file, formatted.
func (p *page) fill(name string) ([]byte, error) {
	var raw bytes.Buffer
	if err := pages.ExecuteTemplate(&raw, name+".tmpl", p); err != nil {
		return nil, err
	}
	return imports.Process(name, raw.Bytes(), &imports.Options{FormatOnly: true, Comments: true, TabIndent: true, TabWidth: 8})
}
