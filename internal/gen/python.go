package gen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/python"
)

// Python returns the Python module in file with which Celery clients call the tasks of the matching packages.
func Python(ctx context.Context, config Config, file string) (Output, error) {
	out, err := newOutput(config)
	if err != nil {
		return Output{}, err
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(out.Dir, file)
	}
	dir, base := filepath.Split(filepath.Clean(file))
	name, isPython := strings.CutSuffix(base, ".py")
	if !isPython {
		return Output{}, fmt.Errorf("-o %s: a Python module is a file such as tasks.py", base)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Output{}, fmt.Errorf("-o: %s is no directory: make it first", dir)
	}
	found, err := check.Packages(ctx, config.check())
	if err != nil {
		return Output{}, err
	}
	out.Diagnostics = found.Diagnostics
	runs := false
	for _, p := range found.Packages {
		runs = runs || p.Runs()
	}
	if !runs && !out.Diagnostics.HasErrors() {
		return Output{}, errors.New(noTasks(config))
	}
	// The module is often beside Python code, outside of any Go module.
	out.Files = []File{{Path: file, Root: filepath.Clean(dir), Content: python.Module(name, found.Packages)}}
	return out.done(), nil
}
