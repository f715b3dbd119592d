package gen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/load"
)

const (
	mainName  = "main.go"
	setupName = "setup.go"

	toolPath = "github.com/taskgen/taskgen/cmd/taskgen"
)

// Worker returns the command in dir that runs the tasks of the matching
// packages: its main.go, and once, when something has to be set up, a setup.go.
func Worker(ctx context.Context, config Config, dir string) (Output, error) {
	out, err := newOutput(config)
	if err != nil {
		return Output{}, err
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(out.Dir, dir)
	}
	w := &workerCommand{dir: filepath.Clean(dir)}
	if err := w.locate(); err != nil {
		return Output{}, err
	}
	registrations, err := w.find(ctx, config, &out.Diagnostics)
	if err != nil {
		return Output{}, err
	}
	if len(registrations) == 0 && !out.Diagnostics.HasErrors() {
		return Output{}, errors.New(noTasks(config))
	}
	w.admit(registrations, &out.Diagnostics)
	if err := w.look(&out.Diagnostics); err != nil {
		return Output{}, err
	}
	if out.Diagnostics.HasErrors() {
		return out.done(), nil
	}
	if err := w.render(&out, config); err != nil {
		return Output{}, err
	}
	return out.done(), nil
}

// workerCommand is a worker command in the making.
type workerCommand struct {
	dir, root, path string // path is the import path
	tool            bool   // go.mod names taskgen as a tool
	packages        []*registration
	// taken are the identifiers that the directory declares outside of main.go.
	taken map[string]token.Position
	// setup and register are among them, as functions.
	setup, register bool
}

// locate finds the module that the command is in.
func (w *workerCommand) locate() error {
	var err error
	if w.root, err = moduleRoot(w.dir); err != nil {
		return err
	}
	name := filepath.Join(w.root, "go.mod")
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	mod, err := modfile.Parse(name, content, nil)
	if err != nil {
		return err
	}
	if mod.Module == nil {
		return fmt.Errorf("%s: has no module line", name)
	}
	rel, err := filepath.Rel(w.root, w.dir)
	if err != nil {
		return err
	}
	w.path = path.Join(mod.Module.Mod.Path, filepath.ToSlash(rel))
	w.tool = slices.ContainsFunc(mod.Tool, func(t *modfile.Tool) bool { return t.Path == toolPath })
	return nil
}

// find returns the packages of the patterns, by import path.
func (w *workerCommand) find(ctx context.Context, config Config, diagnostics *diag.List) (list []*registration, err error) {
	workspace, err := load.New(load.Config{Dir: config.Dir, Tags: config.Tags, Env: config.Env})
	if err != nil {
		return nil, err
	}
	own := config.check()
	own.Patterns = nil
	var others []string
	for _, pattern := range config.Patterns {
		isOwn, err := workspace.Own(pattern)
		if err != nil {
			return nil, err
		}
		if isOwn {
			own.Patterns = append(own.Patterns, pattern)
		} else {
			others = append(others, pattern)
		}
	}
	var foreign []*registration
	if len(others) > 0 {
		if foreign, err = w.dependencies(ctx, workspace, others, diagnostics); err != nil {
			return nil, err
		}
	}
	if len(own.Patterns) > 0 || len(others) == 0 {
		found, err := check.Packages(ctx, own)
		if err != nil {
			return nil, err
		}
		*diagnostics = append(*diagnostics, found.Diagnostics...)
		for _, p := range found.Packages {
			if !p.Runs() {
				continue
			}
			r, err := newRegistration(p)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
		}
	}
	distinct(foreign, list, diagnostics)
	list = append(list, foreign...)
	slices.SortFunc(list, func(a, b *registration) int { return cmp.Compare(a.path, b.path) })
	return list, nil
}

// admit keeps the packages that a command can import.
func (w *workerCommand) admit(packages []*registration, diagnostics *diag.List) {
	for _, p := range packages {
		first := p.pos
		switch {
		case p.name == "main":
			diagnostics.Errorf(first, "the tasks of a main package can't be in a worker, since nothing can import it: move them to a package of their own, such as %s", path.Join(p.path, "tasks"))
			continue
		case !importable(p.path, w.path):
			diagnostics.Errorf(first, "package %s is internal, and %s can't import it: write the worker inside of %s, with -o", p.path, w.path, internalParent(p.path))
			continue
		}
		for _, s := range p.structs {
			if !ast.IsExported(s.name) {
				diagnostics.Errorf(s.pos, "the worker can't make a %s for its tasks, since %s is unexported: export it", s.name, s.name)
			}
		}
		w.packages = append(w.packages, p)
	}
}

func (w *workerCommand) hasStructs() bool {
	return slices.ContainsFunc(w.packages, func(p *registration) bool { return len(p.structs) > 0 })
}

// importable applies the rule of internal packages.
func importable(imported, importer string) bool {
	parent, internal := cutInternal(imported)
	return !internal || importer == parent || strings.HasPrefix(importer, parent+"/")
}

func internalParent(imported string) string {
	parent, _ := cutInternal(imported)
	return parent
}

// cutInternal is the path above the last element "internal", if there is one.
func cutInternal(imported string) (parent string, internal bool) {
	elements := strings.Split(imported, "/")
	for i, element := range slices.Backward(elements) {
		if element == "internal" {
			return strings.Join(elements[:i], "/"), true
		}
	}
	return "", false
}
