package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// token is the head of one msgpack value.
type token struct {
	kind kind
	// at is where the head ends and the contents begin.
	at int
	// n is the number of bytes that follow for a scalar, of elements for a
	// list, of entries for a map.
	n int
}

// readToken reads the head at b[i]. Its claims have been checked: a scalar
// is there as a whole, and lists and maps have at most as many parts as there
// are bytes left. kindInvalid means that they are not, or that no value of
// ours looks so: of the extension types only the timestamp is known.
func readToken(b []byte, i int) token {
	if i >= len(b) {
		return token{}
	}
	switch c := b[i]; {
	case c <= 0x7f:
		return token{kindInt, i + 1, 0}
	case c >= 0xe0:
		return token{kindInt, i + 1, 0}
	case c <= 0x8f:
		return checked(b, kindMap, i+1, int(c&0x0f), 2)
	case c <= 0x9f:
		return checked(b, kindList, i+1, int(c&0x0f), 1)
	case c <= 0xbf:
		return checked(b, kindString, i+1, int(c&0x1f), 1)
	default:
		return readLongToken(b, i, c)
	}
}

func readLongToken(b []byte, i int, c byte) token {
	i++
	switch c {
	case 0xc0:
		return token{kindNull, i, 0}
	case 0xc2, 0xc3:
		return token{kindBool, i, 0}
	case 0xc4, 0xc5, 0xc6:
		return sized(b, kindBytes, i, 1<<(c-0xc4), 1)
	case 0xc7: // a timestamp of 12 bytes
		if i+1 < len(b) && b[i] == 12 && b[i+1] == 0xff {
			return checked(b, kindTime, i+2, 12, 1)
		}
	case 0xca, 0xcb:
		return checked(b, kindFloat, i, 4<<(c-0xca), 1)
	case 0xcc, 0xcd, 0xce, 0xcf:
		return checked(b, kindUint, i, 1<<(c-0xcc), 1)
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return checked(b, kindInt, i, 1<<(c-0xd0), 1)
	case 0xd6, 0xd7: // a timestamp of 4 or 8 bytes
		if i < len(b) && b[i] == 0xff {
			return checked(b, kindTime, i+1, 4<<(c-0xd6), 1)
		}
	case 0xd9, 0xda, 0xdb:
		return sized(b, kindString, i, 1<<(c-0xd9), 1)
	case 0xdc, 0xdd:
		return sized(b, kindList, i, 2<<(c-0xdc), 1)
	case 0xde, 0xdf:
		return sized(b, kindMap, i, 2<<(c-0xde), 2)
	}
	return token{}
}

// sized reads a number of parts, big-endian in the given number of bytes.
func sized(b []byte, k kind, i, bytes, each int) token {
	if len(b)-i < bytes {
		return token{}
	}
	var n int
	switch bytes {
	case 1:
		n = int(b[i])
	case 2:
		n = int(binary.BigEndian.Uint16(b[i:]))
	default:
		n = int(binary.BigEndian.Uint32(b[i:]))
	}
	return checked(b, k, i+bytes, n, each)
}

// checked refuses n parts of at least so many bytes each that can't be there.
func checked(b []byte, k kind, i, n, each int) token {
	if n > (len(b)-i)/each {
		return token{}
	}
	return token{k, i, n}
}

// walker goes over a whole msgpack value before the decoder sees it: a length
// of 4 GB, a depth of a million or a list as a map's key end here, and not
// as a crash of the process.
type walker struct {
	b   []byte
	err error
}

// skip returns where the value at i ends, or -1 after an error. depth is the
// number of lists and maps around it.
func (w *walker) skip(i, depth int) int {
	t := readToken(w.b, i)
	switch t.kind {
	case kindInvalid:
		return w.fail(fmt.Errorf("cut off or not a value at byte %d", i))
	case kindList:
		return w.skipParts(t, depth, false)
	case kindMap:
		return w.skipParts(t, depth, true)
	case kindTime:
		if _, ok := timestamp(w.b[t.at : t.at+t.n]); !ok {
			return w.fail(errors.New("a timestamp that is not within the years 1 to 9999"))
		}
	}
	return t.at + t.n
}

func (w *walker) skipParts(t token, depth int, isMap bool) int {
	if depth >= maxDepth {
		return w.fail(errTooDeep)
	}
	i := t.at
	for range t.n {
		if isMap {
			k := readToken(w.b, i)
			if k.kind == kindList || k.kind == kindMap {
				return w.fail(fmt.Errorf("a %s as key of a map at byte %d", k.kind, i))
			}
			if i = w.skip(i, depth+1); i < 0 {
				return i
			}
		}
		if i = w.skip(i, depth+1); i < 0 {
			return i
		}
	}
	return i
}

func (w *walker) fail(err error) int {
	if w.err == nil {
		w.err = err
	}
	return -1
}

var errTooDeep = errors.New("lists and maps are nested too deep: more than 100")
