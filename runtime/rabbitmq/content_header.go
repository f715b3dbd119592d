package rabbitmq

import (
	"encoding/binary"
	"math"

	"github.com/taskgen/taskgen/runtime/task"
)

// A content header frame has the class, a weight, the size of the body, a bit for each
// property that is set, and these properties in the order of the bits.
const (
	flagsAt      = 2 + 2 + 8
	propertiesAt = flagsAt + 2
	headersFlag  = 0x2000
	// propertyKinds begins with the highest bit: s is a short string, F a table, T eight bytes, o one.
	propertyKinds = "ssFoossssTssss"
)

// The library's bounds for tables and arrays.
const (
	maxNesting  = 32
	maxElements = 8192
)

// mendContentHeader makes the payload of a content header readable to the library, within limit bytes.
// The type L (a signed 64-bit integer, as Python sends it) becomes l, which is the same, in
// place. A table that has anything else that the library refuses is replaced by one whose only entry, [task.UnreadableHeader],
// holds the table as it came, cut to what fits; so are properties that end before they should. The result is
// nil if the payload is good as it is now.
func mendContentHeader(payload []byte, limit int) []byte {
	if len(payload) < propertiesAt {
		return nil // not even the size of the body can be told
	}
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	r := fieldReader{data: payload, at: propertiesAt}
	table, tableEnd, readable := 0, 0, true
	for i := range len(propertyKinds) {
		if flags&(1<<15>>i) == 0 {
			continue
		}
		state := whole
		switch propertyKinds[i] {
		case 's':
			state = r.shortText(len(payload))
		case 'o':
			state = r.skip(1, len(payload))
		case 'T':
			state = r.skip(8, len(payload))
		case 'F':
			table = r.at
			if state = r.longText(len(payload)); state == whole {
				tableEnd, r.at = r.at, table
				readable = r.table(len(payload), 0) == whole
			}
		}
		if state != whole {
			kept := payload[:flagsAt:flagsAt]
			return withUnreadable(binary.BigEndian.AppendUint16(kept, headersFlag), payload[flagsAt:], nil, limit)
		}
	}
	if !readable {
		return withUnreadable(payload[:table:table], payload[table:tableEnd], payload[tableEnd:], limit)
	}
	if r.foreign {
		r = fieldReader{data: payload, at: table, mend: true}
		r.table(len(payload), 0)
	}
	return nil
}

// withUnreadable puts a table with what can't be read between what can.
func withUnreadable(before, raw, after []byte, limit int) []byte {
	const overhead = 4 + 1 + len(task.UnreadableHeader) + 1 + 4
	room := limit - len(before) - len(after) - overhead
	raw = raw[:min(len(raw), max(room, 0))]
	out := binary.BigEndian.AppendUint32(before, uint32(overhead-4+len(raw)))
	out = append(out, byte(len(task.UnreadableHeader)))
	out = append(out, task.UnreadableHeader...)
	out = append(out, 'x')
	out = binary.BigEndian.AppendUint32(out, uint32(len(raw)))
	out = append(out, raw...)
	return append(out, after...)
}

// fieldReader walks over fields just as the library would read them.
type fieldReader struct {
	data    []byte
	at      int
	foreign bool // an L was seen
	mend    bool // an L is to become an l
}

// reading is how it went. The library knows two ways to fail: in an array, an end of the
// data where a field or a part of it would begin is taken for the end of the array.
type reading int

const (
	whole reading = iota
	ended
	broken
)

// skip reads n bytes, which must lie before end.
func (r *fieldReader) skip(n, end int) reading {
	left := end - r.at
	if n <= left {
		r.at += n
		return whole
	}
	r.at = end
	if left == 0 {
		return ended
	}
	return broken
}

func (r *fieldReader) shortText(end int) reading {
	if state := r.skip(1, end); state != whole {
		return state
	}
	return r.skip(int(r.data[r.at-1]), end)
}

func (r *fieldReader) longText(end int) reading {
	n, state := r.length(end)
	if state != whole {
		return state
	}
	return r.skip(n, end)
}

func (r *fieldReader) length(end int) (int, reading) {
	if state := r.skip(4, end); state != whole {
		return 0, state
	}
	n := binary.BigEndian.Uint32(r.data[r.at-4:])
	if n > math.MaxInt32 {
		return 0, broken
	}
	return int(n), whole
}

func (r *fieldReader) table(end, depth int) reading {
	if depth > maxNesting {
		return broken
	}
	n, state := r.length(end)
	if state != whole {
		return state
	}
	if state = r.skip(n, end); state != whole {
		return state
	}
	tableEnd := r.at
	r.at -= n
	state = r.entries(tableEnd, depth)
	r.at = tableEnd
	return state
}

func (r *fieldReader) entries(end, depth int) reading {
	for n := 0; r.at < end; n++ {
		if state := r.shortText(end); state != whole {
			return state
		}
		if state := r.field(end, depth); state != whole {
			return state
		}
		if n == maxElements {
			return broken
		}
	}
	return whole
}

func (r *fieldReader) array(end, depth int) reading {
	if depth > maxNesting {
		return broken
	}
	size, state := r.length(end)
	if state != whole {
		return state
	}
	if size < end-r.at {
		end = r.at + size
	}
	for n := 0; ; n++ {
		switch r.field(end, depth) {
		case ended:
			return whole
		case broken:
			return broken
		}
		if n == maxElements {
			return broken
		}
	}
}

func (r *fieldReader) field(end, depth int) reading {
	if state := r.skip(1, end); state != whole {
		return state
	}
	kind := &r.data[r.at-1]
	switch *kind {
	case 'V':
		return whole
	case 't', 'b', 'B':
		return r.skip(1, end)
	case 's', 'u':
		return r.skip(2, end)
	case 'I', 'i', 'f':
		return r.skip(4, end)
	case 'l', 'd', 'T':
		return r.skip(8, end)
	case 'L':
		r.foreign = true
		if r.mend {
			*kind = 'l'
		}
		return r.skip(8, end)
	case 'D':
		if state := r.skip(1, end); state != whole {
			return state
		}
		return r.skip(4, end)
	case 'S', 'x':
		return r.longText(end)
	case 'A':
		return r.array(end, depth+1)
	case 'F':
		return r.table(end, depth+1)
	}
	return broken
}
