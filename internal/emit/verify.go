package emit

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"

	"github.com/taskgen/taskgen/internal/model"
)

// prose is a comment that means nothing to any tool.
var prose = regexp.MustCompile(`^//($|[ \t])`)

// verify parses src back and compares what it declares with what the model
// asks for, and sees to it that no comment is an order to the compiler:
// whatever a name or a comment tries, nothing else gets in.
func (f *file) verify(src []byte) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), model.FileName, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for i, group := range parsed.Comments {
		for j, comment := range group.List {
			header := i == 0 && j == 0 && comment.Text == model.Header
			if !header && (comment.Pos() < parsed.Package || !prose.MatchString(comment.Text)) {
				return fmt.Errorf("it holds the comment %q", comment.Text)
			}
		}
	}
	got, want := declared(parsed), f.wanted()
	if !slices.Equal(got, want) {
		return fmt.Errorf("it declares %q instead of %q", got, want)
	}
	return nil
}

// wanted are the declarations of the file, in order.
func (f *file) wanted() []string {
	want := []string{"_"}
	for _, t := range f.tasks {
		want = append(want, t.Stub, t.typ, t.args, t.args+".Visit", t.typ+".Delay", t.typ+".With")
		if t.retries() {
			want = append(want, t.typ+".Retry")
		}
	}
	if f.pkg.Runs() {
		want = append(want, f.register)
	}
	return want
}

// declared are the names that a file declares at package level, methods as
// Type.Method, without the imports.
func declared(parsed *ast.File) []string {
	var got []string
	for _, decl := range parsed.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			got = append(got, receiver(decl)+decl.Name.Name)
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					got = append(got, spec.Name.Name)
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						got = append(got, name.Name)
					}
				}
			}
		}
	}
	return got
}

// receiver is the receiver's type name and a dot, or nothing.
func receiver(decl *ast.FuncDecl) string {
	if decl.Recv == nil {
		return ""
	}
	typ := decl.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name + "."
	}
	return "?."
}
