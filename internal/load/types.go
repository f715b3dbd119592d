package load

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// Request asks for the types in the signatures of some functions of a package.
type Request struct {
	Source *Source
	Funcs  []Func
}

// Func is a function and the file that it is in.
type Func struct {
	File *File
	Decl *ast.FuncDecl
}

// Types is the answer to requests.
type Types struct {
	// Signatures holds what is known of each function, methods without receiver. In places
	// that could not be understood a type is invalid.
	Signatures map[*ast.FuncDecl]*types.Signature
	// Errors are what is wrong with the signatures and the types that they lead
	// to, as far as it is written in source of ours.
	Errors []Error
	// Foreign are errors in other source, which matter only where a type
	// could not be told for them.
	Foreign []Error
}

// Error is a type error.
type Error struct {
	Pos     token.Pos
	Message string
	// Undefined is the name that is not declared, if that is the error, and In
	// the package that it should be in; nil if its source is not ours.
	Undefined string
	In        *Source
	// Related are further places that the message speaks of.
	Related []Error
}

// Types learns the types of all requests at once.
func (w *Workspace) Types(ctx context.Context, requests []Request) (*Types, error) {
	answer := &Types{Signatures: map[*ast.FuncDecl]*types.Signature{}}
	byRoot := map[string][]Request{}
	for _, r := range requests {
		byRoot[r.Source.module.root] = append(byRoot[r.Source.module.root], r)
	}
	for root, group := range byRoot {
		if err := w.check(ctx, root, group, answer); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// check answers requests of one module or workspace.
func (w *Workspace) check(ctx context.Context, root string, requests []Request, answer *Types) error {
	found, err := w.list(ctx, root, w.cut(requests, nil).wanted)
	if err != nil {
		return err
	}
	c := &checker{
		w: w, slice: w.cut(requests, found),
		done: map[*Source]*types.Package{},
		info: types.Info{Types: map[ast.Expr]types.TypeAndValue{}},
		out:  answer,
	}
	for _, r := range requests {
		if _, err := c.source(r.Source); err != nil {
			return err
		}
		for _, f := range r.Funcs {
			if sig, ok := c.info.Types[f.Decl.Type].Type.(*types.Signature); ok {
				answer.Signatures[f.Decl] = sig
			}
		}
	}
	return nil
}

// cut cuts the slice of all requests.
func (w *Workspace) cut(requests []Request, found map[string]*listed) *slice {
	s := &slice{w: w, parts: map[*Source]*part{}, wanted: map[string]bool{}, listed: found}
	for _, r := range requests {
		s.part(r.Source)
		for _, f := range r.Funcs {
			s.signature(r.Source, f.File, f.Decl.Type)
		}
	}
	s.close()
	return s
}

// checker type-checks the packages of a slice, imported ones first.
type checker struct {
	w     *Workspace
	slice *slice
	done  map[*Source]*types.Package // nil while at it
	info  types.Info
	out   *Types
}

func (c *checker) source(s *Source) (p *types.Package, err error) {
	if p, ok := c.done[s]; ok {
		if p == nil {
			return nil, errors.New("import cycle")
		}
		return p, nil
	}
	c.done[s] = nil
	// The type checker sees code that no compiler has seen.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("internal error: package %s can't be type-checked (%v); please report this with the declarations of its tasks", s.Path, r)
		}
	}()
	config := types.Config{
		IgnoreFuncBodies: true,
		FakeImportC:      true,
		Importer:         importer{c, s},
		Error: func(err error) {
			if e, ok := errors.AsType[types.Error](err); ok && !e.Soft {
				c.report(s, e)
			}
		},
	}
	p, _ = config.Check(s.Path, c.w.fset, c.slice.files(s), &c.info)
	c.done[s] = p
	return p, nil
}

// report notes an error. A message that begins with a tab belongs to the one before.
func (c *checker) report(s *Source, e types.Error) {
	if strings.Contains(e.Msg, " does not satisfy ") {
		return // most methods are not in the slice; the compiler will tell
	}
	if s.foreign {
		c.out.Foreign = append(c.out.Foreign, Error{Pos: e.Pos, Message: e.Msg})
		return
	}
	if text, ok := strings.CutPrefix(e.Msg, "\t"); ok {
		if n := len(c.out.Errors); n > 0 {
			last := &c.out.Errors[n-1]
			last.Related = append(last.Related, Error{Pos: e.Pos, Message: text})
		}
		return
	}
	name, in := c.undefined(s, e.Msg)
	c.out.Errors = append(c.out.Errors, Error{Pos: e.Pos, Message: e.Msg, Undefined: name, In: in})
}

// undefined takes the message about an undeclared name apart.
func (c *checker) undefined(s *Source, message string) (name string, in *Source) {
	name, ok := strings.CutPrefix(message, "undefined: ")
	if !ok {
		return "", nil
	}
	qualifier, selected, ok := strings.Cut(name, ".")
	if !ok {
		return name, s
	}
	for _, imported := range s.imports {
		if imported != nil && imported.Name == qualifier {
			return selected, imported
		}
	}
	return selected, nil
}

// importer gives one package what it imports.
type importer struct {
	*checker
	from *Source
}

// Import implements types.Importer.
func (i importer) Import(path string) (*types.Package, error) {
	if path == "unsafe" {
		return types.Unsafe, nil
	}
	if s := i.slice.source(i.from, path); s != nil {
		return i.source(s)
	}
	return nil, i.slice.listed[path].reason()
}
