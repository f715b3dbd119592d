package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// external loads packages that are not ours to read, in one go. It returns what
// could be had and the reasons for the rest.
func (w *Workspace) external(ctx context.Context, root string, paths map[string]bool) (map[string]*types.Package, map[string]error, error) {
	found, failed := map[string]*types.Package{}, map[string]error{}
	var patterns []string
	for path := range paths {
		if path == "" || path[0] == '-' || path[0] == '.' || strings.Contains(path, "...") || strings.ContainsAny(path, "=@ ") {
			failed[path] = errors.New("invalid import path")
			continue
		}
		patterns = append(patterns, path)
	}
	if len(patterns) == 0 {
		return found, failed, nil
	}
	slices.Sort(patterns)
	// Export data is quickest by far, unless the compiler has to make it
	// first: for a heavy package in a cold build cache that takes minutes. Then
	// reading the source, without function bodies, takes seconds.
	mode := packages.NeedName | packages.NeedImports | packages.NeedTypes | packages.NeedModule
	if !w.compiled(ctx, root, patterns) {
		mode |= packages.NeedDeps | packages.NeedSyntax | packages.NeedFiles | packages.NeedCompiledGoFiles
	}
	loaded, err := packages.Load(&packages.Config{
		Context: ctx, Mode: mode, Dir: root, Env: w.env.vars, BuildFlags: w.env.buildFlags(),
		Fset: w.fset, ParseFile: parseHollow,
	}, patterns...)
	if err != nil {
		return nil, nil, fmt.Errorf("load the packages that task signatures mention: %w", err)
	}
	for _, p := range loaded {
		if p.Types == nil || p.Name == "" || len(p.Types.Scope().Names()) == 0 && len(p.Errors) > 0 {
			failed[p.PkgPath] = reason(p.Errors)
			continue
		}
		found[p.PkgPath] = p.Types
	}
	return found, failed, nil
}

func reason(errs []packages.Error) error {
	if len(errs) == 0 {
		return errors.New("not found")
	}
	text, _, _ := strings.Cut(errs[0].Msg, "\n")
	return errors.New(text)
}

// parseHollow parses a file without its function bodies.
func parseHollow(fset *token.FileSet, filename string, src []byte) (*ast.File, error) {
	f, err := parser.ParseFile(fset, filename, src, parser.SkipObjectResolution)
	if f != nil {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				fn.Body = nil
			}
		}
	}
	return f, err
}

// compiled says whether the build cache has export data for all packages. The
// question builds nothing.
func (w *Workspace) compiled(ctx context.Context, root string, paths []string) bool {
	args := append([]string{"list", "-e", "-json=ImportPath,Stale"}, w.env.buildFlags()...)
	cmd := exec.CommandContext(ctx, "go", append(append(args, "--"), paths...)...)
	cmd.Dir, cmd.Env = root, append(slices.Clip(w.env.vars), "PWD="+root)
	out, err := cmd.Output()
	if err != nil {
		return false
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Stale      bool
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return true
		} else if err != nil || p.Stale {
			return false
		}
	}
}
