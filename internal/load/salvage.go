package load

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"slices"
)

// salvage reads a file with syntax errors declaration by declaration. A function
// that somebody is about to write must not hide the tasks around it, as it
// would in the parser's own recovery: whatever follows an unclosed brace would
// belong to that function's body.
//
// What begins a declaration is a keyword in the first column, as gofmt puts it.
func (f *File) salvage(fset *token.FileSet) {
	header, chunks := split(f.src)
	whole := f.AST
	f.AST = &ast.File{
		Package: whole.Package, Name: whole.Name, Doc: whole.Doc,
		FileStart: whole.FileStart, FileEnd: whole.FileEnd, GoVersion: whole.GoVersion,
	}
	if f.AST.Name == nil {
		f.AST.Name = ast.NewIdent("_")
	}
	for _, c := range chunks {
		// Blank the rest instead of cutting it off, so that positions stay.
		src := blank(f.src, header, c)
		part, err := parser.ParseFile(fset, f.Path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil && !harmless(fset, part, err) {
			f.lost = append(f.lost, c)
			continue
		}
		f.AST.Decls = append(f.AST.Decls, part.Decls...)
		f.AST.Imports = append(f.AST.Imports, part.Imports...)
		f.AST.Comments = append(f.AST.Comments, part.Comments...)
	}
}

// LostDirectives says whether there may be directives in what could not be read.
func (f *File) LostDirectives() bool {
	for _, c := range f.lost {
		if marked(f.src[c.from:c.to]) {
			return true
		}
	}
	return len(f.Errors) > 0 && len(f.AST.Decls) == 0 && marked(f.src)
}

// harmless says whether a chunk is a function whose errors are all in its body.
func harmless(fset *token.FileSet, part *ast.File, err error) bool {
	var list scanner.ErrorList
	if part == nil || !errors.As(err, &list) || len(part.Decls) == 0 {
		return false
	}
	fn, ok := part.Decls[0].(*ast.FuncDecl)
	if !ok || fn.Body == nil || !fn.Body.Lbrace.IsValid() || len(part.Decls) > 1 {
		return false
	}
	brace := fset.PositionFor(fn.Body.Lbrace, false).Offset
	for _, e := range list {
		if e.Pos.Offset <= brace {
			return false
		}
	}
	fn.Body.List = nil
	fn.Body.Rbrace = part.FileEnd // so that what is written in the body is inside of it
	return true
}

// span is a range of offsets.
type span struct{ from, to int }

// split finds the package clause and the declarations, each with the comments
// right above it. Comments and blank lines between belong to what follows.
func split(src []byte) (header span, chunks []span) {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(src))
	var s scanner.Scanner
	s.Init(file, src, nil, scanner.ScanComments)
	var starts []int
	free := 0 // where the comments begin that would belong to a declaration here
	seenPackage, comments := false, false
	for {
		pos, tok, _ := s.Scan()
		if tok == token.EOF {
			break
		}
		offset := file.Offset(pos)
		first := offset == 0 || src[offset-1] == '\n'
		switch {
		case tok == token.COMMENT:
			if first && !comments {
				free, comments = offset, true
			}
			continue
		case tok == token.PACKAGE && !seenPackage:
			seenPackage = true
		case seenPackage && first && (tok == token.FUNC || tok == token.TYPE || tok == token.VAR || tok == token.CONST || tok == token.IMPORT):
			if !comments {
				free = offset
			}
			starts = append(starts, free)
		}
		if tok != token.SEMICOLON {
			comments = false
		}
	}
	end := len(src)
	for _, start := range slices.Backward(starts) {
		chunks = append([]span{{start, end}}, chunks...)
		end = start
	}
	return span{0, end}, chunks
}

// blank replaces all but two ranges by spaces.
func blank(src []byte, keep ...span) []byte {
	out := bytes.Clone(src)
	for i, c := range out {
		kept := false
		for _, k := range keep {
			kept = kept || k.from <= i && i < k.to
		}
		if !kept && c != '\n' {
			out[i] = ' '
		}
	}
	return out
}
