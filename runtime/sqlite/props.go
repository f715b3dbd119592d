package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/taskgen/taskgen/runtime/task"
)

// Everything of a message that only its consumer reads is one column, props: a
// MessagePack array of exchange, routing key, reply-to, content type, content
// encoding and headers. It is written and read here by hand, in the dozen
// formats that the header types need: that keeps every Go type as it was
// (int32 apart from int64), and no byte that a broken or hostile row may hold
// can make the reader allocate more than the row's own size.

const (
	mpNil     = 0xc0
	mpFalse   = 0xc2
	mpTrue    = 0xc3
	mpBin     = 0xc6
	mpFloat32 = 0xca
	mpFloat64 = 0xcb
	mpUint64  = 0xcf
	mpInt32   = 0xd2
	mpInt64   = 0xd3
	mpFixStr  = 0xa0
	mpStr8    = 0xd9
	mpStr32   = 0xdb
	mpArray   = 0xdd
	mpFixMap  = 0x80
	mpMap     = 0xdf
	mpProps   = 0x96 // an array of six

	// maxDepth bounds how deep headers may nest.
	maxDepth = 64
)

// encodeProps returns the props column of a message.
func encodeProps(m *task.Message) ([]byte, error) {
	b := make([]byte, 0, 256)
	b = append(b, mpProps)
	for _, s := range []string{m.Exchange, m.RoutingKey, m.ReplyTo, m.ContentType, m.ContentEncoding} {
		b = appendString(b, s)
	}
	b, err := appendMap(b, m.Headers, 0)
	if err != nil {
		return nil, err
	}
	return b, nil
}

func appendString(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, mpFixStr|byte(n))
	case n < 256:
		b = append(b, mpStr8, byte(n))
	default:
		b = appendSize(b, mpStr32, n)
	}
	return append(b, s...)
}

func appendSize(b []byte, format byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, format), uint32(n))
}

func appendMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	if m == nil {
		return append(b, mpNil), nil
	}
	if len(m) < 16 {
		b = append(b, mpFixMap|byte(len(m)))
	} else {
		b = appendSize(b, mpMap, len(m))
	}
	for k, v := range m {
		var err error
		if b, err = appendValue(appendString(b, k), v, depth+1); err != nil {
			return nil, fmt.Errorf("header %q: %w", k, err)
		}
	}
	return b, nil
}

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deep")
	}
	switch v := v.(type) {
	case nil:
		return append(b, mpNil), nil
	case bool:
		if v {
			return append(b, mpTrue), nil
		}
		return append(b, mpFalse), nil
	case string:
		return appendString(b, v), nil
	case []byte:
		return append(appendSize(b, mpBin, len(v)), v...), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v)), nil
	case int64:
		return appendInt64(b, v), nil
	case int:
		return appendInt64(b, int64(v)), nil
	case int16:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v)), nil
	case int8:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v)), nil
	case uint8:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v)), nil
	case uint16:
		return binary.BigEndian.AppendUint32(append(b, mpInt32), uint32(v)), nil
	case uint32:
		return appendInt64(b, int64(v)), nil
	case uint64:
		return binary.BigEndian.AppendUint64(append(b, mpUint64), v), nil
	case float32:
		return binary.BigEndian.AppendUint32(append(b, mpFloat32), math.Float32bits(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, mpFloat64), math.Float64bits(v)), nil
	case []any:
		b = appendSize(b, mpArray, len(v))
		for _, e := range v {
			var err error
			if b, err = appendValue(b, e, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		if v == nil {
			v = map[string]any{}
		}
		return appendMap(b, v, depth)
	}
	return nil, fmt.Errorf("a %T can't travel in a header", v)
}

func appendInt64(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, mpInt64), uint64(v))
}

// decodeProps fills in the fields of m that encodeProps wrote.
func decodeProps(b []byte, m *task.Message) error {
	r := propsReader{rest: b}
	if f := r.byte(); f != mpProps {
		r.fail()
	}
	for _, s := range []*string{&m.Exchange, &m.RoutingKey, &m.ReplyTo, &m.ContentType, &m.ContentEncoding} {
		*s = r.string()
	}
	switch headers := r.value(0).(type) {
	case nil:
	case map[string]any:
		m.Headers = headers
	default:
		r.fail()
	}
	if len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

// A propsReader reads what encodeProps writes. After the first error it
// returns zero values.
type propsReader struct {
	rest []byte
	err  error
}

func (r *propsReader) fail() {
	if r.err == nil {
		r.err = errors.New("the headers of the stored message can't be read")
	}
	r.rest = nil
}

// take returns the next n bytes.
func (r *propsReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *propsReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *propsReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *propsReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *propsReader) string() string {
	s, ok := r.value(0).(string)
	if !ok {
		r.fail()
	}
	return s
}

func (r *propsReader) value(depth int) any {
	if depth > maxDepth {
		r.fail()
		return nil
	}
	switch f := r.byte(); {
	case r.err != nil, f == mpNil:
		return nil
	case f == mpTrue, f == mpFalse:
		return f == mpTrue
	case f&0xe0 == mpFixStr:
		return string(r.take(uint64(f & 0x1f)))
	case f == mpStr8:
		return string(r.take(uint64(r.byte())))
	case f == mpStr32:
		return string(r.take(uint64(r.uint32())))
	case f == mpBin:
		return slices.Clone(r.take(uint64(r.uint32())))
	case f == mpInt32:
		return int32(r.uint32())
	case f == mpInt64:
		return int64(r.uint64())
	case f == mpUint64:
		return r.uint64()
	case f == mpFloat32:
		return math.Float32frombits(r.uint32())
	case f == mpFloat64:
		return math.Float64frombits(r.uint64())
	case f == mpArray:
		return r.list(r.uint32(), depth)
	case f&0xf0 == mpFixMap:
		return r.dict(uint32(f&0x0f), depth)
	case f == mpMap:
		return r.dict(r.uint32(), depth)
	}
	r.fail()
	return nil
}

func (r *propsReader) list(n uint32, depth int) any {
	if uint64(n) > uint64(len(r.rest)) { // an element takes a byte at least
		r.fail()
		return nil
	}
	list := make([]any, 0, min(n, 64))
	for range n {
		list = append(list, r.value(depth+1))
	}
	return list
}

func (r *propsReader) dict(n uint32, depth int) any {
	if uint64(n)*2 > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	dict := make(map[string]any, min(n, 64))
	for range n {
		key := r.string()
		dict[key] = r.value(depth + 1)
	}
	return dict
}
