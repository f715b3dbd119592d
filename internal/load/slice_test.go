package load_test

import (
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/taskgen/taskgen/internal/golden"
	"github.com/taskgen/taskgen/internal/load"
)

// TestSliceIsTrue compares what slices say of every exported type of many
// packages with what the compiler says.
func TestSliceIsTrue(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("loads a good part of the standard library")
	}
	paths := []string{
		"archive/tar", "bufio", "crypto/tls", "crypto/x509", "database/sql", "encoding/json", "encoding/xml",
		"go/ast", "go/types", "html/template", "image", "io/fs", "log/slog", "math/big", "mime/multipart", "net", "net/http",
		"net/mail", "net/netip", "net/url", "os", "os/exec", "reflect", "regexp", "runtime", "sync/atomic", "testing", "text/template", "time",
		"github.com/rabbitmq/amqp091-go", "github.com/spf13/cobra", "github.com/vmihailenco/msgpack/v5", "go.yaml.in/yaml/v3",
		"golang.org/x/tools/go/packages", "github.com/dave/jennifer/jen", "golang.org/x/time/rate", "github.com/google/go-cmp/cmp",
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	golden.Module(t, dir, "example.com/app")
	compiled, err := packages.Load(&packages.Config{Dir: dir, Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedSyntax | packages.NeedFiles | packages.NeedCompiledGoFiles, Env: append(os.Environ(), "CGO_ENABLED=0")}, paths...)
	if err != nil {
		t.Fatal(err)
	}

	// One function for each type.
	var src strings.Builder
	src.WriteString("package users\n\nimport (\n")
	for i, p := range compiled {
		fmt.Fprintf(&src, "\tp%d %q\n", i, p.PkgPath)
	}
	src.WriteString(")\n\n")
	var want []*types.TypeName
	for i, p := range compiled {
		if len(p.Errors) > 0 {
			t.Fatal(p.Errors)
		}
		for _, name := range p.Types.Scope().Names() {
			obj, ok := p.Types.Scope().Lookup(name).(*types.TypeName)
			if named, isNamed := types.Unalias(objType(obj)).(*types.Named); !ok || !obj.Exported() || isNamed && named.TypeParams().Len() > 0 {
				continue
			}
			fmt.Fprintf(&src, "//task:define\nfunc f%d(p%d.%s) {}\n\n", len(want), i, name)
			want = append(want, obj)
		}
	}
	writeFile(t, filepath.Join(dir, "users", "users.go"), src.String())

	w, err := load.New(load.Config{Dir: dir, Env: append(os.Environ(), "CGO_ENABLED=0")})
	if err != nil {
		t.Fatal(err)
	}
	source, err := w.Package(filepath.Join(dir, "users"))
	if err != nil {
		t.Fatal(err)
	}
	request := load.Request{Source: source}
	for _, d := range source.Files[0].AST.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			request.Funcs = append(request.Funcs, load.Func{File: source.Files[0], Decl: f})
		}
	}
	got, err := w.Types(t.Context(), []load.Request{request})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(got.Errors, got.Foreign...) {
		t.Errorf("%s: %s", w.Position(e.Pos), e.Message)
	}
	if len(want) < 500 {
		t.Fatalf("only %d types", len(want))
	}
	for i, f := range request.Funcs {
		sliced := got.Signatures[f.Decl].Params().At(0).Type()
		if a, b := shape(want[i].Type()), shape(sliced); a != b {
			t.Errorf("%s:\ncompiler: %s\nslice:    %s", want[i], a, b)
		}
	}
}

func objType(obj *types.TypeName) types.Type {
	if obj == nil {
		return types.Typ[types.Invalid]
	}
	return obj.Type()
}

// shape is what matters of a type: what it is made of as far as it travels, and
// the methods that decide how.
func shape(t types.Type) string {
	var b strings.Builder
	b.WriteString(types.TypeString(t, nil) + " = ")
	switch u := t.Underlying().(type) {
	case *types.Struct:
		for i := range u.NumFields() {
			f := u.Field(i)
			fmt.Fprintf(&b, "%s", f.Name())
			if !f.Exported() && !f.Embedded() {
				continue
			}
			if _, isFunc := types.Unalias(f.Type()).(*types.Signature); isFunc {
				b.WriteString(" func")
			} else {
				fmt.Fprintf(&b, " %s %q", types.TypeString(f.Type(), nil), u.Tag(i))
			}
			b.WriteString("; ")
		}
	case *types.Interface:
		b.WriteString("interface")
		if u.Empty() {
			b.WriteString(" empty")
		}
	case *types.Signature:
		b.WriteString("func")
	default:
		b.WriteString(types.TypeString(u, nil))
	}
	if !types.IsInterface(t) {
		set := types.NewMethodSet(types.NewPointer(t))
		var methods []string
		for _, name := range []string{"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "EncodeMsgpack", "DecodeMsgpack", "MarshalMsgpack", "UnmarshalMsgpack", "Error"} {
			if set.Lookup(nil, name) != nil {
				methods = append(methods, name)
			}
		}
		slices.Sort(methods)
		fmt.Fprintf(&b, " methods %v", methods)
	}
	return b.String()
}
