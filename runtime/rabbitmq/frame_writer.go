package rabbitmq

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	basicClass = 60
	// Methods of it.
	publish = 40
	ack     = 80
	nack    = 120

	frameEnd = 0xce
)

// Flags of these methods.
const (
	mandatoryFlag = 1 // of publish
	multipleFlag  = 1 // of ack and nack
	requeueFlag   = 2 // of nack
)

// appendSettle appends the frame of an ack or a nack.
func appendSettle(out []byte, channel uint16, method byte, tag uint64, flags byte) []byte {
	out, start := beginFrame(out, methodFrame, channel)
	out = binary.BigEndian.AppendUint64(append(out, 0, basicClass, 0, method), tag)
	return endFrame(append(out, flags), start)
}

// appendPublish appends the frames that publish a message: the method, the properties, and the body in frames of at most limit bytes. Its texts and
// headers were checked before, see publishing.check.
func appendPublish(out []byte, channel uint16, limit int, exchange, key string, mandatory bool, p *amqp.Publishing) ([]byte, error) {
	out, start := beginFrame(out, methodFrame, channel)
	out = append(out, 0, basicClass, 0, publish, 0, 0)
	out = appendShort(appendShort(out, exchange), key)
	flag := byte(0)
	if mandatory {
		flag = mandatoryFlag
	}
	out = endFrame(append(out, flag), start)

	out, start = beginFrame(out, contentHeader, channel)
	out = append(out, 0, basicClass, 0, 0)
	out = binary.BigEndian.AppendUint64(out, uint64(len(p.Body)))
	out, err := appendProperties(out, p)
	if err != nil {
		return nil, err
	}
	out = endFrame(out, start)

	for rest := p.Body; len(rest) > 0; {
		n := min(len(rest), limit-frameHead-frameTail)
		out, start = beginFrame(out, bodyFrame, channel)
		out = endFrame(append(out, rest[:n]...), start)
		rest = rest[n:]
	}
	return out, nil
}

// beginFrame appends the head of a frame, whose size endFrame fills in, and returns where its payload starts.
func beginFrame(out []byte, kind byte, channel uint16) ([]byte, int) {
	out = binary.BigEndian.AppendUint16(append(out, kind), channel)
	out = append(out, 0, 0, 0, 0)
	return out, len(out)
}

func endFrame(out []byte, start int) []byte {
	fillLength(out, start)
	return append(out, frameEnd)
}

// fillLength puts the length of what was appended since start before it.
func fillLength(out []byte, start int) {
	binary.BigEndian.PutUint32(out[start-4:], uint32(len(out)-start))
}

// appendProperties appends the properties that are set, after a bit for each.
func appendProperties(out []byte, p *amqp.Publishing) ([]byte, error) {
	at := len(out)
	var flags uint16
	has := func(i int, set bool) bool {
		if set {
			flags |= 1 << 15 >> i
		}
		return set
	}
	text := func(i int, text string) {
		if has(i, text != "") {
			out = appendShort(out, text)
		}
	}
	out = append(out, 0, 0)
	text(0, p.ContentType)
	text(1, p.ContentEncoding)
	if has(2, len(p.Headers) > 0) {
		var err error
		if out, err = appendTable(out, p.Headers); err != nil {
			return nil, err
		}
	}
	if has(3, p.DeliveryMode > 0) {
		out = append(out, p.DeliveryMode)
	}
	if has(4, p.Priority > 0) {
		out = append(out, p.Priority)
	}
	text(5, p.CorrelationId)
	text(6, p.ReplyTo)
	text(7, p.Expiration)
	text(8, p.MessageId)
	if has(9, !p.Timestamp.IsZero()) {
		out = binary.BigEndian.AppendUint64(out, uint64(p.Timestamp.Unix()))
	}
	text(10, p.Type)
	text(11, p.UserId)
	text(12, p.AppId)
	binary.BigEndian.PutUint16(out[at:], flags)
	return out, nil
}

func appendShort(out []byte, text string) []byte {
	return append(append(out, byte(len(text))), text...)
}

func appendTable(out []byte, table amqp.Table) (_ []byte, err error) {
	out = append(out, 0, 0, 0, 0)
	start := len(out)
	for name, value := range table {
		if out, err = appendField(appendShort(out, name), value); err != nil {
			return nil, fmt.Errorf("header %q: %w", name, err)
		}
	}
	fillLength(out, start)
	return out, nil
}

func appendArray(out []byte, array []any) (_ []byte, err error) {
	out = append(out, 0, 0, 0, 0)
	start := len(out)
	for _, value := range array {
		if out, err = appendField(out, value); err != nil {
			return nil, err
		}
	}
	fillLength(out, start)
	return out, nil
}

// appendField appends a value as the library would.
func appendField(out []byte, value any) ([]byte, error) {
	b := binary.BigEndian
	switch v := value.(type) {
	case nil:
		return append(out, 'V'), nil
	case string:
		return append(b.AppendUint32(append(out, 'S'), uint32(len(v))), v...), nil
	case bool:
		if v {
			return append(out, 't', 1), nil
		}
		return append(out, 't', 0), nil
	case int32:
		return b.AppendUint32(append(out, 'I'), uint32(v)), nil
	case int64:
		return b.AppendUint64(append(out, 'l'), uint64(v)), nil
	case float64:
		return b.AppendUint64(append(out, 'd'), math.Float64bits(v)), nil
	case []any:
		return appendArray(append(out, 'A'), v)
	case amqp.Table:
		return appendTable(append(out, 'F'), v)
	case []byte:
		return append(b.AppendUint32(append(out, 'x'), uint32(len(v))), v...), nil
	case time.Time:
		return b.AppendUint64(append(out, 'T'), uint64(v.Unix())), nil
	case int8:
		return append(out, 'b', byte(v)), nil
	case byte:
		return append(out, 'B', v), nil
	case int16:
		return b.AppendUint16(append(out, 's'), uint16(v)), nil
	case uint16:
		return b.AppendUint16(append(out, 'u'), v), nil
	case int:
		return b.AppendUint32(append(out, 'I'), uint32(v)), nil
	case uint32:
		return b.AppendUint32(append(out, 'i'), v), nil
	case float32:
		return b.AppendUint32(append(out, 'f'), math.Float32bits(v)), nil
	case amqp.Decimal:
		return b.AppendUint32(append(out, 'D', v.Scale), uint32(v.Value)), nil
	}
	return nil, fmt.Errorf("a %T can't be sent", value)
}
