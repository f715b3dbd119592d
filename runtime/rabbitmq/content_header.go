package rabbitmq

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

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
				_, state := r.table(len(payload), 0)
				readable = state == whole
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

// readProperties reads the payload of a content header, which has the size of the body at least, into a delivery. What can't be read
// becomes a header as in [mendContentHeader].
func readProperties(payload []byte, d *amqp.Delivery, names *names) {
	flags := binary.BigEndian.Uint16(payload[flagsAt:])
	r := fieldReader{data: payload, text: string(payload), at: propertiesAt, build: true, names: names}
	for i := range len(propertyKinds) {
		if flags&(1<<15>>i) == 0 {
			continue
		}
		var state reading
		switch propertyKinds[i] {
		case 's':
			state = r.shortText(len(payload))
		case 'o':
			state = r.skip(1, len(payload))
		case 'T':
			state = r.skip(8, len(payload))
		case 'F':
			state = r.headers(d)
		}
		if state != whole {
			*d = amqp.Delivery{
				ConsumerTag: d.ConsumerTag, DeliveryTag: d.DeliveryTag, Redelivered: d.Redelivered, Exchange: d.Exchange, RoutingKey: d.RoutingKey,
				Headers: amqp.Table{task.UnreadableHeader: slices.Clone(payload[flagsAt:])},
			}
			return
		}
		r.property(i, d)
	}
}

// headers reads the table of headers.
func (r *fieldReader) headers(d *amqp.Delivery) reading {
	start := r.at
	if state := r.longText(len(r.data)); state != whole {
		return state
	}
	end := r.at
	r.at = start
	table, state := r.table(len(r.data), 0)
	if state != whole {
		table = amqp.Table{task.UnreadableHeader: slices.Clone(r.data[start:end])}
	}
	d.Headers, r.at = table, end
	return whole
}

// property puts what was read last where the i-th property belongs.
func (r *fieldReader) property(i int, d *amqp.Delivery) {
	switch i {
	case 0:
		d.ContentType = r.name()
	case 1:
		d.ContentEncoding = r.name()
	case 3:
		d.DeliveryMode = r.data[r.at-1]
	case 4:
		d.Priority = r.data[r.at-1]
	case 5:
		d.CorrelationId = r.string()
	case 6:
		d.ReplyTo = r.name()
	case 7:
		d.Expiration = r.string()
	case 8:
		d.MessageId = r.string()
	case 9:
		d.Timestamp = r.time()
	case 10:
		d.Type = r.string()
	case 11:
		d.UserId = r.string()
	case 12:
		d.AppId = r.string()
	}
}

// fieldReader walks over fields just as the library would read them, and reads them if it is to build.
type fieldReader struct {
	data    []byte
	at      int
	foreign bool // an L was seen
	mend    bool // an L is to become an l

	build bool
	names *names
	text  string // the data; "": there is none
	begun int    // where the text that was read last begins
}

// string is the text that was read last.
func (r *fieldReader) string() string { return r.text[r.begun:r.at] }

// name is the text that was read last, which comes again and again.
func (r *fieldReader) name() string { return r.names.of(r.data[r.begun:r.at]) }

// The last bytes as a number, and as a time.
func (r *fieldReader) uint16() uint16  { return binary.BigEndian.Uint16(r.data[r.at-2:]) }
func (r *fieldReader) uint32() uint32  { return binary.BigEndian.Uint32(r.data[r.at-4:]) }
func (r *fieldReader) uint64() uint64  { return binary.BigEndian.Uint64(r.data[r.at-8:]) }
func (r *fieldReader) time() time.Time { return time.Unix(int64(r.uint64()), 0) }

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
	r.begun = r.at
	return r.skip(int(r.data[r.at-1]), end)
}

func (r *fieldReader) longText(end int) reading {
	n, state := r.length(end)
	if state != whole {
		return state
	}
	r.begun = r.at
	return r.skip(n, end)
}

func (r *fieldReader) length(end int) (int, reading) {
	if state := r.skip(4, end); state != whole {
		return 0, state
	}
	n := r.uint32()
	if n > math.MaxInt32 {
		return 0, broken
	}
	return int(n), whole
}

// table reads a table; nil if it is not to be built.
func (r *fieldReader) table(end, depth int) (amqp.Table, reading) {
	if depth > maxNesting {
		return nil, broken
	}
	n, state := r.length(end)
	if state != whole {
		return nil, state
	}
	if state = r.skip(n, end); state != whole {
		return nil, state
	}
	tableEnd := r.at
	r.at -= n
	var table amqp.Table
	if r.build {
		table = make(amqp.Table, min(n/smallEntry, usualEntries))
	}
	state = r.entries(table, tableEnd, depth)
	r.at = tableEnd
	return table, state
}

// Room is made for as many entries as a table of its size is likely to have.
const (
	smallEntry   = 16
	usualEntries = 8
)

func (r *fieldReader) entries(table amqp.Table, end, depth int) reading {
	for n := 0; r.at < end; n++ {
		if state := r.shortText(end); state != whole {
			return state
		}
		var name string
		if r.build {
			name = r.name()
		}
		value, state := r.field(end, depth)
		if state != whole {
			return state
		}
		if n == maxElements {
			return broken
		}
		if r.build {
			table[name] = value
		}
	}
	return whole
}

func (r *fieldReader) array(end, depth int) ([]any, reading) {
	if depth > maxNesting {
		return nil, broken
	}
	size, state := r.length(end)
	if state != whole {
		return nil, state
	}
	if size < end-r.at {
		end = r.at + size
	}
	var array []any
	for n := 0; ; n++ {
		value, state := r.field(end, depth)
		switch state {
		case ended:
			return array, whole
		case broken:
			return nil, broken
		}
		if n == maxElements {
			return nil, broken
		}
		if r.build {
			array = append(array, value)
		}
	}
}

// fieldSizes are those of fields that have always as many bytes.
var fieldSizes = [256]int8{'t': 1, 'b': 1, 'B': 1, 's': 2, 'u': 2, 'I': 4, 'i': 4, 'f': 4, 'l': 8, 'L': 8, 'd': 8, 'T': 8}

// field reads a field; nil if it is not to be built.
func (r *fieldReader) field(end, depth int) (any, reading) {
	if state := r.skip(1, end); state != whole {
		return nil, state
	}
	kind := &r.data[r.at-1]
	switch *kind {
	case 'V':
		return nil, whole
	case 'D':
		return r.decimal(end)
	case 'S', 'x':
		return r.longField(*kind, end)
	case 'A':
		array, state := r.array(end, depth+1)
		return array, state
	case 'F':
		table, state := r.table(end, depth+1)
		return table, state
	case 'L':
		r.foreign = true
		if r.mend {
			*kind = 'l'
		}
	}
	size := int(fieldSizes[*kind])
	if size == 0 {
		return nil, broken
	}
	state := r.skip(size, end)
	if state != whole || !r.build {
		return nil, state
	}
	return r.number(*kind), whole
}

// number is the number, the flag or the time that was read last.
func (r *fieldReader) number(kind byte) any {
	switch kind {
	case 't':
		return r.data[r.at-1] != 0
	case 'b':
		return int8(r.data[r.at-1])
	case 'B':
		return r.data[r.at-1]
	case 's':
		return int16(r.uint16())
	case 'u':
		return r.uint16()
	case 'I':
		return int32(r.uint32())
	case 'i':
		return r.uint32()
	case 'f':
		return math.Float32frombits(r.uint32())
	case 'd':
		return math.Float64frombits(r.uint64())
	case 'T':
		return r.time()
	}
	return int64(r.uint64())
}

func (r *fieldReader) decimal(end int) (any, reading) {
	if state := r.skip(1, end); state != whole {
		return nil, state
	}
	scale := r.data[r.at-1]
	if state := r.skip(4, end); state != whole || !r.build {
		return nil, state
	}
	return amqp.Decimal{Scale: scale, Value: int32(r.uint32())}, whole
}

func (r *fieldReader) longField(kind byte, end int) (any, reading) {
	state := r.longText(end)
	switch {
	case state != whole || !r.build:
		return nil, state
	case kind == 'x':
		return slices.Clone(r.data[r.begun:r.at]), whole
	}
	if len(r.text) > rememberedSize {
		return r.string(), whole
	}
	return r.names.value(r.string()), whole
}

// rememberedSize is how large properties may be whose texts are kept for the next message, in bytes.
const rememberedSize = 2 << 10
