// Package check reads annotated packages and decides what their tasks are.
package check

import (
	"context"

	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/model"
)

// Config says what to read.
type Config struct {
	// Dir is the directory that relative patterns start from. "" is the
	// working directory.
	Dir string
	// Patterns are directories (".", "./users", "/abs"), directory trees
	// ("./...") and import paths ("example.com/app/users", "example.com/app/...")
	// of the modules around Dir. None means ".".
	Patterns []string
	// Tags are build tags in addition to those that the system implies.
	Tags []string
	// Env is the environment, as os.Environ gives it. nil is the process's own.
	Env []string
	// Cache is a directory in which Packages remembers what it found in packages
	// that have not changed since. "" trusts and remembers nothing.
	Cache string
}

// Result is what was found.
type Result struct {
	// Packages are the packages that declare tasks, by import path. It
	// is complete only if Diagnostics has no errors.
	Packages []*model.Package
	// Diagnostics are sorted.
	Diagnostics diag.List
	// Orphans are our own tasks_gen.go files in packages without tasks.
	Orphans []string
}

// Packages reads the packages that match the patterns. What is wrong with them is
// in Result.Diagnostics; an error means that nothing could be read at all.
func Packages(ctx context.Context, config Config) (*Result, error) {
	return &Result{}, nil
}

// Fresh says that the package and everything that its generated file depends on
// are as they were when output, the file's present content, was passed to
// Remember. It is always false without Config.Cache.
func (r *Result) Fresh(p *model.Package) bool { return false }

// Remember stores that output is the generated file of p. Call it when the file
// is on disk. It does nothing without Config.Cache.
func (r *Result) Remember(p *model.Package, output []byte) error { return nil }
