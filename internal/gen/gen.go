// Package gen is the generator: it reads packages, and returns the files that
// they need. Nothing is written before [Commit].
package gen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/emit"
	"github.com/taskgen/taskgen/internal/model"
)

// Config says what to generate.
type Config struct {
	// Dir is the directory that relative patterns start from. "" is the working directory.
	Dir string
	// Patterns are directories, trees of directories and import paths, as the
	// go command takes them. None means the package in Dir.
	Patterns []string
	// Tags are additional build tags.
	Tags []string
	// Link are the stores of results that a worker command links: redis, or import paths.
	Link []string
	// Env is the environment, as os.Environ gives it. nil is the process's own.
	Env []string
	// Cache is the directory in which to remember which packages are up to date.
	// "" looks at everything again.
	Cache string
}

// check is the configuration for package check.
func (c Config) check() check.Config {
	return check.Config{Dir: c.Dir, Patterns: c.Patterns, Tags: c.Tags, Env: c.Env, Cache: c.Cache}
}

// Generate returns what the tasks_gen.go files of the matching packages should
// be. The error says why nothing could be read at all.
func Generate(ctx context.Context, config Config) (Output, error) {
	out, err := newOutput(config)
	if err != nil {
		return Output{}, err
	}
	found, err := check.Packages(ctx, config.check())
	if err != nil {
		return Output{}, err
	}
	out.Diagnostics = found.Diagnostics
	if len(found.Packages)+len(found.Orphans)+len(found.Diagnostics) == 0 {
		out.Diagnostics.Warnf(token.Position{}, "%s", noTasks(config))
	}

	sources := map[*model.Package][]byte{}
	for _, p := range found.Packages {
		if found.Fresh(p) {
			continue
		}
		source, err := emit.File(p)
		if err != nil {
			out.Diagnostics.Errorf(p.Tasks[0].Pos, "%v", err)
			continue
		}
		sources[p] = source
		if err := out.add(filepath.Join(p.Dir, model.FileName), source); err != nil {
			return Output{}, err
		}
	}
	for _, path := range found.Orphans {
		if err := out.add(path, nil); err != nil {
			return Output{}, err
		}
	}
	out.remember = func() {
		for p, source := range sources {
			// A cache that can't be written costs time, nothing else.
			_ = found.Remember(p, source)
		}
	}
	return out.done(), nil
}

// noTasks says that there is nothing to do, and how there could be.
func noTasks(config Config) string {
	patterns := config.Patterns
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	return fmt.Sprintf("no task in %s: annotate a function with //task:define, or name other packages", strings.Join(patterns, " "))
}

// newOutput is an output without files.
func newOutput(config Config) (Output, error) {
	dir, err := filepath.Abs(config.Dir)
	return Output{Dir: dir}, err
}

// add adds a file; without content, one that is to be removed.
func (out *Output) add(path string, content []byte) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	root, err := moduleRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	out.Files = append(out.Files, File{Path: path, Root: root, Content: content})
	return nil
}

// done puts the output in order.
func (out Output) done() Output {
	out.Diagnostics.Sort()
	if out.Diagnostics.HasErrors() {
		out.Files, out.remember = nil, nil
	}
	slices.SortFunc(out.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// moduleRoot is the directory of the go.mod that dir belongs to; dir itself need not exist.
func moduleRoot(dir string) (string, error) {
	for root := dir; ; root = filepath.Dir(root) {
		_, err := os.Stat(filepath.Join(root, "go.mod"))
		if err == nil {
			return root, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if root == filepath.Dir(root) {
			return "", errors.New(dir + ": not in a module: run go mod init first")
		}
	}
}
