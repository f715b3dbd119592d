package codec

import (
	"fmt"
	"math/big"
	"strconv"
	"time"
)

// jsonTree reads one JSON value, however it is spaced.
func jsonTree(text []byte) (any, error) {
	s := scanner{text: text}
	if err := s.whole(0); err != nil {
		return nil, err
	}
	r := jsonReader{text: text, failure: failure{result: true}}
	r.room.reset(len(text))
	tree := r.tree()
	return tree, r.err
}

// tree reads any value; r stands before it.
func (r *jsonReader) tree() any {
	if !r.Grow(treePart) {
		return nil
	}
	r.separate()
	switch k := r.kindAt(r.pos); k {
	case kindString:
		return string(r.unquote(r.take()))
	case kindList:
		return r.treeList()
	case kindMap:
		return r.treeMap()
	case kindBool:
		return r.take()[0] == 't'
	case kindNull:
		r.take()
		return nil
	default:
		return jsonNumber(r.take())
	}
}

// mostDigits bounds whole numbers: big.Int takes quadratic time.
const mostDigits = 10_000

// jsonNumber is the number of a text, in the first type that holds it.
func jsonNumber(text []byte) any {
	if !isInt(text) || string(text) == "-0" {
		return parseFloat(text, 64)
	}
	if n, ok := parseInt(text); ok {
		return n
	}
	if n, ok := parseUint(text); ok {
		return n
	}
	if len(text) <= mostDigits {
		if n, ok := new(big.Int).SetString(string(text), 10); ok {
			return n
		}
	}
	return parseFloat(text, 64)
}

func (r *jsonReader) treeList() any {
	s := scanner{text: r.text}
	list := []any{}
	at, done := s.first(r.pos, ']')
	for !done {
		r.pos = at
		list = append(list, r.tree())
		if r.err != nil {
			return nil
		}
		at, done = s.more(r.pos, ']')
	}
	r.pos = at
	return list
}

func (r *jsonReader) treeMap() any {
	if e, end, ok := r.readEnvelope(); ok {
		r.pos = end
		return e.value()
	}
	s := scanner{text: r.text}
	m := map[string]any{}
	at, done := s.first(r.pos, '}')
	for !done {
		r.pos = at
		key := string(r.unquote(r.take()))
		m[key] = r.tree()
		if r.err != nil {
			return nil
		}
		at, done = s.more(r.pos, '}')
	}
	r.pos = at
	return m
}

// keyText is a map's key, which a tree holds as text.
func keyText(key any) string {
	switch key := key.(type) {
	case string:
		return key
	case []byte:
		return string(key)
	case int64:
		return strconv.FormatInt(key, 10)
	case uint64:
		return strconv.FormatUint(key, 10)
	case float64:
		return string(appendFloat(nil, key, 64))
	case bool:
		return strconv.FormatBool(key)
	}
	return "null"
}

// appendTree appends a tree as JSON that encoding/json reads.
func appendTree(dst []byte, tree any) ([]byte, error) {
	w := jsonWriter{buf: dst}
	w.tree(tree)
	return w.buf, w.err
}

func (w *jsonWriter) big(n *big.Int) {
	if w.begin() {
		w.buf = n.Append(w.buf, 10)
	}
}

func (w *jsonWriter) tree(tree any) {
	switch x := tree.(type) {
	case nil:
		w.Present(false)
	case bool:
		w.Bool(x)
	case int64:
		w.Int(x, 64)
	case uint64:
		w.Uint(x, 64)
	case float64:
		w.Float(x, 64)
	case string:
		w.String(x)
	case []byte:
		w.Bytes(x)
	case time.Time:
		w.Time(x)
	case *big.Int:
		w.big(x)
	case []any:
		w.List(len(x))
		for _, e := range x {
			w.tree(e)
		}
		w.End()
	case map[string]any:
		w.Map(len(x))
		for k, e := range x {
			w.String(k)
			w.tree(e)
		}
		w.End()
	default:
		w.problem(fmt.Sprintf("a %T in a tree", x))
	}
}

// TreeJSON returns a tree, as [Serializer.DecodeTree] makes them, as JSON: what JSON has no form for as the JSON serializer
// writes it.
func TreeJSON(tree any) ([]byte, error) {
	w := jsonWriter{}
	w.result, w.name = true, "value"
	w.tree(tree)
	return w.finish()
}
