package codec

import (
	"math/big"
	"strconv"
)

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

// jsonNumber is the number of a text, in the first type that holds it.
func jsonNumber(text []byte) any {
	if !isInt(text) {
		return parseFloat(text, 64)
	}
	if n, ok := parseInt(text); ok {
		return n
	}
	if n, ok := parseUint(text); ok {
		return n
	}
	const mostDigits = 10_000 // big.Int takes quadratic time
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
