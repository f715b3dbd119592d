package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// reflected carries users' values with the reflection of the msgpack library.
type reflected struct{}

func (reflected) encode(w *msgpackWriter, p any) error {
	if err := checkDepth(p); err != nil {
		return err
	}
	start := len(w.buf)
	// An encoder of its own, since a user's EncodeMsgpack may change its flags.
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(&w.buf)
	enc.SetCustomStructTag("json")
	enc.UseCompactInts(true)
	if err := guard(func() error { return enc.Encode(p) }); err != nil {
		return cannotEncode(p, err)
	}
	check := walker{b: w.buf}
	end := check.skip(start, 2+len(w.levels))
	if check.err == nil && end < len(w.buf) {
		check.err = errTrailing
	}
	if check.err != nil {
		return fmt.Errorf("%s can't be encoded: %w", shapeOf(p).name, check.err)
	}
	if check.times {
		value := bytes.Clone(w.buf[start:])
		w.buf, _ = appendPlain(w.buf[:start], value, 0)
	}
	return nil
}

func (reflected) decode(r *msgpackReader, p any, end int) error {
	dec := msgpack.GetDecoder()
	if r.times {
		plain, _ := appendPlain(nil, r.body[r.pos():end], 0)
		dec.Reset(bytes.NewReader(plain))
	} else {
		dec.Reset(&r.src)
	}
	dec.SetCustomStructTag("json")
	if err := guard(func() error { return dec.Decode(p) }); err != nil {
		return cannotDecode(p, err) // dec may hold on to what it was recording
	}
	msgpack.PutDecoder(dec)
	return nil
}

// appendPlain appends the value at b[i] with its timestamps as text, which
// every reader understands. The library's decoder must never see an
// extension: where it wants a map it takes the contents of one for the map,
// and those no walk has checked.
func appendPlain(dst, b []byte, i int) (_ []byte, end int) {
	t := readToken(b, i)
	switch t.kind {
	case kindTime:
		end = t.at + t.n
		at, _ := timestamp(b[t.at:end])
		text, _ := appendTime(make([]byte, 0, 64), at)
		dst = append(dst, msgpcode.Str8, byte(len(text)))
		return append(dst, text...), end
	case kindList, kindMap:
		dst = append(dst, b[i:t.at]...)
		n := t.n
		if t.kind == kindMap {
			n *= 2
		}
		i = t.at
		for range n {
			dst, i = appendPlain(dst, b, i)
		}
		return dst, i
	}
	end = t.at + t.n
	return append(dst, b[i:end]...), end
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

// tree reads any value; r stands at its beginning.
func (r *msgpackReader) tree() any {
	t := readToken(r.body, r.pos())
	if r.err != nil || !r.Grow(treePart) {
		return nil
	}
	switch t.kind {
	case kindBool:
		return r.Bool(false)
	case kindInt:
		return r.decodeInt()
	case kindUint:
		if n := r.decodeUint(); n > 1<<63-1 {
			return n
		} else {
			return int64(n)
		}
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
	}
	r.seek(t.at)
	return nil
}

func (r *msgpackReader) treeList(t token) any {
	r.seek(t.at)
	list := make([]any, 0, min(t.n, 1024))
	for range t.n {
		list = append(list, r.tree())
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
		key := keyText(r.tree())
		m[key] = r.tree()
		if r.err != nil {
			return nil
		}
	}
	return m
}
