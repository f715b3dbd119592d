package gen

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgen/taskgen/internal/diag"
)

// look reads what the user has put into the directory.
func (w *workerCommand) look(diagnostics *diag.List) error {
	w.taken = map[string]token.Position{}
	var setupFile token.Position
	entries, err := os.ReadDir(w.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == mainName || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		fset := token.NewFileSet()
		// Half a file is as good as a whole one: the compiler has its say later.
		file, err := parser.ParseFile(fset, filepath.Join(w.dir, name), nil, parser.SkipObjectResolution)
		if file == nil {
			return err
		}
		if file.Name.Name != "main" {
			diagnostics.Errorf(fset.Position(file.Name.Pos()), "the worker's directory holds a package %s, and must hold package main: choose another one with -o", file.Name.Name)
			return nil
		}
		if name == setupName {
			setupFile = fset.Position(file.Package)
		}
		w.declare(fset, file)
	}
	for _, name := range []string{"main", "registry"} {
		if pos, ok := w.taken[name]; ok {
			diagnostics.Errorf(pos, "%s is declared here and in the worker's generated %s: rename it", name, mainName)
		}
	}
	if setupFile.IsValid() && !w.setup && w.hasStructs() {
		diagnostics.Errorf(setupFile, "the worker needs a func setup(ctx context.Context, run worker.Run) error: declare it here, or remove this file and a new one is written")
	}
	return nil
}

// declare adds what file declares.
func (w *workerCommand) declare(fset *token.FileSet, file *ast.File) {
	take := func(id *ast.Ident) { w.taken[id.Name] = fset.Position(id.Pos()) }
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				take(decl.Name)
				w.setup = w.setup || decl.Name.Name == "setup"
				w.register = w.register || decl.Name.Name == "register"
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					take(spec.Name)
				case *ast.ValueSpec:
					for _, id := range spec.Names {
						take(id)
					}
				}
			}
		}
	}
}
