package check

import (
	"go/types"
	"reflect"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/internal/model"
)

// json is what encoding/json makes of a type.
func (v *values) json(t types.Type) *model.Type {
	t = types.Unalias(t)
	switch named(t) {
	case "time.Time":
		return &model.Type{Kind: model.Time}
	case "time.Duration":
		return &model.Type{Kind: model.Duration}
	case "encoding/json.RawMessage", "encoding/json.Number":
		return &model.Type{Kind: model.Any}
	}
	switch {
	case hasMethod(t, inJSON...):
		return &model.Type{Kind: model.Any}
	case hasMethod(t, asText...):
		return &model.Type{Kind: model.String}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return &model.Type{Kind: basic(u)}
	case *types.Pointer:
		return nullable(v.nested(t, func() *model.Type { return v.json(u.Elem()) }))
	case *types.Slice:
		if types.Identical(u.Elem().Underlying(), types.Typ[types.Byte]) {
			return nullable(&model.Type{Kind: model.Bytes})
		}
		return nullable(v.list(t, u.Elem()))
	case *types.Array:
		return v.list(t, u.Elem())
	case *types.Map:
		return nullable(v.nested(t, func() *model.Type {
			return &model.Type{Kind: model.Map, Key: &model.Type{Kind: model.String}, Elem: v.json(u.Elem())}
		}))
	case *types.Struct:
		return v.record(t, u)
	}
	return &model.Type{Kind: model.Any}
}

// inJSON and asText are the methods by which a type takes in hand what it is in JSON.
var (
	inJSON = []string{"MarshalJSON", "UnmarshalJSON"}
	asText = []string{"MarshalText", "UnmarshalText"}
)

func hasMethod(t types.Type, names ...string) bool {
	if _, ok := t.Underlying().(*types.Pointer); ok {
		return false
	}
	set := types.NewMethodSet(types.NewPointer(t))
	return slices.ContainsFunc(names, func(name string) bool { return set.Lookup(nil, name) != nil })
}

// nullable is a type whose values may be null.
func nullable(t *model.Type) *model.Type {
	if t.Kind == model.Pointer || t.Kind == model.Any {
		return t
	}
	return &model.Type{Kind: model.Pointer, Elem: t}
}

func (v *values) list(t, elem types.Type) *model.Type {
	return v.nested(t, func() *model.Type { return &model.Type{Kind: model.Slice, Elem: v.json(elem)} })
}

// nested stops where a type contains itself without a struct in between, as type T []T and type P *P do.
func (v *values) nested(t types.Type, of func() *model.Type) *model.Type {
	if slices.Contains(v.open, t) || len(v.open) > deepest {
		return &model.Type{Kind: model.Any}
	}
	v.open = append(v.open, t)
	defer func() { v.open = v.open[:len(v.open)-1] }()
	return of()
}

// record notes what fields a struct has, once.
func (v *values) record(t types.Type, u *types.Struct) *model.Type {
	key := types.TypeString(t, nil)
	if v.records[key] == nil {
		if v.depth > deepest {
			return &model.Type{Kind: model.Any} // a generic type that grows with each level
		}
		r := &model.Record{Name: "Record"}
		if n, ok := t.(*types.Named); ok && n.Obj().Pkg() != nil {
			r.Package = n.Obj().Pkg().Name()
			r.Name = types.TypeString(t, func(*types.Package) string { return "" })
		}
		v.records[key] = r // before its fields, which may be of its type
		outer := v.open
		v.open = nil
		v.depth++
		r.Fields = v.jsonFields(u)
		v.depth--
		v.open = outer
	}
	return &model.Type{Kind: model.Object, Record: key}
}

// jsonField is a field that encoding/json may see.
type jsonField struct {
	model.RecordField
	tagged bool
}

// jsonFields are the fields of a struct and those of what it embeds, by the rules of encoding/json: of several with one
// name the least deep one counts, then one with a tag, then none.
func (v *values) jsonFields(u *types.Struct) []model.RecordField {
	var list []model.RecordField
	decided := map[string]bool{}
	level, seen := []*types.Struct{u}, map[*types.Struct]bool{}
	for len(level) > 0 {
		var found []jsonField
		var next []*types.Struct
		for _, s := range level {
			if !seen[s] {
				seen[s] = true
				f, embedded := v.ownFields(s)
				found, next = append(found, f...), append(next, embedded...)
			}
		}
		for _, f := range found {
			if !decided[f.Name] && dominant(f, found) {
				list = append(list, f.RecordField)
			}
		}
		for _, f := range found {
			decided[f.Name] = true
		}
		level = next
	}
	return list
}

// dominant says whether a field is the one of its name among those of one level.
func dominant(f jsonField, found []jsonField) bool {
	same, tagged := 0, 0
	for _, other := range found {
		if other.Name == f.Name {
			same++
			if other.tagged {
				tagged++
			}
		}
	}
	return same == 1 || f.tagged && tagged == 1
}

// ownFields are the fields that a struct declares, and the structs that it embeds.
func (v *values) ownFields(s *types.Struct) (fields []jsonField, embedded []*types.Struct) {
	for i := range s.NumFields() {
		field := s.Field(i)
		tag := reflect.StructTag(s.Tag(i)).Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if field.Embedded() && name == "" {
			elem := types.Unalias(field.Type())
			if pointer, ok := elem.(*types.Pointer); ok {
				elem = types.Unalias(pointer.Elem())
			}
			if inner, ok := elem.Underlying().(*types.Struct); ok && !hasMethod(elem, inJSON...) && !hasMethod(elem, asText...) {
				embedded = append(embedded, inner)
				continue
			}
		}
		if !field.Exported() {
			continue
		}
		typ := v.json(field.Type())
		words := strings.Split(options, ",")
		empties := slices.Contains(words, "omitempty")
		if slices.Contains(words, "string") && typ.Kind <= model.Float {
			typ = &model.Type{Kind: model.String}
		}
		if empties && typ.Kind == model.Pointer {
			typ = typ.Elem // left out rather than null
		}
		f := jsonField{tagged: name != ""}
		f.RecordField = model.RecordField{Name: name, Type: typ, Optional: empties || slices.Contains(words, "omitzero")}
		if name == "" {
			f.Name = field.Name()
		}
		fields = append(fields, f)
	}
	return fields, embedded
}
