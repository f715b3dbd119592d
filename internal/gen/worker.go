package gen

import (
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
	"github.com/taskgen/taskgen/internal/model"
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
	found, err := check.Packages(ctx, config.check())
	if err != nil {
		return Output{}, err
	}
	out.Diagnostics = found.Diagnostics
	if len(found.Packages) == 0 && !out.Diagnostics.HasErrors() {
		return Output{}, errors.New(noTasks(config))
	}
	w.admit(found.Packages, &out.Diagnostics)
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
	packages        []*model.Package
	// taken are the identifiers that the directory declares outside of main.go.
	taken map[string]token.Position
	setup bool // a func setup is among them
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

// admit keeps the packages that a command can import. That no two tasks have one
// name is seen to already.
func (w *workerCommand) admit(packages []*model.Package, diagnostics *diag.List) {
	for _, p := range packages {
		first := p.Tasks[0].Pos
		switch {
		case p.Name == "main":
			diagnostics.Errorf(first, "the tasks of a main package can't be in a worker, since nothing can import it: move them to a package of their own, such as %s", path.Join(p.Path, "tasks"))
			continue
		case !importable(p.Path, w.path):
			diagnostics.Errorf(first, "package %s is internal, and %s can't import it: write the worker inside of %s, with -o", p.Path, w.path, internalParent(p.Path))
			continue
		}
		for _, name := range p.Structs {
			if !ast.IsExported(name) {
				diagnostics.Errorf(structPos(p, name), "the worker can't make a %s for its tasks, since %s is unexported: export it", name, name)
			}
		}
		w.packages = append(w.packages, p)
	}
}

func (w *workerCommand) hasStructs() bool {
	return slices.ContainsFunc(w.packages, func(p *model.Package) bool { return len(p.Structs) > 0 })
}

// structPos is the position of the first task of a struct.
func structPos(p *model.Package, name string) token.Position {
	for _, t := range p.Tasks {
		if t.Struct == name {
			return t.Pos
		}
	}
	return token.Position{}
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
