// Package load finds annotated packages and learns the types in the signatures
// of their tasks, and nothing else: code that doesn't compile yet, or
// depends on what is about to be generated, does not disturb it.
//
// Packages are read as syntax. From it a slice is cut: the signatures of the
// tasks and the types that they lead to, through all packages, without function
// bodies and whatever else makes no difference to how a value travels. The go
// command is asked once where the packages are that are not in the module, its
// workspace or its vendor directory; it compiles nothing. Only the slice
// is type-checked. So a cold build cache, a heavy dependency and a dependency's
// export data in a new format cost nothing; what the alternatives cost is in docs/architecture.md.
package load

import (
	"fmt"
	"go/build"
	"go/token"
	"path/filepath"
	"slices"
	"sync"

	"github.com/taskgen/taskgen/internal/cache"
)

// Config says where and how to read.
type Config struct {
	Dir  string   // that patterns are relative to; "" is the working directory
	Tags []string // build tags
	Env  []string // as os.Environ; nil is the process's own
}

// Workspace is a view of source code. It assumes that the code doesn't change
// while it exists.
type Workspace struct {
	dir    string
	env    *environment
	build  build.Context
	fset   *token.FileSet
	reader *cache.Reader

	mu      sync.Mutex
	modules map[string]*module
	sources map[string]*Source
}

// New returns a workspace.
func New(config Config) (*Workspace, error) {
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, err
	}
	// The go command and the import paths go by real directories.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	env := newEnvironment(config.Env, config.Tags)
	return &Workspace{
		dir: dir, env: env, build: env.buildContext(),
		fset: token.NewFileSet(), reader: cache.NewReader(),
		modules: map[string]*module{}, sources: map[string]*Source{},
	}, nil
}

// Fset holds the positions of everything read.
func (w *Workspace) Fset() *token.FileSet { return w.fset }

// Position is where pos is in the files as they are, whatever //line comments say.
func (w *Workspace) Position(pos token.Pos) token.Position { return w.fset.PositionFor(pos, false) }

// Package reads the package in a directory that Find returned.
func (w *Workspace) Package(dir string) (*Source, error) {
	m, err := w.module(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	path, err := m.importPath(dir)
	if err != nil {
		return nil, err
	}
	return w.source(m, path, dir, true)
}

// module returns the module around a directory.
func (w *Workspace) module(dir string) (*module, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.modules {
		if m.dir == dir {
			return m, nil
		}
	}
	if m := w.modules[dir]; m != nil {
		return m, nil
	}
	m, err := newModule(dir, w.env, w.reader)
	if err != nil {
		return nil, err
	}
	// One value for each module, but the inputs of each directory: a go.mod in
	// between would change everything.
	w.modules[dir] = m
	return m, nil
}

// source returns the package in a directory. The first caller decides about all.
func (w *Workspace) source(m *module, path, dir string, all bool) (*Source, error) {
	key := m.dir + "\x00" + dir
	if s := w.sources[key]; s != nil {
		return s, nil
	}
	s, err := w.readSource(m, path, dir, all)
	if err != nil {
		return nil, err
	}
	w.sources[key] = s
	return s, nil
}

// Cache returns the cache in dir for values that depend on what this workspace reads and
// on nothing else. nil if something is in play that hashes of files can't tell.
func (w *Workspace) Cache(dir string) *cache.Cache {
	if dir == "" {
		return nil
	}
	text, ok := w.env.identity()
	if !ok {
		return nil
	}
	executable, err := cache.Executable()
	if err != nil {
		return nil
	}
	return cache.Open(dir, executable+"\n"+text, w.reader)
}

// Inputs are all files that had a part in the types of a package that was in a
// call of Types, its own included.
func (w *Workspace) Inputs(s *Source) cache.Inputs {
	in := cache.Inputs{}
	seen := map[*Source]bool{}
	var visit func(*Source)
	visit = func(s *Source) {
		if seen[s] {
			return
		}
		seen[s] = true
		in.Add(s.inputs)
		in.Add(s.module.inputs)
		for _, imported := range s.imports {
			if imported != nil {
				visit(imported)
			}
		}
	}
	visit(s)
	slices.Sort(in.Files)
	in.Files = slices.Compact(in.Files)
	slices.Sort(in.Dirs)
	in.Dirs = slices.Compact(in.Dirs)
	return in
}
