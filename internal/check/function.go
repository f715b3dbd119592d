package check

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/taskgen/taskgen/internal/directive"
	"github.com/taskgen/taskgen/internal/model"
)

// function checks what can be told from a function's declaration alone, and
// settles its names.
func (c *checker) function(t *task) {
	name := t.decl.Name.Name
	pos := c.w.Position(t.decl.Name.Pos())
	t.model = &model.Task{Func: name, Doc: doc(t.decl.Doc), Pos: pos}
	fail := func(format string, args ...any) {
		t.broken = true
		c.errorf(t.decl.Name.Pos(), format, args...)
	}
	switch {
	case name == "_" || t.decl.Recv == nil && (name == "init" || name == "main" && c.source.Name == "main"):
		fail("func %s can't be a task: nobody can call it", name)
		return
	case t.decl.Type.TypeParams != nil:
		fail("task %s: a worker can't know the type arguments of a generic function: write a task for each, such as\n%s", name, wrapper(t.decl))
		return
	case t.decl.Recv != nil:
		if !c.receiver(t, fail) {
			return
		}
	case token.IsExported(name):
		fail("task %s: rename the function to %s: the name %s is for the stub that sends it", name, lower(name), name)
		return
	}
	stub := export(name)
	if stub == "" {
		fail("task %s: its stub needs a name that begins with an upper case letter, which %s has none for: begin it with a letter that has one", name, name)
		return
	}
	t.model.Stub = stub
	t.model.Name = c.source.Path + "." + name
	if t.model.Struct != "" {
		t.model.Stub = export(t.model.Struct) + stub
		t.model.Name = c.source.Path + "." + t.model.Struct + "." + name
	}
	if d := t.set.Get("name"); d != nil {
		t.model.Name = d.Value
	} else if err := directive.CheckName(t.model.Name); err != nil {
		fail("task %s: %q can't be its registered name: %v; give it one with //task:name", name, t.model.Name, err)
	}
}

// receiver checks what the method belongs to.
func (c *checker) receiver(t *task, fail func(string, ...any)) bool {
	method := t.decl.Name.Name
	name, isGeneric := receiver(t.decl)
	spec, _ := c.source.TypeSpec(name)
	switch {
	case isGeneric || spec != nil && spec.TypeParams != nil:
		fail("task %s: %s is a generic type, and a worker can't know its type arguments: make it the method of a struct that has a %s[…] as a field", method, name, name)
	case name == "" || spec == nil:
		fail("task %s: type %s is not declared in this package", method, name)
	case !c.isStruct(spec):
		fail("task %s: only methods of structs can be tasks, as the worker makes the receiver, and %s is none", method, name)
	case export(name) == "":
		fail("task %s: its stub needs a name that begins with an upper case letter, which %s has none for: begin it with a letter that has one", method, name)
	default:
		t.model.Struct = name
		return true
	}
	return false
}

// receiver is the name of the receiver's type.
func receiver(f *ast.FuncDecl) (name string, generic bool) {
	if len(f.Recv.List) == 0 {
		return "", false
	}
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IndexExpr, *ast.IndexListExpr:
			generic = true
		case *ast.Ident:
			if name == "" {
				name = n.Name
			}
		}
		return true
	})
	return name, generic
}

// isStruct follows definitions like type A B within the package.
func (c *checker) isStruct(spec *ast.TypeSpec) bool {
	for range 100 {
		if spec.Assign.IsValid() {
			return false // a method's receiver is what it is an alias of
		}
		switch t := spec.Type.(type) {
		case *ast.StructType:
			return true
		case *ast.Ident:
			if spec, _ = c.source.TypeSpec(t.Name); spec == nil {
				return false
			}
		default:
			return false
		}
	}
	return false
}

// doc is the text of a doc comment, without directives.
func doc(group *ast.CommentGroup) []string {
	text := strings.TrimRight(group.Text(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// export is the name with its first letter in upper case, or "" if it has none.
func export(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	upper := string(unicode.ToUpper(first)) + name[size:]
	if !token.IsExported(upper) {
		return ""
	}
	return upper
}

// lower is the name that begins in lower case: ID to id, HTTPGet to httpGet.
func lower(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if !unicode.IsUpper(r) || i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	if word := string(runes); !token.IsKeyword(word) && types.Universe.Lookup(word) == nil {
		return word
	}
	return string(runes) + "Task"
}

// wrapper shows a task that calls a generic function.
func wrapper(f *ast.FuncDecl) string {
	var params, args, typeArgs []string
	typeParams := map[string]bool{}
	for _, field := range f.Type.TypeParams.List {
		for _, name := range field.Names {
			typeParams[name.Name] = true
			typeArgs = append(typeArgs, "User")
		}
	}
	concrete := func(e ast.Expr) string {
		return anIdentifier.ReplaceAllStringFunc(types.ExprString(e), func(word string) string {
			if typeParams[word] {
				return "User"
			}
			return word
		})
	}
	for _, field := range f.Type.Params.List {
		for _, name := range field.Names {
			params = append(params, name.Name+" "+concrete(field.Type))
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				args = append(args, name.Name+"...")
				continue
			}
			args = append(args, name.Name)
		}
	}
	call := fmt.Sprintf("%s[%s](%s)", f.Name.Name, strings.Join(typeArgs, ", "), strings.Join(args, ", "))
	var results []string
	if f.Type.Results != nil {
		for _, field := range f.Type.Results.List {
			for range max(1, len(field.Names)) {
				results = append(results, concrete(field.Type))
			}
		}
		call = "return " + call
	}
	result := strings.Join(results, ", ")
	switch {
	case len(results) > 1:
		result = "(" + result + ") "
	case len(results) == 1:
		result += " "
	}
	return fmt.Sprintf("\t//task:define\n\tfunc %sUser(%s) %s{ %s }", lower(f.Name.Name), strings.Join(params, ", "), result, call)
}

var anIdentifier = regexp.MustCompile(`[\pL_][\pL_\p{Nd}]*`)

// signature checks parameters and results.
func (c *checker) signature(t *task, sig *types.Signature) {
	positions := positions(t.decl.Type)
	for i := range sig.Params().Len() {
		pos := positions[min(i, len(positions)-1)]
		c.param(t, sig, i, pos)
	}
	c.results(t, sig)
	c.fields(t)
}

// positions are where the parameters are.
func positions(f *ast.FuncType) []token.Pos {
	var list []token.Pos
	for _, field := range f.Params.List {
		for _, name := range field.Names {
			list = append(list, name.Pos())
		}
		if len(field.Names) == 0 {
			list = append(list, field.Type.Pos())
		}
	}
	return list
}

func (c *checker) param(t *task, sig *types.Signature, i int, pos token.Pos) {
	v := sig.Params().At(i)
	variadic := sig.Variadic() && i == sig.Params().Len()-1
	if invalid(v.Type()) {
		c.unknown(t, pos)
		t.faulty = append(t.faulty, v.Name())
		return
	}
	p := &model.Param{Name: v.Name(), Wire: v.Name(), Variadic: variadic}
	pointer, _ := types.Unalias(v.Type()).(*types.Pointer)
	switch {
	case named(v.Type()) == contextType && i == 0:
		t.model.Context = true
		return
	case named(v.Type()) == contextType:
		c.errorf(pos, "task %s: parameter %s: a context.Context must be the first parameter", t.model.Func, shown(p.Name, i))
		return
	case named(v.Type()) == infoType:
		p.Injected = model.Info
	case pointer != nil && named(pointer.Elem()) == loggerType:
		p.Injected = model.Logger
	}
	if p.Injected != model.Argument && t.model.Extern != "" {
		c.errorf(pos, "task %s: parameter %s: workers made with taskgen pass it, and others run this task: remove it", t.model.Func, shown(p.Name, i))
		return
	}
	if p.Injected != model.Argument {
		p.Type = &model.Type{Kind: model.Any, Expr: c.values.spell(v.Type())}
		t.model.Params = append(t.model.Params, p)
		return
	}
	if p.Name == "" || p.Name == "_" {
		c.errorf(pos, "task %s: parameter %d needs a name: arguments travel by name", t.model.Func, i+1)
		return
	}
	in := &inspection{pkg: v.Pkg(), seen: map[types.Type]bool{}}
	if culprit := in.inspect(v.Type()); culprit != nil {
		t.faulty = append(t.faulty, p.Name)
		c.errorf(pos, "task %s: parameter %s: %s", t.model.Func, p.Name, culprit)
		return
	}
	if in.model != nil {
		c.diags.Warnf(c.w.Position(pos), "task %s: parameter %s: %s: by the time the task runs it may have changed, and saving it would undo that; pass its id and fetch it again in the task (docs/directives.md, Rows of a database)", t.model.Func, p.Name, in.model)
	}
	p.Type = c.values.of(v.Type())
	t.model.Params = append(t.model.Params, p)
}

func shown(name string, i int) string {
	if name == "" || name == "_" {
		return strconv.Itoa(i + 1)
	}
	return name
}

func invalid(t types.Type) bool { return strings.Contains(types.TypeString(t, nil), "invalid type") }

// unknown takes note of an invalid type, and reports it unless that has been done.
func (c *checker) unknown(t *task, pos token.Pos) {
	c.incomplete = true
	usesC := false
	ast.Inspect(t.decl.Type, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "C" {
				usesC = true
			}
		}
		return true
	})
	switch {
	case c.explained:
	case usesC:
		c.errorf(pos, "task %s: a type of C can't travel: convert it to one of Go", t.model.Func)
	case len(c.foreignErrors) > 0:
		d := c.errorf(pos, "task %s: the type here can't be told, as a package that it comes from has errors", t.model.Func)
		d.Relatef(c.w.Position(c.foreignErrors[0].Pos), "%s", c.foreignErrors[0].Message)
	default:
		c.errorf(pos, "task %s: the type here can't be told", t.model.Func)
	}
}

func (c *checker) results(t *task, sig *types.Signature) {
	results := sig.Results()
	pos := t.decl.Type.End()
	if t.decl.Type.Results != nil {
		pos = t.decl.Type.Results.Pos()
	}
	n := results.Len()
	if n > 0 && isError(results.At(n-1).Type()) {
		t.model.Error = true
		n--
	}
	switch {
	case n == 0:
		return
	case n > 1 || results.Len() > 2:
		c.errorf(pos, "task %s: a task returns nothing, an error, a value, or a value and an error: put several values into a struct", t.model.Func)
		return
	}
	result := results.At(0).Type()
	switch {
	case invalid(result):
		c.unknown(t, pos)
		return
	case isError(result):
		c.errorf(pos, "task %s: a task returns at most one error", t.model.Func)
		return
	case hasError(result):
		c.errorf(pos, "task %s: returns %s, which is an error: return error instead, so that nil means success", t.model.Func, (&inspection{pkg: results.At(0).Pkg()}).name(result))
		return
	}
	in := &inspection{pkg: results.At(0).Pkg(), seen: map[types.Type]bool{}}
	if culprit := in.inspect(result); culprit != nil {
		c.errorf(pos, "task %s: result: %s", t.model.Func, culprit)
		return
	}
	t.model.Result = c.values.of(result)
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// hasError says whether a value is an error.
func hasError(t types.Type) bool {
	iface := types.Universe.Lookup("error").Type().Underlying().(*types.Interface)
	return types.Implements(t, iface) || types.Implements(types.NewPointer(t), iface)
}

// fields names the fields of the argument struct.
func (c *checker) fields(t *task) {
	used := []string{}
	for _, p := range t.model.Params {
		if p.Injected != model.Argument {
			continue
		}
		name := export(strings.TrimLeft(p.Name, "_"))
		if name == "" {
			name = "Arg" + p.Name
		}
		for slices.Contains(used, name) {
			name += "_"
		}
		used = append(used, name)
		p.Field = name
	}
}
