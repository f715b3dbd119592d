package check

import (
	"os"
	"path/filepath"

	"github.com/taskgen/taskgen/internal/cache"
	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/model"
)

// memory is what is remembered of a package.
type memory struct {
	Package *model.Package
	// Warnings are said again each time.
	Warnings diag.List
	// Output is the hash of the generated file.
	Output string
}

// recall finds a package in the cache.
func (r *Result) recall(dir string) bool {
	var m memory
	if !r.cache.Lookup(dir, &m) {
		return false
	}
	r.Packages = append(r.Packages, m.Package)
	r.Diagnostics = append(r.Diagnostics, m.Warnings...)
	r.outputs[m.Package] = m.Output
	return true
}

// Fresh says that the package and everything that its generated file depends on
// are as they were when the file's present content was passed to Remember, by
// the same build of this program. It is always false without Config.Cache.
func (r *Result) Fresh(p *model.Package) bool {
	remembered := r.outputs[p]
	if remembered == "" {
		return false
	}
	output, err := os.ReadFile(filepath.Join(p.Dir, model.FileName))
	return err == nil && cache.Sum(output) == remembered
}

// Remember stores that output is the generated file of p. Call it when the file
// is on disk. It does nothing for a package that is Fresh, nor without
// Config.Cache or if there are errors. Its own errors are harmless: the next run takes longer.
func (r *Result) Remember(p *model.Package, output []byte) error {
	c := r.checked[p]
	if c == nil || r.Diagnostics.HasErrors() {
		return nil
	}
	return r.cache.Store(p.Dir, r.workspace.Inputs(c.source), memory{p, c.diags, cache.Sum(output)})
}
