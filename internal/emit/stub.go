package emit

import (
	"slices"
	"strconv"

	"github.com/dave/jennifer/jen"

	"github.com/taskgen/taskgen/internal/model"
)

// arguments are the parameters that travel.
func (t *task) arguments() []*model.Param {
	var travel []*model.Param
	for _, p := range t.Params {
		if p.Injected == model.Argument {
			travel = append(travel, p)
		}
	}
	return travel
}

// result is the type of the task's result.
func (t *task) result() jen.Code {
	if t.Result == nil {
		return jen.Qual(taskPath, "None")
	}
	return source(t.Result.Expr)
}

// comment puts lines above the next declaration.
func (f *file) comment(lines ...string) {
	f.Line()
	for _, line := range lines {
		if line != "" {
			line = " " + line
		}
		f.Comment("//" + line)
	}
}

// handshake is the line that does not compile with a runtime of another generation.
func (f *file) handshake() {
	f.comment(
		"This file fits the taskgen runtime of generation 1. If this line does not",
		"compile, run: go get github.com/taskgen/taskgen && go generate ./...",
	)
	f.Const().Id("_").Op("=").Qual(taskPath, "Generation1")
}

// variable is what users call. It holds data only: a function named here would
// close an initialization cycle as soon as its body sends the task again.
func (f *file) variable(t *task) {
	f.comment(doc(t.Task)...)
	define := jen.Qual(taskPath, "Define").Types(jen.Id(t.args)).Call(spec(t.Task), f.resultFunc(t))
	f.Var().Id(t.Stub).Op("=").Id(t.typ).Values(define)
}

func (f *file) taskType(t *task) {
	f.comment(t.typ + " sends [" + t.Stub + "].")
	f.Type().Id(t.typ).Struct(jen.Qual(taskPath, "Task").Types(jen.Id(t.args), t.result()))
}

func (f *file) argsType(t *task) {
	f.comment(t.args + " are the arguments of [" + t.Stub + "].")
	f.Type().Id(t.args).StructFunc(func(g *jen.Group) {
		for _, p := range t.arguments() {
			g.Id(t.fields[p]).Add(source(p.Type.Expr))
		}
	})
}

func (f *file) visit(t *task) {
	f.comment("Visit visits the arguments in the order of the parameters.")
	if len(t.arguments()) == 0 {
		f.Func().Params(jen.Op("*").Id(t.args)).Id("Visit").Params(jen.Qual(codecPath, "Fields")).Block()
		return
	}
	scope := f.scope.inner()
	recv, fields := scope.fresh("a"), scope.fresh("f")
	f.Func().Params(jen.Id(recv).Op("*").Id(t.args)).Id("Visit").Params(jen.Id(fields).Qual(codecPath, "Fields")).
		BlockFunc(func(g *jen.Group) {
			for _, p := range t.arguments() {
				field := jen.Id(fields).Dot("Field").Call(jen.Lit(p.Name))
				g.Add(visitor{scope}.call(p.Type, field, jen.Op("&").Id(recv).Dot(t.fields[p])))
			}
		})
}

// sender is a method whose parameters are those of the task, after some of ours.
type sender struct {
	recv, ctx, cause string
	params           []string // the user's names, unless one hides what the body needs
}

// sender keeps the user's names and makes ours give way.
func (f *file) sender(t *task) sender {
	scope := names{used: map[string]bool{}}
	scope.take(t.args)
	var s sender
	for _, p := range t.arguments() {
		s.params = append(s.params, scope.fresh(p.Name))
	}
	scope.outer = f.scope
	s.recv, s.ctx, s.cause = scope.fresh("t"), scope.fresh("ctx"), scope.fresh("cause")
	return s
}

func (f *file) delay(t *task) {
	s := f.sender(t)
	f.comment("Delay sends the task; a nil error means that the broker has it.")
	f.Func().Params(jen.Id(s.recv).Id(t.typ)).Id("Delay").
		ParamsFunc(func(g *jen.Group) {
			g.Id(s.ctx).Qual(contextPath, "Context")
			s.list(g, t)
		}).
		Params(jen.Op("*").Qual(taskPath, "Call").Types(t.result()), jen.Error()).
		Block(jen.Return(jen.Id(s.recv).Dot("Send").Call(jen.Id(s.ctx), s.literal(t))))
}

func (f *file) with(t *task) {
	scope := f.scope.inner()
	recv, options := scope.fresh("t"), scope.fresh("options")
	f.comment("With returns the task with other options for the next call.")
	f.Func().Params(jen.Id(recv).Id(t.typ)).Id("With").
		Params(jen.Id(options).Op("...").Qual(taskPath, "Option")).Id(t.typ).
		Block(jen.Return(jen.Id(t.typ).Values(
			jen.Id(recv).Dot("Task").Dot("With").Call(jen.Id(options).Op("...")),
		)))
}

// retry is for tasks that return an error: the others could not return this one.
func (f *file) retry(t *task) {
	s := f.sender(t)
	f.comment(
		"Retry returns the error with which a running task asks to run again with",
		"these arguments; "+s.cause+" is what went wrong.",
	)
	f.Func().Params(jen.Id(s.recv).Id(t.typ)).Id("Retry").
		ParamsFunc(func(g *jen.Group) {
			g.Id(s.ctx).Qual(contextPath, "Context")
			g.Id(s.cause).Error()
			s.list(g, t)
		}).
		Error().
		Block(jen.Return(jen.Id(s.recv).Dot("Again").Call(jen.Id(s.ctx), jen.Id(s.cause), s.literal(t))))
}

// list adds the parameters to g, neighbours of one type together.
func (s sender) list(g *jen.Group, t *task) {
	args := t.arguments()
	for i := 0; i < len(args); {
		end := i + 1
		for end < len(args) && !args[i].Variadic && !args[end].Variadic && slices.Equal(args[end].Type.Expr, args[i].Type.Expr) {
			end++
		}
		same := make([]jen.Code, 0, end-i)
		for _, name := range s.params[i:end] {
			same = append(same, jen.Id(name))
		}
		if args[i].Variadic {
			g.List(same...).Op("...").Add(source(args[i].Type.Elem.Expr))
		} else {
			g.List(same...).Add(source(args[i].Type.Expr))
		}
		i = end
	}
}

// literal is the argument struct made of the parameters.
func (s sender) literal(t *task) jen.Code {
	return jen.Op("&").Id(t.args).ValuesFunc(func(g *jen.Group) {
		for i, p := range t.arguments() {
			g.Id(t.fields[p]).Op(":").Id(s.params[i])
		}
	})
}

// resultFunc is the function that encodes and decodes the result.
func (f *file) resultFunc(t *task) jen.Code {
	if t.Result == nil {
		return jen.Qual(codecPath, "Nothing")
	}
	return visitor{f.scope}.instance(t.Result)
}

// source is a type expression as code.
func source(expr model.Expr) jen.Code {
	s := jen.Null()
	for _, part := range expr {
		if part.Path == "" {
			s.Op(part.Text)
		} else {
			s.Qual(part.Path, part.Text)
		}
	}
	return s
}

// quoted is a list of string literals.
func quoted(list []string) jen.Code {
	return jen.Index().String().ValuesFunc(func(g *jen.Group) {
		for _, s := range list {
			g.Op(strconv.Quote(s))
		}
	})
}
