package load

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/taskgen/taskgen/internal/cache"
	"github.com/taskgen/taskgen/internal/model"
)

// Source is a package as written: its files and what they declare. The
// generated file is not among them.
type Source struct {
	Path, Name, Dir string
	// Files are those that are built, by name.
	Files []*File
	// Left are those that are not: tests, and files for other systems or tags.
	Left []*File
	// Generated is the content of our own tasks_gen.go; nil if there is none.
	Generated []byte

	module  *module
	decls   map[string]*decl
	methods map[string][]*method // by receiver type
	imports map[string]*Source   // by path, as far as asked for; nil: not at hand
	// foreign: found by the go command. importMap is listed.ImportMap.
	foreign   bool
	importMap map[string]string
	inputs    cache.Inputs
}

// File is one source file.
type File struct {
	Path string
	AST  *ast.File
	// Errors are its syntax errors. AST holds what could be read all the same.
	Errors scanner.ErrorList
	// Test says that it is a test. Constraint, on a file that is left out, is
	// its //go:build line, if that is the reason.
	Test       bool
	Constraint string

	src  []byte
	lost []span // declarations that could not be read
}

// decl is what declares a name at package level.
type decl struct {
	file *File
	node ast.Node // *ast.TypeSpec, *ast.FuncDecl, or *ast.GenDecl of one var or a const group
	name *ast.Ident
}

type method struct {
	file *File
	decl *ast.FuncDecl
}

// readSource parses the package in a directory. all says to parse the files
// that are left out of the build too.
func (w *Workspace) readSource(m *module, importPath, dir string, all bool) (*Source, error) {
	s := &Source{
		Path: importPath, Dir: dir, module: m,
		decls: map[string]*decl{}, methods: map[string][]*method{}, imports: map[string]*Source{},
		inputs: cache.Inputs{Dirs: []string{dir}},
	}
	names, err := w.reader.GoFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if name[0] == '.' || name[0] == '_' {
			continue
		}
		if err := w.readFile(s, name, all); err != nil {
			return nil, err
		}
	}
	if s.Name == "" && len(s.Left) > 0 && s.Left[0].AST != nil {
		s.Name = strings.TrimSuffix(s.Left[0].AST.Name.Name, "_test")
	}
	for _, f := range s.Files {
		s.index(f)
	}
	return s, nil
}

func (w *Workspace) readFile(s *Source, name string, all bool) error {
	path := filepath.Join(s.Dir, name)
	if name == model.FileName {
		// Not an input: its content is the output.
		src, err := w.reader.File(path)
		if err != nil {
			return err
		}
		if generated(src) {
			s.Generated = src
			return nil
		}
	}
	f := &File{Path: path, Test: strings.HasSuffix(name, "_test.go")}
	if f.Test && !all {
		return nil
	}
	var err error
	if f.src, err = w.reader.File(path); err != nil {
		return err
	}
	s.inputs.Files = append(s.inputs.Files, path)
	built := !f.Test && w.built(f)
	if !built && !all {
		return nil
	}
	f.parse(w.fset)
	switch {
	case built:
		if s.Name == "" && f.AST.Name.Name != "_" {
			s.Name = f.AST.Name.Name
		}
		s.Files = append(s.Files, f)
	default:
		f.Constraint = constraintOf(f.src)
		s.Left = append(s.Left, f)
	}
	return nil
}

// built says whether a file is part of the build.
func (w *Workspace) built(f *File) bool {
	c := w.build
	c.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.src)), nil }
	dir, name := filepath.Split(f.Path)
	match, err := c.MatchFile(dir, name)
	if err != nil {
		return true // a syntax error in the header: let the parser tell
	}
	return match && (c.CgoEnabled || !importsC(f.src))
}

func importsC(src []byte) bool {
	if !bytes.Contains(src, []byte(`"C"`)) {
		return false
	}
	f, _ := parser.ParseFile(token.NewFileSet(), "", src, parser.ImportsOnly)
	for _, spec := range f.Imports {
		if spec.Path.Value == `"C"` {
			return true
		}
	}
	return false
}

// parse reads the file; where its syntax is broken, as far as possible.
func (f *File) parse(fset *token.FileSet) {
	var err error
	f.AST, err = parser.ParseFile(fset, f.Path, f.src, parser.ParseComments|parser.SkipObjectResolution)
	if err == nil {
		return
	}
	if !errors.As(err, &f.Errors) {
		f.Errors = scanner.ErrorList{{Pos: token.Position{Filename: f.Path, Line: 1, Column: 1}, Msg: err.Error()}}
	}
	file := fset.File(f.AST.FileStart)
	for _, e := range f.Errors {
		e.Pos = file.PositionFor(file.Pos(e.Pos.Offset), false) // whatever //line comments say
	}
	f.salvage(fset)
}

// index notes what a file declares.
func (s *Source) index(f *File) {
	add := func(name *ast.Ident, node ast.Node) {
		if name.Name != "_" && s.decls[name.Name] == nil {
			s.decls[name.Name] = &decl{f, node, name}
		}
	}
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			switch {
			case d.Recv == nil && d.Name.Name != "init":
				add(d.Name, d)
			case d.Recv != nil:
				name := receiver(d)
				s.methods[name] = append(s.methods[name], &method{f, d})
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name, spec)
				case *ast.ValueSpec:
					var node ast.Node = d // all of a const group, for iota
					if d.Tok == token.VAR {
						node = &ast.GenDecl{TokPos: d.TokPos, Tok: token.VAR, Specs: []ast.Spec{spec}}
					}
					for _, name := range spec.Names {
						add(name, node)
					}
				}
			}
		}
	}
}

// receiver is the name of a method's receiver type.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.ParenExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// Declared returns where a name is declared at package level, in the files
// that are built.
func (s *Source) Declared(name string) *ast.Ident {
	if d := s.decls[name]; d != nil {
		return d.name
	}
	return nil
}

// TypeSpec returns the declaration of a type and the file that it is in.
func (s *Source) TypeSpec(name string) (*ast.TypeSpec, *File) {
	if d := s.decls[name]; d != nil {
		if spec, ok := d.node.(*ast.TypeSpec); ok {
			return spec, d.file
		}
	}
	return nil, nil
}

// Method returns a method by the names of its receiver's type and its own, if it is in the files that are built.
func (s *Source) Method(receiver, name string) (f Func, ok bool) {
	for _, m := range s.methods[receiver] {
		if m.decl.Name.Name == name {
			return Func{m.file, m.decl}, true
		}
	}
	return Func{}, false
}

// Taken returns every name that the generated file can't declare, with a place where it is taken.
func (s *Source) Taken() map[string]token.Pos {
	taken := map[string]token.Pos{}
	for name, d := range s.decls {
		taken[name] = d.name.Pos()
	}
	add := func(name *ast.Ident) {
		if _, ok := taken[name.Name]; !ok && name.Name != "_" {
			taken[name.Name] = name.Pos()
		}
	}
	for _, f := range s.Left {
		if f.AST.Name.Name != s.Name {
			continue // an external test, or a program beside the package
		}
		other := &Source{decls: map[string]*decl{}, methods: map[string][]*method{}}
		other.index(f)
		for _, d := range other.decls {
			add(d.name)
		}
	}
	for _, f := range append(append([]*File(nil), s.Files...), s.Left...) {
		for _, spec := range f.AST.Imports {
			if spec.Name != nil && spec.Name.IsExported() {
				add(spec.Name)
			}
		}
	}
	return taken
}

// importPathOf is the unquoted path of an import.
func importPathOf(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return ""
	}
	return path
}

// Generates says whether the package's present generated file declares a name.
func (s *Source) Generates(name string) bool {
	if s == nil || s.Generated == nil {
		return false
	}
	declaration := regexp.MustCompile(`(?m)^(?:func|type|var|const) ` + regexp.QuoteMeta(name) + `\b`)
	return declaration.Match(s.Generated)
}
