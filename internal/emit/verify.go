package emit

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"

	"github.com/taskgen/taskgen/internal/model"
)

// verify parses src back and compares what it declares with what the model
// asks for: whatever a name or a comment tries, nothing else gets in.
func (f *file) verify(src []byte) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), model.FileName, src, parser.SkipObjectResolution)
	if err != nil {
		return err
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
		if t.Error {
			want = append(want, t.typ+".Retry")
		}
	}
	return append(want, f.register)
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
