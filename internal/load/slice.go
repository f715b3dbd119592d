package load

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"
)

// slice is the smallest piece of the source from which the types of some
// signatures can be told. It errs on the side of too much.
//
// It is cut twice: once through the source at hand, to learn which packages
// have to be found, and again when it is known where they are.
type slice struct {
	w     *Workspace
	parts map[*Source]*part
	queue []step
	// wanted are the import paths that have to be found, listed what was; nil the first time.
	wanted map[string]bool
	listed map[string]*listed
}

// part is what a slice has of one package.
type part struct {
	decls   map[*decl]bool
	bodies  map[*File][]ast.Decl
	imports map[*File]map[*ast.ImportSpec]bool
}

// step is a piece of syntax whose references are still to be followed.
type step struct {
	source *Source
	file   *File
	node   ast.Node
}

func (s *slice) part(source *Source) *part {
	p := s.parts[source]
	if p == nil {
		p = &part{
			decls: map[*decl]bool{}, bodies: map[*File][]ast.Decl{},
			imports: map[*File]map[*ast.ImportSpec]bool{},
		}
		s.parts[source] = p
	}
	return p
}

// signature adds a function's or method's signature.
func (s *slice) signature(source *Source, file *File, fn *ast.FuncType) {
	s.add(source, file, &ast.GenDecl{
		TokPos: fn.Pos(), Tok: token.VAR,
		Specs: []ast.Spec{&ast.ValueSpec{Names: []*ast.Ident{{Name: "_", NamePos: fn.Pos()}}, Type: fn}},
	})
}

func (s *slice) add(source *Source, file *File, d ast.Decl) {
	p := s.part(source)
	p.bodies[file] = append(p.bodies[file], d)
	s.queue = append(s.queue, step{source, file, d})
}

// close follows all references.
func (s *slice) close() {
	for len(s.queue) > 0 {
		next := s.queue[len(s.queue)-1]
		s.queue = s.queue[:len(s.queue)-1]
		s.follow(next)
	}
}

// demand takes the declaration of a name of a package, if there is one.
func (s *slice) demand(source *Source, name string) bool {
	d := source.decls[name]
	if d == nil {
		return false
	}
	p := s.part(source)
	if p.decls[d] {
		return true
	}
	p.decls[d] = true
	switch node := d.node.(type) {
	case *ast.TypeSpec:
		s.add(source, d.file, &ast.GenDecl{TokPos: node.Pos(), Tok: token.TYPE, Specs: []ast.Spec{slim(node)}})
		for _, m := range source.methods[name] {
			if slices.Contains(deciding, m.decl.Name.Name) {
				s.add(source, m.file, hollow(m.decl))
			}
		}
	case *ast.FuncDecl:
		s.add(source, d.file, hollow(node))
	case *ast.GenDecl:
		s.add(source, d.file, node)
		for _, spec := range node.Specs { // the other names of a const group came along
			for _, ident := range spec.(*ast.ValueSpec).Names {
				if other := source.decls[ident.Name]; other != nil && other.node == d.node {
					p.decls[other] = true
				}
			}
		}
	}
	return true
}

// deciding are the methods that decide how a value is encoded, or whether.
var deciding = []string{
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
	"EncodeMsgpack", "DecodeMsgpack", "MarshalMsgpack", "UnmarshalMsgpack",
	"Error", // makes an error of what should be a result
}

// hollow is a function without what it does.
func hollow(f *ast.FuncDecl) *ast.FuncDecl {
	return &ast.FuncDecl{Recv: f.Recv, Name: f.Name, Type: f.Type, Body: &ast.BlockStmt{Lbrace: f.Type.End(), Rbrace: f.Type.End()}}
}

// slim is a type without what makes no difference to how its values travel,
// and is likely to be heavy: the types of unexported fields (a database, a client), and
// those in the signatures of functions and of an interface's methods.
func slim(spec *ast.TypeSpec) *ast.TypeSpec {
	copied := *spec
	switch t := spec.Type.(type) {
	case *ast.StructType:
		fields := &ast.FieldList{Opening: t.Fields.Opening, Closing: t.Fields.Closing}
		for _, field := range t.Fields.List {
			fields.List = append(fields.List, slimField(field))
		}
		copied.Type = &ast.StructType{Struct: t.Struct, Incomplete: t.Incomplete, Fields: fields}
	case *ast.InterfaceType:
		methods := &ast.FieldList{Opening: t.Methods.Opening, Closing: t.Methods.Closing}
		for _, method := range t.Methods.List {
			if _, ok := method.Type.(*ast.FuncType); ok {
				methods.List = append(methods.List, &ast.Field{Names: method.Names, Type: emptyFunc(method.Type.Pos())})
			}
		}
		if len(methods.List) > 0 { // else it is nothing but what it embeds
			copied.Type = &ast.InterfaceType{Interface: t.Interface, Incomplete: t.Incomplete, Methods: methods}
		}
	case *ast.FuncType:
		copied.Type = emptyFunc(t.Pos())
	}
	return &copied
}

func slimField(field *ast.Field) *ast.Field {
	pos := field.Type.Pos()
	if len(field.Names) > 0 && !slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
		empty := &ast.StructType{Struct: pos, Fields: &ast.FieldList{Opening: pos, Closing: pos}}
		return &ast.Field{Names: field.Names, Type: empty, Tag: field.Tag}
	}
	if _, ok := field.Type.(*ast.FuncType); ok {
		return &ast.Field{Names: field.Names, Type: emptyFunc(pos), Tag: field.Tag}
	}
	return field
}

func emptyFunc(pos token.Pos) *ast.FuncType {
	return &ast.FuncType{Func: pos, Params: &ast.FieldList{Opening: pos, Closing: pos}}
}

// follow takes what a piece of syntax refers to.
func (s *slice) follow(at step) {
	var visit func(ast.Node) bool
	walk := func(nodes ...ast.Node) bool {
		for _, n := range nodes {
			ast.Inspect(n, visit)
		}
		return false
	}
	visit = func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if !s.demand(at.source, x.Name) {
					s.qualified(at, x.Name, n.Sel.Name)
				}
				return false
			}
			return walk(n.X)
		case *ast.Field: // names are not references
			return walk(n.Type)
		case *ast.FuncDecl:
			if n.Recv != nil {
				walk(n.Recv)
			}
			return walk(n.Type)
		case *ast.TypeSpec:
			if n.TypeParams != nil {
				walk(n.TypeParams)
			}
			return walk(n.Type)
		case *ast.ValueSpec:
			if n.Type != nil {
				walk(n.Type)
			}
			for _, v := range n.Values {
				walk(v)
			}
			return false
		case *ast.Ident:
			if !s.demand(at.source, n.Name) && types.Universe.Lookup(n.Name) == nil {
				s.dotted(at, n.Name)
			}
		}
		return true
	}
	walk(at.node)
}

// qualified takes pkg.name. The name of a package that is imported without one is
// known only once the package is found; until then all that may be it are wanted.
func (s *slice) qualified(at step, qualifier, name string) {
	var found, likely, rest []*ast.ImportSpec
	for _, spec := range at.file.AST.Imports {
		importPath := importPathOf(spec)
		switch {
		case spec.Name != nil:
			if spec.Name.Name == qualifier {
				found = append(found, spec)
			}
		case importPath == "C" || importPath == "unsafe":
			if importPath == qualifier {
				found = append(found, spec)
			}
		case slices.Contains(likelyNames(importPath), qualifier):
			likely = append(likely, spec)
		case !standard(importPath):
			rest = append(rest, spec)
		}
	}
	if len(found) == 0 {
		found = s.byName(at, qualifier, likely)
	}
	if len(found) == 0 {
		found = s.byName(at, qualifier, rest)
	}
	if len(found) == 0 {
		found = likely // missing packages, whose errors are to be seen
	}
	for _, spec := range found {
		s.take(at, spec)
		if source := s.source(at.source, importPathOf(spec)); source != nil {
			s.demand(source, name)
		}
	}
}

// byName returns the imports whose packages have a name.
func (s *slice) byName(at step, name string, specs []*ast.ImportSpec) (found []*ast.ImportSpec) {
	for _, spec := range specs {
		importPath := importPathOf(spec)
		if source := s.source(at.source, importPath); source == nil {
			s.wanted[importPath] = true
		} else if source.Name == name {
			found = append(found, spec)
		}
	}
	return found
}

// dotted takes a name that must come from a dot import.
func (s *slice) dotted(at step, name string) {
	if !ast.IsExported(name) {
		return
	}
	for _, spec := range at.file.AST.Imports {
		if spec.Name == nil || spec.Name.Name != "." {
			continue
		}
		source := s.source(at.source, importPathOf(spec))
		if source == nil || s.demand(source, name) {
			s.take(at, spec)
		}
	}
}

func (s *slice) take(at step, spec *ast.ImportSpec) {
	p := s.part(at.source)
	if p.imports[at.file] == nil {
		p.imports[at.file] = map[*ast.ImportSpec]bool{}
	}
	p.imports[at.file][spec] = true
	if importPath := importPathOf(spec); s.source(at.source, importPath) == nil && importPath != "unsafe" && importPath != "C" {
		s.wanted[importPath] = true
	}
}

// source returns an imported package, or nil if it is not known (yet) where it is.
func (s *slice) source(from *Source, importPath string) *Source {
	if !from.foreign {
		if source := s.w.local(from, importPath); source != nil {
			return source
		}
	}
	if actual := from.importMap[importPath]; actual != "" {
		importPath = actual
	}
	l := s.listed[importPath]
	if l == nil || len(l.GoFiles)+len(l.CgoFiles) == 0 {
		return nil
	}
	return s.w.external(l)
}

// local returns an imported package of the module, its workspace, or its vendor
// directory, or nil.
func (w *Workspace) local(from *Source, importPath string) *Source {
	if source, ok := from.imports[importPath]; ok {
		return source
	}
	dir := from.module.sourceDir(importPath)
	if dir == "" {
		return nil
	}
	from.inputs.Dirs = append(from.inputs.Dirs, dir) // whether or not it is there
	source, err := w.source(from.module, importPath, dir, false)
	if err != nil || len(source.Files) == 0 {
		source = nil
	}
	from.imports[importPath] = source
	return source
}

// Imported returns the package that a file knows by a name, if its source is
// ours to read.
func (w *Workspace) Imported(s *Source, f *File, name string) *Source {
	for _, spec := range f.AST.Imports {
		if spec.Name != nil && spec.Name.Name != name {
			continue
		}
		if imported := w.local(s, importPathOf(spec)); imported != nil && (spec.Name != nil || imported.Name == name) {
			return imported
		}
	}
	return nil
}

// Standard says whether what a file knows by a name is a package of the standard library.
func (f *File) Standard(name string) bool {
	return slices.ContainsFunc(f.AST.Imports, func(spec *ast.ImportSpec) bool {
		importPath := importPathOf(spec)
		if spec.Name != nil {
			return spec.Name.Name == name && standard(importPath)
		}
		return standard(importPath) && slices.Contains(likelyNames(importPath), name)
	})
}

// files returns the sliced files of a package.
func (s *slice) files(source *Source) []*ast.File {
	p := s.part(source)
	var files []*ast.File
	for _, f := range source.Files {
		if len(p.bodies[f]) == 0 {
			continue
		}
		file := &ast.File{
			Package: f.AST.Package, Name: f.AST.Name, GoVersion: f.AST.GoVersion,
			FileStart: f.AST.FileStart, FileEnd: f.AST.FileEnd,
		}
		for _, spec := range f.AST.Imports {
			if p.imports[f][spec] {
				file.Imports = append(file.Imports, spec)
				file.Decls = append(file.Decls, &ast.GenDecl{TokPos: spec.Pos(), Tok: token.IMPORT, Specs: []ast.Spec{spec}})
			}
		}
		bodies := slices.Clone(p.bodies[f])
		slices.SortStableFunc(bodies, func(a, b ast.Decl) int { return int(a.Pos() - b.Pos()) })
		file.Decls = append(file.Decls, bodies...)
		files = append(files, file)
	}
	return files
}

var versionSuffix = regexp.MustCompile(`^v[0-9]+$`)

// likelyNames guesses the name of a package from its path.
func likelyNames(importPath string) []string {
	base := path.Base(importPath)
	if versionSuffix.MatchString(base) && strings.Contains(importPath, "/") {
		base = path.Base(path.Dir(importPath))
	}
	if stem, suffix, ok := strings.Cut(base, ".v"); ok && versionSuffix.MatchString("v"+suffix) {
		base = stem
	}
	names := []string{base}
	for _, part := range strings.FieldsFunc(base, func(r rune) bool { return r == '-' || r == '.' }) {
		if part != "go" {
			names = append(names, part)
		}
	}
	return append(names, strings.NewReplacer("-", "", ".", "").Replace(base), strings.NewReplacer("-", "_", ".", "_").Replace(base))
}

// standard says whether a package is part of Go, whose names can be told.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
