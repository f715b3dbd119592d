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

// retries says whether a run of the task can ask for another: it runs here, and can return the error that asks.
func (t *task) retries() bool { return t.Error && t.Extern == "" }

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
	define := jen.Qual(taskPath, "Define").Types(jen.Id(t.args)).Call(f.spec(t.Task), f.resultFunc(t))
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
	scope := f.scope.Inner()
	recv, fields := scope.Fresh("a"), scope.Fresh("f")
	f.Func().Params(jen.Id(recv).Op("*").Id(t.args)).Id("Visit").Params(jen.Id(fields).Qual(codecPath, "Fields")).
		BlockFunc(func(g *jen.Group) {
			for _, p := range t.arguments() {
				field := jen.Id(fields).Dot("Field").Call(jen.Lit(p.Wire))
				g.Add(visitor{scope}.call(p.Type, field, jen.Op("&").Id(recv).Dot(t.fields[p])))
			}
		})
}

// signature is what the methods of a task call their receiver and parameters.
type signature struct {
	recv, ctx, cause, options string
	params                    []string // the user's names
}

// signature keeps the user's names and makes ours give way.
func (f *file) signature(t *task) signature {
	scope := f.scope.Inner()
	var s signature
	for _, p := range t.arguments() {
		name := p.Name
		if name == t.args { // hidden, the body could not name its type
			name = scope.Fresh(name)
		}
		scope.Take(name)
		s.params = append(s.params, name)
	}
	s.recv, s.ctx, s.cause, s.options = scope.Fresh("t"), scope.Fresh("ctx"), scope.Fresh("cause"), scope.Fresh("options")
	return s
}

func (f *file) delay(t *task) {
	s := f.signature(t)
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
	s := f.signature(t)
	f.comment("With returns the task with other options for the next call.")
	f.Func().Params(jen.Id(s.recv).Id(t.typ)).Id("With").
		Params(jen.Id(s.options).Op("...").Qual(taskPath, "Option")).Id(t.typ).
		Block(jen.Return(jen.Id(t.typ).Values(
			jen.Id(s.recv).Dot("Task").Dot("With").Call(jen.Id(s.options).Op("...")),
		)))
}

// retry is for tasks that return an error: the others could not return this one.
func (f *file) retry(t *task) {
	s := f.signature(t)
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
func (s signature) list(g *jen.Group, t *task) {
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
func (s signature) literal(t *task) jen.Code {
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
