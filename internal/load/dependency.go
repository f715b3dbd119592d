package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// Dependency is a package of another module.
type Dependency struct {
	Path, Name, Dir string
	// Pattern is what it was asked for by.
	Pattern string
	// Err is why it can't be had.
	Err error
}

// Own says whether a pattern means packages of the module at hand or its workspace. Otherwise it
// is for [Workspace.Dependencies].
func (w *Workspace) Own(pattern string) (bool, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(pattern, "..."), "/")
	if base == "" || filepath.IsAbs(filepath.FromSlash(base)) || build.IsLocalImport(filepath.ToSlash(base)) {
		return true, nil
	}
	m, err := w.module(w.dir)
	if err != nil {
		return false, err
	}
	if owner := m.owner(base); owner.path != "" {
		return owner.dir != "" && !owner.replaced, nil
	}
	return standard(base), nil // as a directory without ./ would seem to be
}

// Dependencies finds packages of other modules, wherever the go command has them from: its cache, the vendor
// directory, or a directory that replaces the module.
func (w *Workspace) Dependencies(ctx context.Context, patterns []string) ([]Dependency, error) {
	m, err := w.module(w.dir)
	if err != nil {
		return nil, err
	}
	args := slices.Concat([]string{"list", "-e", "-find", "-json=ImportPath,Dir,Name,Match,Error"}, w.env.buildFlags(), []string{"--"}, patterns)
	out, err := w.goCommand(ctx, m.dir, args...)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", strings.Join(patterns, " "), err)
	}
	var found []Dependency
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			listed
			Match []string
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		d := Dependency{Path: p.ImportPath, Name: p.Name, Dir: p.Dir, Pattern: strings.Join(p.Match, " ")}
		if p.Error != nil {
			d.Err = errors.New(strings.Join(strings.Fields(p.Error.Err), " "))
		}
		found = append(found, d)
	}
}
