package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// listed is what the go command says of a package: where its files are.
type listed struct {
	ImportPath, Dir, Name string
	GoFiles, CgoFiles     []string
	// ImportMap leads from a path in an import to the package's real one, where
	// they differ: what the standard library vendors.
	ImportMap map[string]string
	Error     *struct{ Err string }
}

// list finds packages outside of the source at hand, and all that they import. It
// compiles nothing, so a cold build cache makes little difference.
func (w *Workspace) list(ctx context.Context, root string, paths map[string]bool) (map[string]*listed, error) {
	found := map[string]*listed{}
	var patterns []string
	for path := range paths {
		if path == "" || path[0] == '-' || path[0] == '.' || strings.Contains(path, "...") || strings.ContainsAny(path, "=@ ") {
			continue // not what an import can mean, but what a pattern could
		}
		patterns = append(patterns, path)
	}
	if len(patterns) == 0 {
		return found, nil
	}
	slices.Sort(patterns)
	args := append([]string{"list", "-e", "-deps", "-json=ImportPath,Dir,Name,GoFiles,CgoFiles,ImportMap,Error"}, w.env.buildFlags()...)
	out, err := w.goCommand(ctx, root, append(append(args, "--"), patterns...)...)
	if err != nil {
		return nil, fmt.Errorf("find the packages that task signatures mention: %w", err)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		found[p.ImportPath] = p
	}
}

// goCommand returns what the go command writes, run in dir.
func (w *Workspace) goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clip(w.env.vars), "PWD="+dir)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", args[0], err)
	}
	return out, nil
}

// reason is why a package can't be had.
func (l *listed) reason() error {
	if l == nil || l.Error == nil {
		return errors.New("not found")
	}
	text, _, _ := strings.Cut(l.Error.Err, "\n")
	return errors.New(text)
}

// external parses a listed package. Its files are no inputs, since their
// content is pinned by go.sum or the toolchain's version.
func (w *Workspace) external(l *listed) *Source {
	if s := w.sources[l.Dir]; s != nil {
		return s
	}
	s := &Source{
		Path: l.ImportPath, Name: l.Name, Dir: l.Dir, importMap: l.ImportMap, foreign: true,
		decls: map[string]*decl{}, methods: map[string][]*method{},
	}
	names := slices.Concat(l.GoFiles, l.CgoFiles)
	files := make([]*File, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			f := &File{Path: filepath.Join(l.Dir, name), AST: &ast.File{Name: ast.NewIdent(l.Name)}}
			files[i] = f
			src, err := os.ReadFile(f.Path)
			if err != nil || !matters(src) {
				return
			}
			if parsed, _ := parser.ParseFile(w.fset, f.Path, src, parser.SkipObjectResolution); parsed != nil {
				f.AST = parsed // as much of it as can be read
			}
		})
	}
	group.Wait()
	s.Files = files
	for _, f := range files {
		s.index(f)
	}
	w.sources[l.Dir] = s
	return s
}

// matters says whether a file can contribute to a slice. Large generated files
// often hold nothing but functions.
func matters(src []byte) bool {
	for _, keyword := range []string{"\ntype", "\nconst", "\nvar"} {
		if bytes.Contains(src, []byte(keyword)) {
			return true
		}
	}
	return slices.ContainsFunc(deciding, func(name string) bool { return bytes.Contains(src, []byte(") "+name+"(")) })
}
