package codec

import (
	"reflect"
	"time"
)

// Plain visits a value whose type the caller does not know: text, numbers and booleans as String,
// Int and so on do, *struct{} as Nothing, everything else as [Any].
func Plain[T any](v Value, p *T) { plain(v, p) }

func plain(v Value, p any) {
	switch p := p.(type) {
	case *time.Duration:
		Duration(v, p)
		return
	case *time.Time:
		Time(v, p)
		return
	case *[]byte:
		Bytes(v, p)
		return
	case *struct{}:
		Nothing(v, p)
		return
	}
	x := reflect.ValueOf(p).Elem()
	if formOf(x.Type()) != formPlain {
		v.Any(p)
		return
	}
	switch x.Kind() {
	case reflect.Bool:
		x.SetBool(v.Bool(x.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		x.SetInt(v.Int(x.Int(), x.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		x.SetUint(v.Uint(x.Uint(), x.Type().Bits()))
	case reflect.Float32, reflect.Float64:
		x.SetFloat(v.Float(x.Float(), x.Type().Bits()))
	case reflect.String:
		x.SetString(v.String(x.String()))
	default:
		v.Any(p)
	}
}

// PlainFields visits a whole argument list whose type the caller does not know: the exported fields of a
// struct as one argument each, named by their json tags; any other value as the one argument "value".
func PlainFields[T any](f Fields, p *T) {
	x := reflect.ValueOf(p).Elem()
	if x.Kind() != reflect.Struct || formOf(x.Type()) != formPlain {
		plain(f.Field("value"), p)
		return
	}
	for i := range fieldsOf(x.Type()).list {
		field := &fieldsOf(x.Type()).list[i]
		plain(f.Field(field.name), field.make(x).Addr().Interface())
	}
}
