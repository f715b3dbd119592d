package codec

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// structFields are the fields of a struct as encoding/json sees them.
type structFields struct {
	list   []structField
	byName map[string]*structField
}

type structField struct {
	name string
	// index leads to the field, through the structs that are embedded.
	index               []int
	tagged              bool
	omitEmpty, omitZero bool
}

var structFieldsOf sync.Map // of reflect.Type to *structFields

func fieldsOf(t reflect.Type) *structFields {
	if f, ok := structFieldsOf.Load(t); ok {
		return f.(*structFields)
	}
	all := collectFields(nil, t, nil, map[reflect.Type]bool{})
	f := &structFields{list: dominant(all)}
	f.byName = make(map[string]*structField, len(f.list))
	for i := range f.list {
		f.byName[f.list[i].name] = &f.list[i]
	}
	structFieldsOf.Store(t, f)
	return f
}

// find returns the field of a name; as encoding/json does, one in other letter case if there is none.
func (f *structFields) find(name []byte) (*structField, bool) {
	if field, ok := f.byName[string(name)]; ok {
		return field, true
	}
	for i := range f.list {
		if strings.EqualFold(f.list[i].name, string(name)) {
			return &f.list[i], true
		}
	}
	return nil, false
}

// collectFields appends the fields of t and of the structs that it embeds.
// inside are the structs around t.
func collectFields(all []structField, t reflect.Type, index []int, inside map[reflect.Type]bool) []structField {
	if inside[t] {
		return all
	}
	inside[t] = true
	defer delete(inside, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		at := append(slices.Clip(index), i)
		embedded := f.Type
		if f.Anonymous && embedded.Kind() == reflect.Pointer && f.IsExported() {
			embedded = embedded.Elem()
		}
		switch {
		case tag == "-":
		case f.Anonymous && name == "" && embedded.Kind() == reflect.Struct && formOf(embedded) == formPlain:
			all = collectFields(all, embedded, at, inside)
		case f.IsExported():
			all = append(all, newStructField(f.Name, name, options, at))
		}
	}
	return all
}

func newStructField(goName, name, options string, index []int) structField {
	f := structField{name: name, index: index, tagged: name != ""}
	if name == "" {
		f.name = goName
	}
	for option := range strings.SplitSeq(options, ",") {
		f.omitEmpty = f.omitEmpty || option == "omitempty"
		f.omitZero = f.omitZero || option == "omitzero"
	}
	return f
}

// dominant keeps, of the fields with one name, the least embedded one; among
// several of those the one with a tag; and none if that leaves several.
func dominant(all []structField) (list []structField) {
	for _, f := range all {
		beaten := slices.ContainsFunc(all, func(g structField) bool {
			if g.name != f.name || slices.Equal(g.index, f.index) {
				return false
			}
			if len(g.index) != len(f.index) {
				return len(g.index) < len(f.index)
			}
			return g.tagged || !f.tagged
		})
		if !beaten {
			list = append(list, f)
		}
	}
	return list
}

// of returns the field in x; ok is false if it is not to be written.
func (f *structField) of(x reflect.Value) (_ reflect.Value, ok bool) {
	for i, at := range f.index {
		if i > 0 && x.Kind() == reflect.Pointer {
			if x.IsNil() {
				return x, false
			}
			x = x.Elem()
		}
		x = x.Field(at)
	}
	return x, (!f.omitEmpty || !isEmpty(x)) && (!f.omitZero || !isZero(x))
}

// make returns the field in x, and the embedded structs that lead to it.
func (f *structField) make(x reflect.Value) reflect.Value {
	for i, at := range f.index {
		if i > 0 && x.Kind() == reflect.Pointer {
			if x.IsNil() {
				x.Set(reflect.New(x.Type().Elem()))
			}
			x = x.Elem()
		}
		x = x.Field(at)
	}
	return x
}

func isEmpty(x reflect.Value) bool {
	switch x.Kind() {
	case reflect.Slice, reflect.Map, reflect.Array, reflect.String:
		return x.Len() == 0
	case reflect.Struct:
		return false
	}
	return x.IsZero()
}

func isZero(x reflect.Value) bool {
	if z, ok := reflect.TypeAssert[interface{ IsZero() bool }](x.Addr()); ok {
		return z.IsZero()
	}
	return x.IsZero()
}
