package directive

import (
	"errors"
	"go/ast"
	"go/token"
	"strings"

	"github.com/taskgen/taskgen/internal/diag"
	"github.com/taskgen/taskgen/internal/model"
)

// Set is the directives of one function or type, in their order.
type Set []Directive

// Get returns the directive with the given key, or nil.
func (s Set) Get(key string) *Directive {
	for i := range s {
		if s[i].Key == key {
			return &s[i]
		}
	}
	return nil
}

// Apply sets what all directives say.
func (s Set) Apply(o *model.Options) {
	for _, d := range s {
		d.Apply(o)
	}
}

// Func is an annotated function or method.
type Func struct {
	Decl *ast.FuncDecl
	Set  Set
}

// Type is an annotated type.
type Type struct {
	Spec *ast.TypeSpec
	Set  Set
	// Methods are those that an extern interface declares itself, annotated or not.
	Methods []Method
}

// Method is a method of an extern interface.
type Method struct {
	Field *ast.Field
	Set   Set
}

// Extract finds the directives of a file and what they belong to. Everything
// that is or was meant to be a directive ends up in funcs or types, or in diags.
// A function is in funcs even if its directives are faulty, so that the rest of
// it is checked in the same run.
func Extract(fset *token.FileSet, file *ast.File, diags *diag.List) (funcs []Func, types []Type) {
	e := &extractor{fset: fset, file: file, diags: diags, claimed: map[*ast.CommentGroup]bool{}, externs: map[string]bool{}}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if set, found := e.doc(decl.Doc, OnTask); found {
				funcs = append(funcs, Func{decl, set})
			}
		case *ast.GenDecl:
			if decl.Tok != token.TYPE {
				continue
			}
			for _, spec := range decl.Specs {
				spec := spec.(*ast.TypeSpec)
				doc := spec.Doc
				if !decl.Lparen.IsValid() {
					doc = decl.Doc
				}
				if t, found := e.typeSpec(spec, doc); found {
					types = append(types, t)
				}
			}
		}
	}
	for _, group := range file.Comments {
		if !e.claimed[group] {
			e.strays(group)
		}
	}
	return funcs, types
}

// typeSpec reads what is written on a type, and on the methods of an extern interface.
func (e *extractor) typeSpec(spec *ast.TypeSpec, doc *ast.CommentGroup) (t Type, found bool) {
	iface, ok := spec.Type.(*ast.InterfaceType)
	if !ok {
		set, found := e.doc(doc, OnAbstract)
		return Type{Spec: spec, Set: set}, found
	}
	t.Spec = spec
	if t.Set, found = e.doc(doc, OnInterface); t.Set.Get("extern") == nil {
		return t, found
	}
	e.externs["interface "+spec.Name.Name] = true
	for _, field := range iface.Methods.List {
		if len(field.Names) == 1 {
			set, _ := e.doc(field.Doc, OnMethod)
			t.Methods = append(t.Methods, Method{field, set})
		}
	}
	return t, true
}

type extractor struct {
	fset    *token.FileSet
	file    *ast.File
	diags   *diag.List
	claimed map[*ast.CommentGroup]bool // doc comments of functions, types and methods of extern interfaces
	externs map[string]bool            // as interfaceMethod calls them
}

func (e *extractor) position(pos token.Pos) token.Position {
	return e.fset.PositionFor(pos, false) // //line comments would lead the reader astray
}

// doc reads the doc comment of a function or type.
func (e *extractor) doc(group *ast.CommentGroup, target Target) (set Set, found bool) {
	if group == nil {
		return nil, false
	}
	e.claimed[group] = true
	for i, comment := range group.List {
		d, err := Parse(comment.Slash, comment.Text)
		if d == nil && err == nil && target&(OnTask|OnMethod) != 0 {
			err = unfinished(group, i)
		}
		switch {
		case err != nil:
			found = true
			e.report(err)
		case d == nil:
		case d.Target()&target == 0:
			found = true
			e.misplaced(d, target)
		default:
			found = true
			if first := set.Get(d.Key); first != nil {
				e.diags.Errorf(e.position(d.Pos), "%s is given twice: remove one of them", d.Key).
					Relatef(e.position(first.Pos), "the other one")
				continue
			}
			set = append(set, *d)
		}
	}
	return set, found
}

func (e *extractor) misplaced(d *Directive, target Target) {
	pos := e.position(d.Pos)
	switch {
	case target&OnExtern != 0:
		e.diags.Errorf(pos, "%s", notExtern(d, target))
	case d.Key == "extern":
		e.diags.Errorf(pos, "extern belongs in the doc comment of an interface, whose methods are the tasks that others run")
	case d.Target()&OnExtern == d.Target():
		e.diags.Errorf(pos, "%s is for tasks that others run, the methods of an interface with //task:extern", d.Key)
	case target == OnTask:
		e.diags.Errorf(pos, "%s belongs in the doc comment of a struct type, not of a function: for a task write //task:define", d.Key)
	case d.Key == "name":
		e.diags.Errorf(pos, "a type can't name its tasks: move %s to the method", d)
	default:
		e.diags.Errorf(pos, "%s belongs in the doc comment of a function, not of a type", d.Key)
	}
}

// notExtern says why a directive is none for an interface, or for one of its methods.
func notExtern(d *Directive, target Target) string {
	switch {
	case d.Key == "abstract":
		return "abstract is for struct types: an interface whose methods are tasks that others run has //task:extern"
	case d.Key == "define" && target == OnMethod:
		return "every method of an extern interface is a task: remove //task:define"
	case d.Key == "define":
		return "define is for functions: an interface whose methods are tasks that others run has //task:extern"
	case d.Key == "extern":
		return "extern belongs in the doc comment of the interface: all of its methods are tasks then"
	case d.Key == "params":
		return "params belongs in the doc comment of a method, whose parameters it names"
	case d.Key == "immediate":
		return "an extern task can't be immediate: only workers made with taskgen answer whether they have a free slot"
	}
	return d.Key + " is for the worker to decide, and others run this task: set it there, and remove it here"
}

func (e *extractor) report(err error) {
	if syntax, ok := errors.AsType[*SyntaxError](err); ok {
		e.diags.Errorf(e.position(syntax.Pos), "%s", syntax.Message)
	}
}

// strays reports directives in a comment that documents no function or type.
func (e *extractor) strays(group *ast.CommentGroup) {
	body, next := e.surroundings(group)
	for _, comment := range group.List {
		d, err := Parse(comment.Slash, comment.Text)
		if d == nil && err == nil {
			continue
		}
		if body != nil && !strings.HasPrefix(comment.Text, Prefix) {
			continue // inside of a function, prose is the likelier meaning
		}
		pos := e.position(comment.Slash)
		if err != nil {
			e.report(err)
			continue
		}
		method, iface := interfaceMethod(next, group)
		if method != "" && e.externs[iface] {
			e.diags.Errorf(pos, "%s is behind method %s: move it to a line of its own above the method", d, method)
			continue
		}
		if method != "" {
			e.diags.Errorf(pos, "%s is on method %s of %s, which says nothing of what to run: move it to the method of a struct that implements it, or, if others run the methods, write //task:extern above the interface", d, method, iface)
			continue
		}
		switch decl := next.(type) {
		case nil:
			if body != nil {
				e.diags.Errorf(pos, "%s is inside of %s: move it to the doc comment right above the func line", d, body.Name.Name)
				continue
			}
			e.diags.Errorf(pos, "%s belongs to nothing: move it to the doc comment right above a function", d)
		case *ast.FuncDecl:
			e.diags.Errorf(pos, "%s is cut off from func %s: remove the blank line or code between them", d, decl.Name.Name)
		case *ast.GenDecl:
			what := decl.Tok.String()
			switch {
			case decl.Tok == token.TYPE && decl.Lparen.IsValid():
				e.diags.Errorf(pos, "%s documents a group of types: move it right above one of them", d)
			case decl.Tok == token.TYPE:
				e.diags.Errorf(pos, "%s is not in the doc comment of a type: move it right above the type line", d)
			default:
				e.diags.Errorf(pos, "%s is on %s: directives belong right above a function, a method or a struct type", d, article(what))
			}
		}
	}
}

// interfaceMethod returns the interface's method that a comment documents, and what the interface is called.
func interfaceMethod(decl ast.Decl, group *ast.CommentGroup) (method, iface string) {
	if decl == nil {
		return "", ""
	}
	iface = "an interface"
	ast.Inspect(decl, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			iface = "interface " + n.Name.Name
		case *ast.InterfaceType:
			for _, m := range n.Methods.List {
				if len(m.Names) > 0 && (m.Doc == group || m.Comment == group) {
					method = m.Names[0].Name
				}
			}
		}
		return method == ""
	})
	return method, iface
}

func article(word string) string {
	if word == "import" {
		return "an import"
	}
	return "a " + word
}

// surroundings returns the function that a comment is inside of, or else
// the declaration that it is inside of or that follows it.
func (e *extractor) surroundings(group *ast.CommentGroup) (body *ast.FuncDecl, next ast.Decl) {
	if group.End() <= e.file.Package {
		return nil, nil
	}
	for _, decl := range e.file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Pos() <= group.Pos() && group.Pos() < f.End() {
			return f, nil
		}
		if group.Pos() < decl.End() {
			return nil, decl
		}
		// a comment behind a declaration, on its last line
		if e.position(decl.End()).Line == e.position(group.Pos()).Line {
			if f, ok := decl.(*ast.FuncDecl); ok {
				return f, nil
			}
			return nil, decl
		}
	}
	return nil, nil
}
