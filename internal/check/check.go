// Package check reads annotated packages and decides what their tasks are.
package check

import (
	"cmp"
	"context"
	"slices"

	"github.com/taskgen/taskgen/internal/cache"
	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/load"
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
	// Cache is a directory in which Packages looks up what was found in packages
	// that have not changed since, and where Remember stores it. "" trusts and
	// remembers nothing.
	Cache string
}

// Result is what was found.
type Result struct {
	// Packages are the packages that declare tasks and have no errors, by import path.
	Packages []*model.Package
	// Diagnostics are sorted.
	Diagnostics diag.List
	// Orphans are our own tasks_gen.go files in packages without tasks.
	Orphans []string

	workspace *load.Workspace
	cache     *cache.Cache
	outputs   map[*model.Package]string // hash of the file that was remembered
	checked   map[*model.Package]*checker
}

// Packages reads the packages that match the patterns. What is wrong with them is
// in Result.Diagnostics; an error means that nothing could be read at all.
func Packages(ctx context.Context, config Config) (*Result, error) {
	w, err := load.New(load.Config{Dir: config.Dir, Tags: config.Tags, Env: config.Env})
	if err != nil {
		return nil, err
	}
	opened := make(chan *cache.Cache, 1)
	go func() { opened <- w.Cache(config.Cache) }() // hashes this program
	dirs, err := w.Find(config.Patterns)
	r := &Result{
		workspace: w, cache: <-opened,
		outputs: map[*model.Package]string{}, checked: map[*model.Package]*checker{},
	}
	if err != nil {
		return nil, err
	}
	var checkers []*checker
	for _, dir := range dirs {
		if r.recall(dir) {
			continue
		}
		source, err := w.Package(dir)
		if err != nil {
			return nil, err
		}
		checkers = append(checkers, newChecker(w, source))
	}
	if err := r.check(ctx, checkers); err != nil {
		return nil, err
	}
	slices.SortFunc(r.Packages, func(a, b *model.Package) int { return cmp.Compare(a.Path, b.Path) })
	r.unique()
	r.exchanges()
	r.Packages = slices.DeleteFunc(r.Packages, func(p *model.Package) bool {
		c := r.checked[p]
		return c != nil && (c.incomplete || c.diags.HasErrors())
	})
	r.Diagnostics.Sort()
	return r, nil
}

// check runs the checkers: first what needs syntax only, then the types of all
// packages at once, then what needs those.
func (r *Result) check(ctx context.Context, checkers []*checker) error {
	var requests []load.Request
	for _, c := range checkers {
		c.syntax()
		requests = append(requests, c.requests()...)
	}
	found, err := r.workspace.Types(ctx, requests)
	if err != nil {
		return err
	}
	r.typeErrors(found.Errors, checkers)
	for _, c := range checkers {
		c.foreignErrors, c.explained = found.Foreign, len(found.Errors) > 0
		p := c.finish(found.Signatures)
		r.Diagnostics = append(r.Diagnostics, c.diags...)
		switch {
		case len(p.Tasks) > 0:
			r.Packages = append(r.Packages, p)
			r.checked[p] = c
		case c.source.Generated != nil && !c.diags.HasErrors() && len(c.tasks) == 0:
			r.Orphans = append(r.Orphans, c.generatedFile())
		}
	}
	return nil
}

// typeErrors reports what is wrong with the types that task signatures need.
func (r *Result) typeErrors(errs []load.Error, checkers []*checker) {
	for _, e := range errs {
		pos := r.workspace.Position(e.Pos)
		prefix := "a task's signature needs this: "
		for _, c := range checkers {
			if t := c.taskAt(e.Pos); t != nil {
				prefix = "task " + t.model.Func + ": "
			}
			if h := c.hookAt(e.Pos); h != "" {
				prefix = "hook " + h + ": "
			}
		}
		if e.Undefined != "" && (e.In.Generates(e.Undefined) || generates(checkers, e.In, e.Undefined)) {
			r.Diagnostics.Errorf(pos, "%s%s is generated, and the signature of a task must not mention what is generated: declare a type of your own", prefix, e.Undefined)
			continue
		}
		d := r.Diagnostics.Errorf(pos, "%s%s", prefix, e.Message)
		for _, other := range e.Related {
			d.Relatef(r.workspace.Position(other.Pos), "%s", other.Message)
		}
		if e.Undefined != "" && e.In != nil {
			for _, f := range e.In.Files {
				for _, syntax := range f.Errors[:min(1, len(f.Errors))] {
					d.Relatef(syntax.Pos, "this package has a syntax error: %s", syntax.Msg)
				}
			}
		}
	}
}

// generates says whether a name is about to be generated in a package.
func generates(checkers []*checker, in *load.Source, name string) bool {
	for _, c := range checkers {
		if c.source != in {
			continue
		}
		for _, t := range c.tasks {
			if name == t.model.Stub || name == t.model.Stub+"Task" || name == t.model.Stub+"Args" {
				return true
			}
		}
	}
	return false
}

// unique reports tasks of one name.
func (r *Result) unique() {
	first := map[string]*model.Task{}
	for _, p := range r.Packages {
		for _, t := range p.Tasks {
			if t.Name == "" {
				continue // it has an error, which came first
			}
			name := t.Name
			if t.Extern != "" {
				// Each package may have its own view of what others run, and a task that moves to Go is in both
				// places for a while.
				name = p.Path + " " + t.Extern + " " + name
			}
			if other := first[name]; other != nil {
				r.Diagnostics.Errorf(t.Pos, "task %s: the name %q is taken: give one of the two another one with //task:name", t.Func, t.Name).
					Relatef(other.Pos, "task %s has it too", other.Func)
				continue
			}
			first[name] = t
		}
	}
}

// exchanges reports exchanges of two types.
func (r *Result) exchanges() {
	first := map[string]*model.Task{}
	for _, p := range r.Packages {
		for _, t := range p.Tasks {
			if t.Options.Exchange == "" {
				continue
			}
			other := first[t.Options.Exchange]
			if other == nil {
				first[t.Options.Exchange] = t
				continue
			}
			is, was := cmp.Or(t.Options.ExchangeType, "direct"), cmp.Or(other.Options.ExchangeType, "direct")
			if is != was {
				r.Diagnostics.Errorf(t.Pos, "task %s: exchange %q is %s here, and can have one type only: give both tasks the same //task:exchange_type, or one of them another exchange", t.Func, t.Options.Exchange, is).
					Relatef(other.Pos, "for task %s it is %s", other.Func, was)
			}
		}
	}
}
