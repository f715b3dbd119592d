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
	// problem fails the visit.
	problem(text string)
	// enter and leave say which field of a struct the next values are in.
	enter(field string)
	leave()
}

// reflectReader is one that reads.
type reflectReader interface {
	reflectable
	// label reads the next value, which is the name of a struct's field. It is
	// good until the next value is read.
	label() []byte
	// skip passes the next value.
	skip()
	// tree reads the next value as it comes.
	tree() any
	// want fails the visit: the value is of another kind.
	want(want string, got kind)
}

// reflection visits a user's value field by field, by the rules of
// encoding/json for the names and for what is left out. In contrast to the
// reflection of the msgpack library, it refuses numbers that don't fit, writes
// times as text, and takes no claim of a message for granted.
type reflection struct {
	v     reflectable
	from  reflectReader // v if it reads, or nil
	depth int           // of Go values, pointers included
}

// visitReflected visits what p points to.
func visitReflected(v reflectable, p any) {
	from, _ := v.(reflectReader)
	r := reflection{v: v, from: from}
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
	case formBig:
		r.big(x.Addr().Interface().(*big.Int))
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
		if b := r.v.Bool(x.Bool()); r.from != nil {
			x.SetBool(b)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if n := r.v.Int(x.Int(), t.Bits()); r.from != nil {
			x.SetInt(n)
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := r.v.Uint(x.Uint(), t.Bits()); r.from != nil {
			x.SetUint(n)
		}
	case reflect.Float32, reflect.Float64:
		if f := r.v.Float(x.Float(), t.Bits()); r.from != nil {
			x.SetFloat(f)
		}
	case reflect.String:
		if s := r.v.String(x.String()); r.from != nil {
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
		r.v.problem(t.String() + " can't travel")
	}
}

func (r *reflection) pointer(x reflect.Value, t reflect.Type) {
	if !r.v.Present(!x.IsNil()) {
		if r.from != nil {
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
		r.v.problem(t.String() + " can't travel: nobody knows what is in it at the other end")
	case r.from != nil:
		if tree := r.from.tree(); tree != nil {
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
		if b := r.v.Bytes(x.Bytes()); r.from != nil {
			x.SetBytes(b)
		}
		return
	}
	n := r.v.List(lenOrNil(x.IsNil(), x.Len()))
	if n < 0 {
		return
	}
	if r.from != nil {
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
	case r.from == nil:
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
	if r.from != nil {
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
	if r.from != nil {
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
		r.from.want(t.String(), kindNull)
		return
	}
	for i := 0; i < n && r.v.Grow(0); i++ {
		f, ok := fields.find(r.from.label())
		if !ok {
			r.from.skip()
			continue
		}
		r.v.enter(f.name)
		r.visit(f.make(x))
		r.v.leave()
	}
	r.v.End()
}

// bigWriter is a writer to a format that has whole numbers of any size.
type bigWriter interface{ big(n *big.Int) }

// big visits a whole number of any size; what the format has no number for is text.
func (r *reflection) big(n *big.Int) {
	if r.from != nil {
		r.readBig(n)
		return
	}
	exact, ok := r.v.(bigWriter)
	switch {
	case n.IsInt64():
		r.v.Int(n.Int64(), 64)
	case n.IsUint64():
		r.v.Uint(n.Uint64(), 64)
	case ok:
		exact.big(n)
	default:
		r.v.String(n.String())
	}
}

func (r *reflection) readBig(n *big.Int) {
	const name = "big.Int"
	switch x := r.from.tree().(type) {
	case int64:
		n.SetInt64(x)
	case uint64:
		n.SetUint64(x)
	case *big.Int:
		n.Set(x)
	case float64:
		whole, ok := wholeInt(x)
		if !ok {
			r.from.want(name, kindFloat)
		}
		n.SetInt64(whole)
	case string:
		if len(x) > mostDigits {
			r.v.problem("want " + name + ", got a number that does not fit")
		} else if _, ok := n.SetString(x, 10); !ok {
			r.from.want(name, kindString)
		}
	default:
		r.from.want(name, kindOf(x))
	}
}

// text visits a value with a text form of its own.
func (r *reflection) text(x reflect.Value) {
	if r.from == nil {
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
	if r.from != nil {
		text, err := appendTree(nil, r.from.tree())
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
	formBig
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
	case intType:
		return formBig
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
