package load

import (
	"errors"
	"fmt"
	"go/build/constraint"
	"go/version"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/taskgen/taskgen/internal/cache"
)

// module is a main module and what its go.mod, or the go.work around it, says
// about where source code lies.
type module struct {
	path, dir string
	goVersion string
	// root is the directory of the go.work file, or else dir: where the go
	// command sees the same packages from.
	root string
	// locals are the modules whose source is not pinned by a checksum: this
	// one, those of the workspace, and those replaced by a directory.
	locals []local
	// required are the paths of all other modules.
	required []string
	// vendor is the vendor directory, if that is where dependencies come from.
	vendor string
	ignore []string // directories that patterns skip
	// inputs are the files that all of this was read from.
	inputs cache.Inputs
}

type local struct {
	path, dir string
	replaced  bool
}

var errNoModule = errors.New("no go.mod in this directory or above it: run go mod init first")

// newModule finds the module around a directory.
func newModule(dir string, env *environment, reader *cache.Reader) (*module, error) {
	m := &module{}
	read := func(path string) ([]byte, error) {
		m.inputs.Files = append(m.inputs.Files, path)
		return reader.File(path)
	}
	for m.dir = dir; ; m.dir = filepath.Dir(m.dir) {
		name := filepath.Join(m.dir, "go.mod")
		data, err := read(name)
		if errors.Is(err, fs.ErrNotExist) {
			if m.dir == filepath.Dir(m.dir) {
				return nil, errNoModule
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := m.readMod(name, data); err != nil {
			return nil, err
		}
		break
	}
	if _, err := read(filepath.Join(m.dir, "go.sum")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	m.root = m.dir
	if err := m.readWork(env, read); err != nil {
		return nil, err
	}
	m.findVendor(env, read)
	return m, nil
}

// readMod reads the go.mod of the main module.
func (m *module) readMod(name string, data []byte) error {
	f, err := modfile.Parse(name, data, nil)
	if err != nil {
		return err
	}
	if f.Module == nil {
		return fmt.Errorf("%s: no module line", name)
	}
	m.path = f.Module.Mod.Path
	if f.Go != nil {
		m.goVersion = f.Go.Version
		if need := "go" + f.Go.Version; version.IsValid(need) && version.Compare(version.Lang(need), version.Lang(runtime.Version())) > 0 {
			return fmt.Errorf("%s:%d: taskgen was built with %s, this module needs %s: run it as go tool taskgen, or install it again", name, f.Go.Syntax.Start.Line, runtime.Version(), need)
		}
	}
	for _, ignore := range f.Ignore {
		m.ignore = append(m.ignore, filepath.FromSlash(path.Clean(ignore.Path)))
	}
	m.locals = append(m.locals, local{path: m.path, dir: m.dir})
	m.readRequires(f)
	m.readReplaces(f.Replace, m.dir)
	return nil
}

func (m *module) readRequires(f *modfile.File) {
	for _, r := range f.Require {
		m.required = append(m.required, r.Mod.Path)
	}
}

func (m *module) readReplaces(replaces []*modfile.Replace, dir string) {
	for _, r := range replaces {
		if r.New.Version == "" { // a directory
			target := filepath.FromSlash(r.New.Path)
			if !filepath.IsAbs(target) {
				target = filepath.Join(dir, target)
			}
			m.locals = append(m.locals, local{r.Old.Path, target, true})
		}
	}
}

// readWork adds the modules of the workspace, if there is one and m is in it.
func (m *module) readWork(env *environment, read func(string) ([]byte, error)) error {
	name := env.get("GOWORK")
	if name == "off" {
		return nil
	}
	for dir := m.dir; name == ""; dir = filepath.Dir(dir) {
		if _, err := read(filepath.Join(dir, "go.work")); err == nil {
			name = filepath.Join(dir, "go.work")
		} else if dir == filepath.Dir(dir) {
			return nil
		}
	}
	data, err := read(name)
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork(name, data, nil)
	if err != nil {
		return err
	}
	_, _ = read(name + ".sum")
	root := filepath.Dir(name)
	var uses []string
	for _, use := range work.Use {
		dir := filepath.FromSlash(use.Path)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(root, dir)
		}
		uses = append(uses, dir)
	}
	if !slices.Contains(uses, m.dir) {
		return nil // the go command says so itself when it is asked for a package
	}
	m.root = root
	for _, dir := range uses {
		if dir == m.dir {
			continue
		}
		name := filepath.Join(dir, "go.mod")
		data, err := read(name)
		if err != nil {
			return err
		}
		f, err := modfile.Parse(name, data, nil)
		if err != nil {
			return err
		}
		if f.Module != nil {
			m.locals = append(m.locals, local{path: f.Module.Mod.Path, dir: dir})
		}
		m.readRequires(f)
		m.readReplaces(f.Replace, dir)
	}
	m.readReplaces(work.Replace, root)
	return nil
}

// findVendor decides as the go command does whether vendor is in use. Replaced
// modules are vendored too, so they are local no more.
func (m *module) findVendor(env *environment, read func(string) ([]byte, error)) {
	if mode := env.flag("mod"); mode == "mod" || mode == "readonly" {
		return
	}
	dir := filepath.Join(m.root, "vendor")
	if _, err := read(filepath.Join(dir, "modules.txt")); err != nil {
		return
	}
	m.vendor = dir
	m.locals = slices.DeleteFunc(m.locals, func(l local) bool {
		return l.replaced
	})
}

// owner returns the module that a package belongs to by its path: one without directory if its source is
// not at hand, and none if nothing is known of it.
func (m *module) owner(importPath string) (best local) {
	for _, l := range m.locals {
		if under(importPath, l.path) && len(l.path) > len(best.path) {
			best = l
		}
	}
	for _, p := range m.required {
		if under(importPath, p) && len(p) > len(best.path) {
			best = local{path: p}
		}
	}
	return best
}

// sourceDir returns the directory of a package whose source we read ourselves: one of the
// local modules or a vendored one. It returns "" for any other package.
func (m *module) sourceDir(importPath string) string {
	best := m.owner(importPath)
	switch {
	case best.dir != "":
		return filepath.Join(best.dir, filepath.FromSlash(strings.TrimPrefix(importPath, best.path)))
	case best.path != "" && m.vendor != "":
		return filepath.Join(m.vendor, filepath.FromSlash(importPath))
	}
	return ""
}

// importPath is the import path of a directory of this module.
func (m *module) importPath(dir string) (string, error) {
	rel, err := filepath.Rel(m.dir, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is outside of module %s", dir, m.path)
	}
	return path.Join(m.path, filepath.ToSlash(rel)), nil
}

// under says whether a package path belongs to a module or tree path.
func under(importPath, tree string) bool {
	rest, ok := strings.CutPrefix(importPath, tree)
	return ok && (rest == "" || rest[0] == '/')
}

// constraintOf returns the build constraint of a file, for messages.
func constraintOf(src []byte) string {
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		if constraint.IsGoBuild(line) {
			return line
		}
		if strings.HasPrefix(line, "package ") {
			break
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
