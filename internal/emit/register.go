package emit

import (
	"unicode"

	"github.com/dave/jennifer/jen"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// registerFunc is the only place that names the user's functions, in closures:
// when a signature has changed since, this is what does not compile.
func (f *file) registerFunc() {
	scope := f.scope.Inner()
	registry := scope.Fresh("r")
	structs := map[string]string{}
	hooked := map[string]bool{}
	for _, s := range f.pkg.Structs {
		structs[s.Name], hooked[s.Name] = scope.Fresh(lowerFirst(s.Name)), s.Hooks
	}
	f.comment(f.register + " makes the tasks of this package known to a worker's registry.")
	f.Func().Id(f.register).
		ParamsFunc(func(g *jen.Group) {
			g.Id(registry).Op("*").Qual(taskPath, "Registry")
			for _, s := range f.pkg.Structs {
				g.Id(structs[s.Name]).Op("*").Id(s.Name)
			}
		}).
		BlockFunc(func(g *jen.Group) {
			for _, t := range f.tasks {
				if t.Extern != "" {
					continue
				}
				function := jen.Id(t.Func)
				if t.Struct != "" {
					function = jen.Id(structs[t.Struct]).Dot(t.Func)
				}
				handle := []jen.Code{jen.Id(registry), t.handler(scope.Inner(), function)}
				if hooked[t.Struct] {
					handle = append(handle, jen.Qual(taskPath, "HooksOf").Call(jen.Id(structs[t.Struct])))
				}
				g.Id(t.Stub).Dot("Handle").Call(handle...)
			}
		})
}

// handler is the closure that calls the user's function.
func (t *task) handler(scope *names.Scope, function *jen.Statement) jen.Code {
	ctx, args := "_", "_"
	if t.needsContext() {
		ctx = scope.Fresh("ctx")
	}
	if len(t.arguments()) > 0 {
		args = scope.Fresh("a")
	}
	call := function.CallFunc(func(g *jen.Group) {
		if t.Context {
			g.Id(ctx)
		}
		for _, p := range t.Params {
			g.Add(t.pass(p, ctx, args))
		}
	})
	return jen.Func().
		Params(jen.Id(ctx).Qual(contextPath, "Context"), jen.Id(args).Op("*").Id(t.args)).
		Params(t.result(), jen.Error()).
		BlockFunc(func(g *jen.Group) {
			none := jen.Qual(taskPath, "None").Values()
			switch {
			case t.Result != nil && t.Error:
				g.Return(call)
			case t.Result != nil:
				g.Return(call, jen.Nil())
			case t.Error:
				g.Return(none, call)
			default:
				g.Add(call)
				g.Return(none, jen.Nil())
			}
		})
}

// pass is what the user's function gets for p.
func (t *task) pass(p *model.Param, ctx, args string) jen.Code {
	switch p.Injected {
	case model.Info:
		return jen.Qual(taskPath, "InfoFrom").Call(jen.Id(ctx))
	case model.Logger:
		return jen.Qual(taskPath, "LoggerFrom").Call(jen.Id(ctx))
	}
	value := jen.Id(args).Dot(t.fields[p])
	if p.Variadic {
		value.Op("...")
	}
	return value
}

// needsContext says whether the call mentions the context.
func (t *task) needsContext() bool {
	return t.Context || len(t.arguments()) < len(t.Params)
}

// lowerFirst makes a type's name a parameter's: Mailer is mailer, HTTPClient httpClient.
func lowerFirst(name string) string {
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && i+1 < len(runes) && unicode.IsLower(runes[i+1]) {
			break
		}
		runes[i] = unicode.ToLower(r)
	}
	return string(runes)
}
