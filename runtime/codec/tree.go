package codec

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"time"
)

// treeSerializer makes a serializer of functions that know a format, but
// nothing of calls: it hands them trees of nil, bool, int64, uint64, float64,
// string, []byte, *big.Int, []any and map[string]any, and takes trees of these and
// time.Time.
type treeSerializer struct {
	name, contentType, contentEncoding string
	marshal                            func(tree any) ([]byte, error)
	unmarshal                          func(data []byte) (any, error)
}

// NewSerializer makes a serializer of any format that can carry lists, maps
// with strings as keys, and scalars. marshal is given a tree of nil, bool,
// int64, uint64, float64, string, []any and map[string]any; unmarshal a *any.
// Times travel as text and []byte as base64 text, which unmarshal may as well
// return as time.Time and []byte. [Register] makes it known.
func NewSerializer(name, contentType, contentEncoding string,
	marshal func(any) ([]byte, error), unmarshal func([]byte, any) error,
) Serializer {
	return &treeSerializer{
		name: name, contentType: contentType, contentEncoding: contentEncoding,
		marshal: func(tree any) ([]byte, error) { return marshal(plainTree(tree)) },
		unmarshal: func(data []byte) (any, error) {
			var raw any
			if err := unmarshal(data, &raw); err != nil {
				return nil, err
			}
			return cleanTree(reflect.ValueOf(raw), 0)
		},
	}
}

func (s *treeSerializer) Name() string            { return s.name }
func (s *treeSerializer) ContentType() string     { return s.contentType }
func (s *treeSerializer) ContentEncoding() string { return s.contentEncoding }

func (s *treeSerializer) EncodeCall(visit func(Fields), embed []byte) ([]byte, error) {
	kwargs, err := s.write(visit, failure{})
	if err != nil {
		return nil, err
	}
	return s.encodeCall([]any{}, kwargs, embed)
}

// EncodePositional implements [PositionalEncoder].
func (s *treeSerializer) EncodePositional(visit func(Fields), embed []byte) ([]byte, error) {
	w := treeArgs{treeWriter: &treeWriter{fields: map[string]any{}}, names: new([]string)}
	visit(w)
	if w.err != nil {
		return nil, w.err
	}
	args := []any{}
	for _, name := range *w.names {
		args = append(args, w.fields[name])
	}
	return s.encodeCall(args, map[string]any{}, embed)
}

func (s *treeSerializer) encodeCall(args []any, kwargs any, embed []byte) (_ []byte, err error) {
	var more any = map[string]any{}
	if embed != nil {
		if more, err = s.DecodeTree(embed); err != nil {
			return nil, err
		}
	}
	return s.encode([]any{args, kwargs, more})
}

func (s *treeSerializer) EncodeMap(visit func(Fields)) ([]byte, error) {
	fields, err := s.write(visit, failure{result: true})
	if err != nil {
		return nil, err
	}
	return s.encode(fields)
}

func (s *treeSerializer) encode(tree any) (data []byte, err error) {
	err = guard(func() error {
		data, err = s.marshal(tree)
		return err
	})
	if _, ours := errors.AsType[*formatError](err); ours {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: can't be encoded (%s)", s.name, errorType(err))
	}
	return data, nil
}

func (s *treeSerializer) DecodeCall(body []byte, visit func(Fields)) ([]byte, error) {
	tree, err := s.DecodeTree(body)
	if err != nil {
		return nil, err
	}
	r := treeReader{serializer: s}
	r.room.reset(len(body))
	embed, err := r.indexCall(tree)
	if err != nil {
		return nil, fmt.Errorf("%s body: %w", s.name, err)
	}
	visit(&r)
	if r.err != nil {
		return nil, r.err
	}
	if err := r.args.leftover(); err != nil {
		return nil, err
	}
	return s.encode(embed)
}

func (s *treeSerializer) DecodeMap(data []byte, visit func(Fields)) error {
	tree, err := s.DecodeTree(data)
	if err != nil {
		return err
	}
	r := treeReader{serializer: s, failure: failure{result: true}}
	r.room.reset(len(data))
	if err := r.indexKwargs(tree); err != nil {
		return fmt.Errorf("%s data: %w", s.name, err)
	}
	visit(&r)
	return r.err
}

func (s *treeSerializer) EncodeValue(visit func(Value)) ([]byte, error) {
	fields, err := s.write(func(f Fields) { visit(f.Field(valueName)) }, failure{result: true})
	if err != nil {
		return nil, err
	}
	return s.encode(fields[valueName])
}

func (s *treeSerializer) DecodeValue(data []byte, visit func(Value)) error {
	tree, err := s.DecodeTree(data)
	if err != nil {
		return err
	}
	r := treeReader{serializer: s, failure: failure{result: true, name: valueName}, pending: [][]any{{tree}}}
	r.room.reset(len(data))
	visit(&r)
	return r.err
}

func (s *treeSerializer) DecodeTree(data []byte) (tree any, err error) {
	err = guard(func() error {
		tree, err = s.unmarshal(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s data: %w", s.name, treeError(err))
	}
	return tree, nil
}

// treeError keeps what an error of another's decoder says only if it is ours:
// it may quote the data.
func treeError(err error) error {
	if _, ours := errors.AsType[*formatError](err); ours || errors.Is(err, errTooDeep) {
		return err
	}
	return fmt.Errorf("not valid (%s)", errorType(err))
}

// formatError is an error about the form of data that doesn't quote it.
type formatError struct{ text string }

func (e *formatError) Error() string { return e.text }

// indexCall finds the arguments in a body; see msgpackReader.indexCall.
func (r *treeReader) indexCall(tree any) (embed any, err error) {
	var args, kwargs any
	switch tree := tree.(type) {
	case []any:
		if len(tree) != 3 {
			return nil, fmt.Errorf("want a list of three, [args, kwargs, embed], got one of %d", len(tree))
		}
		args, kwargs, embed = tree[0], tree[1], tree[2]
	case map[string]any:
		var ok bool
		if args, ok = tree["args"]; !ok {
			return nil, errProtocol1
		}
		if kwargs, ok = tree["kwargs"]; !ok {
			return nil, errProtocol1
		}
		embed = tree
	default:
		return nil, errors.New("want a list of three, [args, kwargs, embed], got " + kindOf(tree).String())
	}
	list, ok := args.([]any)
	if !ok {
		return nil, errors.New("want a list of arguments, got " + kindOf(args).String())
	}
	for _, x := range list {
		if !r.args.addPositional(len(r.values)) {
			return nil, errTooManyArguments
		}
		r.values = append(r.values, x)
	}
	return embed, r.indexKwargs(kwargs)
}

// indexKwargs records the entries of a map.
func (r *treeReader) indexKwargs(tree any) error {
	m, ok := tree.(map[string]any)
	if !ok {
		return errors.New("want a map of arguments, got " + kindOf(tree).String())
	}
	for name, x := range m {
		if !r.args.addNamed([]byte(name), len(r.values)) {
			return errTooManyArguments
		}
		r.values = append(r.values, x)
	}
	return nil
}

// kindOf is the kind of a value in a tree.
func kindOf(tree any) kind {
	switch tree.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBool
	case int64, *big.Int:
		return kindInt
	case uint64:
		return kindUint
	case float64:
		return kindFloat
	case string:
		return kindString
	case []byte:
		return kindBytes
	case time.Time:
		return kindTime
	case []any:
		return kindList
	case map[string]any:
		return kindMap
	}
	return kindInvalid
}

// plainTree returns a tree with base64 text in place of []byte, and text in
// place of times and of large numbers.
func plainTree(tree any) any {
	switch x := tree.(type) {
	case []byte:
		return base64.StdEncoding.EncodeToString(x)
	case time.Time:
		text, _ := appendTime(nil, x)
		return string(text)
	case *big.Int:
		return x.String()
	case []any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = plainTree(x[i])
		}
		return list
	case map[string]any:
		m := make(map[string]any, len(x))
		for k := range x {
			m[k] = plainTree(x[k])
		}
		return m
	}
	return tree
}

// cleanTree turns what another's decoder made into a tree of our types.
func cleanTree(x reflect.Value, depth int) (any, error) {
	if depth > 3*maxDepth {
		return nil, errTooDeep
	}
	if !x.IsValid() {
		return nil, nil
	}
	switch v := x.Interface().(type) {
	case time.Time, []byte, *big.Int:
		return v, nil
	case json.Number:
		return jsonTree([]byte(v))
	}
	switch x.Kind() {
	case reflect.Bool:
		return x.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return x.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return smallest(x.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return x.Float(), nil
	case reflect.String:
		return x.String(), nil
	case reflect.Pointer, reflect.Interface:
		return cleanTree(x.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		return cleanList(x, depth)
	case reflect.Map:
		return cleanMap(x, depth)
	}
	return nil, &formatError{"the decoder made a " + x.Type().String()}
}

func cleanList(x reflect.Value, depth int) (any, error) {
	list := make([]any, x.Len())
	for i := range list {
		var err error
		if list[i], err = cleanTree(x.Index(i), depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func cleanMap(x reflect.Value, depth int) (any, error) {
	m := make(map[string]any, x.Len())
	for entries := x.MapRange(); entries.Next(); {
		key, err := cleanTree(entries.Key(), depth+1)
		if err != nil {
			return nil, err
		}
		if m[keyText(key)], err = cleanTree(entries.Value(), depth+1); err != nil {
			return nil, err
		}
	}
	return m, nil
}
