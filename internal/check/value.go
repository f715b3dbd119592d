package check

import (
	"fmt"
	"go/token"
	"go/types"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/model"
)

// values turns types into model types, and tells which can't travel.
type values struct {
	pkg     string // import path of the package whose code will spell them
	taken   map[string]bool
	imports map[string]string // collects the packages that are spelt
	records map[string]*model.Record
	open    []types.Type // what json is looking into, up to the next struct
	depth   int          // of such structs
}

// of returns the type's model. It must be able to travel.
func (v *values) of(t types.Type) *model.Type {
	typ := v.kind(t, nil)
	v.mention(t)
	return typ
}

// mention collects the names of the packages in a type's spelling.
func (v *values) mention(t types.Type) {
	types.TypeString(t, func(p *types.Package) string {
		if p.Path() != v.pkg {
			v.imports[p.Path()] = p.Name()
		}
		return ""
	})
}

// kind decides how values of a type are visited, and what they are as JSON where that is left to reflection. within
// holds the types that it is part of.
func (v *values) kind(t types.Type, within []types.Type) *model.Type {
	out := v.visited(t, within)
	if out.Kind == model.Any {
		out.JSON = v.json(t)
	}
	return out
}

func (v *values) visited(t types.Type, within []types.Type) *model.Type {
	out := &model.Type{Kind: model.Any, Expr: v.spell(t)}
	plain := types.Unalias(t)
	switch named(plain) {
	case "time.Time":
		out.Kind = model.Time
		return out
	case "time.Duration":
		out.Kind = model.Duration
		return out
	case "encoding/json.RawMessage":
		out.Kind = model.JSON
		return out
	}
	if slices.Contains(within, plain) || len(within) > deepest || encodesItself(plain) {
		return out
	}
	within = append(within, plain)
	part := func(t types.Type) *model.Type {
		if typ := v.kind(t, within); v.spellable(typ.Expr) {
			v.mention(t)
			return typ
		}
		return nil
	}
	switch u := plain.Underlying().(type) {
	case *types.Basic:
		out.Kind = basic(u)
	case *types.Slice:
		if types.Identical(u.Elem(), types.Typ[types.Byte]) {
			out.Kind = model.Bytes
		} else if elem := part(u.Elem()); elem != nil {
			out.Kind, out.Elem = model.Slice, elem
		}
	case *types.Map:
		key, elem := part(u.Key()), part(u.Elem())
		if key != nil && elem != nil && (key.Kind == model.String || key.Kind == model.Int || key.Kind == model.Uint) {
			out.Kind, out.Key, out.Elem = model.Map, key, elem
		}
	case *types.Pointer:
		if _, ok := plain.(*types.Pointer); !ok {
			break // a named pointer type: not assignable to a *T by its address
		}
		if elem := part(u.Elem()); elem != nil {
			out.Kind, out.Elem = model.Pointer, elem
		}
	}
	return out
}

func basic(b *types.Basic) model.Kind {
	switch info := b.Info(); {
	case info&types.IsBoolean != 0:
		return model.Bool
	case info&types.IsUnsigned != 0:
		return model.Uint
	case info&types.IsInteger != 0:
		return model.Int
	case info&types.IsFloat != 0:
		return model.Float
	case info&types.IsString != 0:
		return model.String
	}
	return model.Any
}

// named is the full name of a named type, "" for any other.
func named(t types.Type) string {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return ""
	}
	return n.Obj().Pkg().Path() + "." + n.Obj().Name()
}

// ownEncoding are the methods by which a type takes its encoding in hand.
var ownEncoding = []string{
	"MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
	"EncodeMsgpack", "DecodeMsgpack", "MarshalMsgpack", "UnmarshalMsgpack",
}

func encodesItself(t types.Type) bool {
	switch t.Underlying().(type) {
	case *types.Interface, *types.Pointer:
		return false
	}
	set := types.NewMethodSet(types.NewPointer(t))
	return slices.ContainsFunc(ownEncoding, func(name string) bool { return set.Lookup(nil, name) != nil })
}

// spell writes a type as source. Package names are marked, so that the text
// can be cut there.
func (v *values) spell(t types.Type) model.Expr {
	const mark = "\x00"
	text := types.TypeString(t, func(p *types.Package) string {
		if p.Path() == v.pkg {
			return ""
		}
		return mark + p.Path() + mark
	})
	var expr model.Expr
	for {
		before, rest, found := strings.Cut(text, mark)
		if before != "" {
			expr = append(expr, model.Part{Text: before})
		}
		if !found {
			return expr
		}
		path, rest, _ := strings.Cut(rest, mark)
		name := identifier.FindString(rest[1:]) // behind the dot
		expr = append(expr, model.Part{Text: name, Path: path})
		text = rest[1+len(name):]
	}
}

var (
	identifier = regexp.MustCompile(`^[\pL_][\pL_\p{Nd}]*`)
	words      = regexp.MustCompile(`[\pL_][\pL_\p{Nd}]*`)
)

// spellable says whether the package can write an expression that it did not
// write itself: the element of somebody else's slice type may be out of reach.
func (v *values) spellable(expr model.Expr) bool {
	for _, part := range expr {
		if part.Path == "" {
			for _, word := range words.FindAllString(part.Text, -1) {
				if v.taken[word] && types.Universe.Lookup(word) != nil {
					return false
				}
			}
			continue
		}
		if !token.IsExported(part.Text) || !v.importable(part.Path) {
			return false
		}
	}
	return true
}

// importable applies the rule of internal packages.
func (v *values) importable(path string) bool {
	i := strings.LastIndex("/"+path+"/", "/internal/")
	if i < 0 {
		return true
	}
	parent := strings.TrimSuffix(path[:max(i-1, 0)], "/")
	return parent != "" && (v.pkg == parent || strings.HasPrefix(v.pkg, parent+"/"))
}

// culprit is the reason why a type can't travel.
type culprit struct {
	path   []string // from the outside in
	reason string
}

func (c *culprit) String() string {
	return strings.Join(append(slices.Clone(c.path), c.reason), ": ")
}

// inspection looks into a type as an encoder would.
type inspection struct {
	pkg  *types.Package
	seen map[types.Type]bool
	path []string
	// model is the first database model on the way, and how one can tell.
	model *culprit
}

// deepest is far deeper than sane types are, and stops those that grow without end.
const deepest = 100

// inspect returns what keeps a type from travelling, or nil.
func (in *inspection) inspect(t types.Type) *culprit {
	t = types.Unalias(t)
	if in.seen[t] {
		return nil
	}
	if len(in.path) > deepest {
		if slices.ContainsFunc(in.path, func(step string) bool { return strings.HasPrefix(step, "field ") }) {
			return nil
		}
		return &culprit{reason: fmt.Sprintf("lists and maps in each other can't travel if they are more than %d deep", deepest)}
	}
	if n, ok := t.(*types.Named); ok {
		in.seen[n] = true
	}
	if hint := resource(t); hint != "" {
		return in.fail("%s can't travel: %s", in.name(t), hint)
	}
	structType, isStruct := t.Underlying().(*types.Struct)
	if isStruct && in.model == nil {
		if how := databaseModel(structType); how != "" {
			in.model = &culprit{slices.Clone(in.path), fmt.Sprintf("%s is a database model (%s)", in.name(t), how)}
		}
	}
	if encodesItself(t) {
		return nil
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch {
		case u.Kind() == types.UnsafePointer:
			return in.fail("unsafe.Pointer can't travel: an address means nothing in another process")
		case u.Info()&types.IsComplex != 0:
			return in.fail("%s can't travel: no serializer has complex numbers; pass two floats", in.name(t))
		}
	case *types.Interface:
		return in.iface(t, u)
	case *types.Signature:
		return in.fail("a function can't travel: pass what it decides on, as a value")
	case *types.Chan:
		return in.fail("a channel can't travel: another process may run the task")
	case *types.Pointer:
		return in.inspect(u.Elem())
	case *types.Slice:
		return in.at("element", u.Elem())
	case *types.Array:
		return in.at("element", u.Elem())
	case *types.Map:
		if c := in.key(u.Key()); c != nil {
			return c
		}
		return in.at("map value", u.Elem())
	case *types.Struct:
		return in.fields(t, u)
	}
	return nil
}

func (in *inspection) iface(t types.Type, u *types.Interface) *culprit {
	switch {
	case types.Identical(t, types.Universe.Lookup("error").Type()):
		return in.fail("an error can't travel: pass its text")
	case u.Empty():
		return in.fail("%s can't travel typed: name the type", in.name(t))
	default:
		return in.fail("interface %s can't travel: the receiver can't know which type to make", in.name(t))
	}
}

func (in *inspection) at(step string, t types.Type) *culprit {
	in.path = append(in.path, step)
	defer func() { in.path = in.path[:len(in.path)-1] }()
	return in.inspect(t)
}

// key says whether a type can be the key of a map in every serializer.
func (in *inspection) key(t types.Type) *culprit {
	if b, ok := t.Underlying().(*types.Basic); ok && b.Info()&(types.IsString|types.IsInteger) != 0 {
		return nil
	}
	set := types.NewMethodSet(types.NewPointer(t))
	if set.Lookup(nil, "MarshalText") != nil && set.Lookup(nil, "UnmarshalText") != nil {
		return nil
	}
	return in.fail("map key %s can't travel: keys are text or whole numbers", in.name(t))
}

func (in *inspection) fields(t types.Type, u *types.Struct) *culprit {
	travelling := 0
	for i := range u.NumFields() {
		field := u.Field(i)
		if name, _, _ := strings.Cut(reflect.StructTag(u.Tag(i)).Get("json"), ","); name == "-" {
			continue
		}
		if !field.Exported() {
			pointer, isPointer := types.Unalias(field.Type()).(*types.Pointer)
			elem := field.Type()
			if isPointer {
				elem = pointer.Elem()
			}
			if _, ok := elem.Underlying().(*types.Struct); !field.Embedded() || !ok {
				continue
			}
			if isPointer {
				return in.fail("%s embeds %s, a pointer that can't be set: embed the struct itself or export it", in.name(t), in.name(field.Type()))
			}
			if hidden(elem) {
				continue
			}
		}
		travelling++
		if c := in.at("field "+field.Name(), field.Type()); c != nil {
			return c
		}
	}
	if travelling == 0 && u.NumFields() > 0 {
		return in.fail("%s can't travel: it has no exported fields", in.name(t))
	}
	return nil
}

// hidden says that nothing of an embedded struct is visible from the outside.
func hidden(t types.Type) bool {
	u, ok := t.Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for f := range u.Fields() {
		if f.Exported() || f.Embedded() && !hidden(f.Type()) {
			return false
		}
	}
	return true
}

func (in *inspection) fail(format string, args ...any) *culprit {
	return &culprit{slices.Clone(in.path), fmt.Sprintf(format, args...)}
}

// name is a type as the user would write it, packages by their names.
func (in *inspection) name(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == in.pkg {
			return ""
		}
		return p.Name()
	})
}

// resources are types that stand for something in this process. Most would fail
// anyway, but for a reason that helps nobody.
var resources = map[string]string{
	"context.Context":   "a context is the first parameter and stays in the process",
	"database/sql.DB":   dependency,
	"database/sql.Tx":   "a transaction ends with the process that began it",
	"database/sql.Conn": dependency,
	"database/sql.Stmt": dependency,
	"database/sql.Row":  "read it and pass the values",
	"database/sql.Rows": "read them and pass the values",
	"net/http.Request":  "pass what the task needs of it",
	"net/http.Response": "pass what the task needs of it",
	"net/http.Client":   dependency,
	"net/http.Server":   dependency,
	"net/url.URL":       "pass its text, and parse it in the task",
	"os.File":           "pass its name or its content",
	"log.Logger":        "a parameter of type *slog.Logger is given by the worker",
	"log/slog.Logger":   "a parameter of type *slog.Logger is given by the worker, by itself and by pointer",
	infoType:            "a parameter of type task.Info is given by the worker, by itself and by value",
}

const (
	dependency  = "make it a field of a struct and the task a method of that struct"
	infoType    = "github.com/taskgen/taskgen/runtime/task.Info"
	loggerType  = "log/slog.Logger"
	contextType = "context.Context"
)

func resource(t types.Type) string {
	name := named(t)
	if strings.HasPrefix(name, "sync.") || strings.HasPrefix(name, "sync/atomic.") {
		return "a lock guards memory of one process"
	}
	return resources[name]
}

// databaseModel says how one can tell that a struct is a row of a database, or "".
func databaseModel(s *types.Struct) string {
	for i := range s.NumFields() {
		field := s.Field(i)
		switch name := named(field.Type()); {
		case !field.Embedded():
		case name == "gorm.io/gorm.Model", name == "github.com/jinzhu/gorm.Model",
			name == "github.com/uptrace/bun.BaseModel", name == "entgo.io/ent.Schema",
			name == "github.com/kamva/mgm/v3.DefaultModel":
			return "it embeds " + name[strings.LastIndex(name, "/")+1:]
		}
		if strings.HasPrefix(named(field.Type()), "entgo.io/ent/") {
			return "it is generated by ent"
		}
		tag := reflect.StructTag(s.Tag(i))
		for _, key := range []string{"gorm", "ent", "sql", "db", "bun", "xorm", "boil"} {
			if _, ok := tag.Lookup(key); ok {
				return fmt.Sprintf("field %s has a %s tag", field.Name(), key)
			}
		}
	}
	return ""
}
