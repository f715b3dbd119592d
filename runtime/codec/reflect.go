package codec

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// reflectable is a Value that users' types can be visited on by reflection.
type reflectable interface {
	Value
	// reading tells a reader from a writer.
	reading() bool
	// skip passes the next value of a reader.
	skip()
	// label reads the next value, which is the name of a struct's field. It is
	// good until the next value is read.
	label() []byte
	// tree reads the next value as it comes.
	tree() any
	// problem fails the visit; want too, and names what was met.
	problem(text string)
	want(want string, got kind)
	// enter and leave say which field of a struct the next values are in.
	enter(field string)
	leave()
}

// reflection visits a user's value field by field, by the rules of
// encoding/json for the names and for what is left out. In contrast to the
// reflection of the msgpack library, it refuses numbers that don't fit, writes
// times as text, and takes no claim of a message for granted.
type reflection struct {
	v     reflectable
	depth int // of Go values, pointers included
}

// visitReflected visits what p points to.
func visitReflected(v reflectable, p any) {
	r := reflection{v: v}
	r.visit(reflect.ValueOf(p).Elem())
}

func (r *reflection) visit(x reflect.Value) {
	const most = 10 * maxDepth // values that point to themselves end here
	if r.depth >= most {
		r.v.problem(errTooDeep.Error())
	}
	if !r.v.Grow(0) {
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	t := x.Type()
	switch formOf(t) {
	case formTime:
		Time(r.v, x.Addr().Interface().(*time.Time))
	case formRaw:
		JSON(r.v, x.Addr().Interface().(*json.RawMessage))
	case formText:
		r.text(x)
	case formJSON:
		r.json(x)
	default:
		r.plain(x, t)
	}
}

func (r *reflection) plain(x reflect.Value, t reflect.Type) {
	switch k := t.Kind(); k {
	case reflect.Bool:
		if b := r.v.Bool(x.Bool()); r.v.reading() {
			x.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := r.v.Int(x.Int(), t.Bits()); r.v.reading() {
			x.SetInt(n)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := r.v.Uint(x.Uint(), t.Bits()); r.v.reading() {
			x.SetUint(n)
		}
	case reflect.Float32, reflect.Float64:
		if f := r.v.Float(x.Float(), t.Bits()); r.v.reading() {
			x.SetFloat(f)
		}
	case reflect.String:
		if s := r.v.String(x.String()); r.v.reading() {
			x.SetString(s)
		}
	case reflect.Pointer:
		r.pointer(x, t)
	case reflect.Interface:
		r.any(x, t)
	case reflect.Slice:
		r.slice(x, t)
	case reflect.Array:
		r.array(x, t)
	case reflect.Map:
		r.mapping(x, t)
	case reflect.Struct:
		r.structure(x, t)
	default:
		r.v.problem("a " + t.String() + " can't travel")
	}
}

func (r *reflection) pointer(x reflect.Value, t reflect.Type) {
	if !r.v.Present(!x.IsNil()) {
		if r.v.reading() {
			x.SetZero()
		}
		return
	}
	if x.IsNil() {
		if !r.v.Grow(int(t.Elem().Size())) {
			return
		}
		x.Set(reflect.New(t.Elem()))
	}
	r.visit(x.Elem())
}

// any visits an interface: anything is written, and read into a tree.
func (r *reflection) any(x reflect.Value, t reflect.Type) {
	switch {
	case t.NumMethod() > 0:
		r.v.problem("a " + t.String() + " can't travel: nobody knows its type at the other end")
	case r.v.reading():
		if tree := r.v.tree(); tree != nil {
			x.Set(reflect.ValueOf(tree))
		}
	case x.IsNil():
		r.v.Present(false)
	default:
		// What is inside can't be addressed, which methods of pointers need.
		inside := reflect.New(x.Elem().Type()).Elem()
		inside.Set(x.Elem())
		r.visit(inside)
	}
}

func (r *reflection) slice(x reflect.Value, t reflect.Type) {
	if isByte(t.Elem()) {
		if b := r.v.Bytes(x.Bytes()); r.v.reading() {
			x.SetBytes(b)
		}
		return
	}
	n := r.v.List(lenOrNil(x.IsNil(), x.Len()))
	if n < 0 {
		return
	}
	if r.v.reading() {
		r.elements(x, t, n)
	} else {
		for i := range n {
			r.visit(x.Index(i))
		}
	}
	r.v.End()
}

// elements reads n elements, and makes room for them as they come.
func (r *reflection) elements(x reflect.Value, t reflect.Type, n int) {
	size := max(1, int(t.Elem().Size()))
	room := min(n, 4096/size+1)
	if !r.v.Grow(room * size) {
		return
	}
	x.Set(reflect.MakeSlice(t, 0, room))
	for i := range n {
		if i == x.Cap() {
			room = min(n-i, i)
			if !r.v.Grow(room * size) {
				return
			}
			x.Grow(room)
		}
		x.SetLen(i + 1)
		r.visit(x.Index(i))
	}
}

func (r *reflection) array(x reflect.Value, t reflect.Type) {
	if isByte(t.Elem()) {
		r.byteArray(x)
		return
	}
	n := r.v.List(x.Len())
	if n != x.Len() {
		r.v.problem("want a list of " + strconv.Itoa(x.Len()) + ", got one of another length")
		return
	}
	for i := range n {
		r.visit(x.Index(i))
	}
	r.v.End()
}

func (r *reflection) byteArray(x reflect.Value) {
	b := r.v.Bytes(x.Bytes())
	switch {
	case !r.v.reading():
	case len(b) != x.Len():
		r.v.problem("want " + strconv.Itoa(x.Len()) + " bytes, got another number of them")
	default:
		reflect.Copy(x, reflect.ValueOf(b))
	}
}

func isByte(t reflect.Type) bool { return t.Kind() == reflect.Uint8 && formOf(t) == formPlain }

func (r *reflection) mapping(x reflect.Value, t reflect.Type) {
	n := r.v.Map(lenOrNil(x.IsNil(), x.Len()))
	if n < 0 {
		return
	}
	key, elem := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	if r.v.reading() {
		size := int(t.Key().Size() + t.Elem().Size())
		x.Set(reflect.MakeMap(t))
		for i := 0; i < n && r.v.Grow(size); i++ {
			key.SetZero()
			elem.SetZero()
			r.visit(key)
			r.visit(elem)
			x.SetMapIndex(key, elem)
		}
	} else {
		for entries := x.MapRange(); entries.Next(); {
			key.SetIterKey(entries)
			elem.SetIterValue(entries)
			r.visit(key)
			r.visit(elem)
		}
	}
	r.v.End()
}

func (r *reflection) structure(x reflect.Value, t reflect.Type) {
	fields := fieldsOf(t)
	if r.v.reading() {
		r.readStruct(x, t, fields)
		return
	}
	n := 0
	for i := range fields.list {
		if _, ok := fields.list[i].of(x); ok {
			n++
		}
	}
	r.v.Map(n)
	for i := range fields.list {
		f := &fields.list[i]
		if y, ok := f.of(x); ok {
			r.v.enter(f.name)
			r.v.String(f.name)
			r.visit(y)
			r.v.leave()
		}
	}
	r.v.End()
}

func (r *reflection) readStruct(x reflect.Value, t reflect.Type, fields *structFields) {
	n := r.v.Map(0)
	if n < 0 {
		r.v.want(t.String(), kindNull)
		return
	}
	for i := 0; i < n && r.v.Grow(0); i++ {
		f, ok := fields.byName[string(r.v.label())]
		if !ok {
			r.v.skip()
			continue
		}
		r.v.enter(f.name)
		r.visit(f.make(x))
		r.v.leave()
	}
	r.v.End()
}

// text visits a value with a text form of its own.
func (r *reflection) text(x reflect.Value) {
	if !r.v.reading() {
		var text []byte
		err := guard(func() (err error) {
			text, err = x.Addr().Interface().(encoding.TextMarshaler).MarshalText()
			return err
		})
		if err != nil {
			r.v.problem(x.Type().String() + " can't be encoded (" + errorType(err) + ")")
		}
		r.v.String(string(text))
		return
	}
	text := r.v.String("")
	if !r.v.Grow(0) {
		return
	}
	err := guard(func() error { return x.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) })
	if err != nil {
		r.v.problem("the text does not fit into " + x.Type().String() + " (" + errorType(err) + ")")
	}
}

// json visits a value with a JSON form of its own.
func (r *reflection) json(x reflect.Value) {
	p := x.Addr().Interface()
	if r.v.reading() {
		text, err := appendTree(nil, r.v.tree())
		if err == nil && r.v.Grow(0) {
			err = decodeJSON(text, p)
		}
		if err != nil {
			r.v.problem(err.Error())
		}
		return
	}
	var text []byte
	err := guard(func() (err error) {
		text, err = json.Marshal(p)
		return err
	})
	if err != nil {
		r.v.problem(cannotEncode(p, err).Error())
		return
	}
	tree, err := jsonTree(text)
	if err != nil {
		r.v.problem(cannotEncode(p, err).Error())
		return
	}
	r.visit(reflect.ValueOf(&tree).Elem())
}

// form is how values of a type are carried.
type form uint8

const (
	formPlain form = iota
	formTime
	formRaw
	formText
	formJSON
)

var (
	timeType   = reflect.TypeFor[time.Time]()
	rawType    = reflect.TypeFor[json.RawMessage]()
	intType    = reflect.TypeFor[big.Int]()
	numberType = reflect.TypeFor[json.Number]()

	marshalText   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalText = reflect.TypeFor[encoding.TextUnmarshaler]()
	marshalJSON   = reflect.TypeFor[json.Marshaler]()
	unmarshalJSON = reflect.TypeFor[json.Unmarshaler]()
)

var forms sync.Map // of reflect.Type to form

func formOf(t reflect.Type) form {
	if t.PkgPath() == "" && t.Kind() != reflect.Struct {
		return formPlain // has no methods
	}
	if f, ok := forms.Load(t); ok {
		return f.(form)
	}
	f := findForm(t)
	forms.Store(t, f)
	return f
}

func findForm(t reflect.Type) form {
	switch t {
	case timeType:
		return formTime
	case rawType:
		return formRaw
	case intType: // its JSON form is a number of any size
		return formText
	case numberType:
		return formJSON
	}
	switch p := reflect.PointerTo(t); {
	case t.Kind() == reflect.Interface:
		return formPlain
	case p.Implements(marshalJSON) && p.Implements(unmarshalJSON):
		return formJSON
	case p.Implements(marshalText) && p.Implements(unmarshalText):
		return formText
	}
	return formPlain
}
