package emit

import (
	"github.com/dave/jennifer/jen"

	"github.com/taskgen/taskgen/internal/model"
	"github.com/taskgen/taskgen/internal/names"
)

// visitor writes the calls that visit a value, see package codec.
type visitor struct{ scope *names.Scope }

// codecFunc names the function of package codec for each kind.
var codecFunc = map[model.Kind]string{
	model.Bool:     "Bool",
	model.Int:      "Int",
	model.Uint:     "Uint",
	model.Float:    "Float",
	model.String:   "String",
	model.Bytes:    "Bytes",
	model.Time:     "Time",
	model.Duration: "Duration",
	model.JSON:     "JSON",
	model.Any:      "Any",
	model.Slice:    "Slice",
	model.Map:      "Map",
	model.Pointer:  "Pointer",
}

// call visits the value of type t at pointer p in place v.
func (w visitor) call(t *model.Type, v, p jen.Code) jen.Code {
	args := []jen.Code{v, p}
	switch t.Kind {
	case model.Slice, model.Pointer:
		args = append(args, w.function(t.Elem))
	case model.Map:
		args = append(args, w.function(t.Key), w.function(t.Elem))
	}
	return jen.Qual(codecPath, codecFunc[t.Kind]).Call(args...)
}

// function is a func(codec.Value, *T) where the compiler infers T.
func (w visitor) function(t *model.Type) jen.Code {
	if composite(t.Kind) {
		return w.literal(t)
	}
	return jen.Qual(codecPath, codecFunc[t.Kind])
}

// instance is a func(codec.Value, *T) that says T, for where nothing else does.
func (w visitor) instance(t *model.Type) jen.Code {
	switch {
	case composite(t.Kind):
		return w.literal(t)
	case t.Kind == model.Time, t.Kind == model.Duration, t.Kind == model.JSON:
		return jen.Qual(codecPath, codecFunc[t.Kind])
	}
	return jen.Qual(codecPath, codecFunc[t.Kind]).Types(source(t.Expr))
}

// literal is a function literal for a type whose elements need functions of their own.
func (w visitor) literal(t *model.Type) jen.Code {
	// Each literal has its own scope, and none needs a name from around it.
	scope := w.scope.Inner()
	v, p := scope.Fresh("v"), scope.Fresh("p")
	return jen.Func().Params(jen.Id(v).Qual(codecPath, "Value"), jen.Id(p).Op("*").Add(source(t.Expr))).
		Block(w.call(t, jen.Id(v), jen.Id(p)))
}

func composite(k model.Kind) bool {
	return k == model.Slice || k == model.Map || k == model.Pointer
}
