package codec

import (
	"encoding/json"
	"math/big"
	"strconv"
	"time"
)

// treeWriter is the Fields and the Value that build a tree.
type treeWriter struct {
	failure
	nesting
	serializer *treeSerializer
	fields     map[string]any
	// open are the lists and maps that are being filled, innermost last; a map
	// is a list of keys and values until it ends.
	lists [][]any
}

// write returns what visit visits as a map.
func (s *treeSerializer) write(visit func(Fields), f failure) (map[string]any, error) {
	w := treeWriter{serializer: s, failure: f, fields: map[string]any{}}
	visit(&w)
	return w.fields, w.err
}

func (w *treeWriter) Field(name string) Value {
	if w.err == nil {
		w.name = name
	}
	return w
}

// add adds a finished value.
func (w *treeWriter) add(x any) {
	n := len(w.lists)
	if n == 0 {
		w.fields[w.name] = x
		return
	}
	if l := w.levels[n-1]; l.isMap && l.seen&1 == 1 {
		if _, ok := x.(string); !ok {
			w.problem(badKey)
		}
	}
	w.lists[n-1] = append(w.lists[n-1], x)
}

func (w *treeWriter) Bool(b bool) bool {
	w.next()
	w.add(b)
	return b
}

func (w *treeWriter) Int(n int64, _ int) int64 {
	if w.next() {
		w.add(strconv.FormatInt(n, 10))
	} else {
		w.add(n)
	}
	return n
}

func (w *treeWriter) Uint(n uint64, _ int) uint64 {
	if w.next() {
		w.add(strconv.FormatUint(n, 10))
	} else {
		w.add(smallest(n))
	}
	return n
}

func (w *treeWriter) big(n *big.Int) {
	if w.next() {
		w.add(n.String())
	} else {
		w.add(n)
	}
}

func (w *treeWriter) Float(x float64, _ int) float64 {
	w.next()
	w.add(x)
	return x
}

func (w *treeWriter) String(s string) string {
	w.next()
	w.add(s)
	return s
}

func (w *treeWriter) Bytes(b []byte) []byte {
	w.next()
	w.add(append([]byte{}, b...))
	return b
}

func (w *treeWriter) Time(t time.Time) time.Time {
	text, ok := appendTime(nil, t)
	if !ok {
		w.problem(badYear)
	}
	w.String(string(text))
	return t
}

func (w *treeWriter) Duration(d time.Duration) time.Duration {
	if seconds, exact := durationSeconds(d); exact {
		w.Float(seconds, 64)
	} else {
		w.String(d.String())
	}
	return d
}

func (w *treeWriter) JSON(j json.RawMessage) json.RawMessage {
	switch {
	case j == nil:
		w.Present(false)
	case validJSON(j):
		w.String(string(j))
	default:
		w.problem(badJSON)
	}
	return j
}

func (w *treeWriter) Raw(raw []byte) []byte {
	tree, err := w.serializer.DecodeTree(raw)
	if err != nil {
		w.problem("cannot be decoded")
	}
	w.next()
	w.add(tree)
	return raw
}

func (w *treeWriter) Any(p any) { visitReflected(w, p) }

func (w *treeWriter) Present(set bool) bool {
	if !set {
		w.next()
		w.add(nil)
	}
	return set
}

func (w *treeWriter) List(n int) int { return w.begin(n, false) }

func (w *treeWriter) Map(n int) int { return w.begin(n, true) }

func (w *treeWriter) begin(n int, isMap bool) int {
	w.next()
	w.lists = append(w.lists, make([]any, 0, max(0, n)))
	if !w.open(isMap) {
		w.problem(errTooDeep.Error())
	}
	if n < 0 {
		w.End()
	}
	return n
}

func (w *treeWriter) End() {
	n := len(w.lists) - 1
	list, isMap := w.lists[n], w.levels[n].isMap
	w.lists = w.lists[:n]
	w.close()
	if !isMap {
		w.add(list)
		return
	}
	m := make(map[string]any, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		key, _ := list[i].(string)
		m[key] = list[i+1]
	}
	w.add(m)
}

func (w *treeWriter) Grow(int) bool { return w.err == nil }
