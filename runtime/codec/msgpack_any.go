package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

func (w *msgpackWriter) Any(p any) { w.user(w, p) }

func (r *msgpackReader) Any(p any) { r.user(r, p) }

func (r *msgpackReader) label() []byte {
	t, _ := r.begin()
	switch {
	case r.err != nil:
	case t.kind == kindString || t.kind == kindBytes:
		return r.contents(t)
	default:
		r.want("string", t.kind)
	}
	return nil
}

func (r *msgpackReader) skip() {
	r.next()
	if r.err != nil {
		return
	}
	w := walker{b: r.body}
	r.seek(max(r.pos(), w.skip(r.pos(), 0)))
}

// timestamp reads the contents of a msgpack timestamp.
func timestamp(b []byte) (t time.Time, ok bool) {
	seconds, ns := int64(0), int64(0)
	switch len(b) {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(b))
	case 8:
		both := binary.BigEndian.Uint64(b)
		seconds, ns = int64(both&(1<<34-1)), int64(both>>34)
	case 12:
		seconds, ns = int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b))
	}
	t = time.Unix(seconds, ns).UTC()
	return t, ns < 1e9 && t.Year() >= 1 && t.Year() <= 9999
}

// tree reads any value.
func (r *msgpackReader) tree() any {
	r.next()
	return r.readTree()
}

func (r *msgpackReader) readTree() any {
	if !r.Grow(treePart) {
		return nil
	}
	switch t := readToken(r.body, r.pos()); t.kind {
	case kindBool:
		r.seek(t.at)
		return r.body[t.at-1] == msgpcode.True
	case kindInt:
		return r.decodeInt()
	case kindUint:
		return smallest(r.decodeUint())
	case kindFloat:
		return r.decodeFloat()
	case kindString:
		return string(r.contents(t))
	case kindBytes:
		return bytes.Clone(r.contents(t))
	case kindTime:
		at, _ := timestamp(r.contents(t))
		return at
	case kindList:
		return r.treeList(t)
	case kindMap:
		return r.treeMap(t)
	default:
		r.seek(t.at)
		return nil
	}
}

func (r *msgpackReader) treeList(t token) any {
	r.seek(t.at)
	list := make([]any, 0, min(t.n, 1024))
	for range t.n {
		list = append(list, r.readTree())
		if r.err != nil {
			return nil
		}
	}
	return list
}

func (r *msgpackReader) treeMap(t token) any {
	r.seek(t.at)
	m := make(map[string]any, min(t.n, 64))
	for range t.n {
		key := keyText(r.readTree())
		m[key] = r.readTree()
		if r.err != nil {
			return nil
		}
	}
	return m
}

// smallest is n as an int64, unless only a uint64 holds it.
func smallest(n uint64) any {
	if n <= math.MaxInt64 {
		return int64(n)
	}
	return n
}
