package rabbitmq

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/frugal"
	"github.com/taskgen/taskgen/runtime/task"
)

// fields makes header values of every type that the AMQP library can hand out, from bytes.
type fields struct{ data []byte }

func (f *fields) byte() byte {
	if len(f.data) == 0 {
		return 0
	}
	b := f.data[0]
	f.data = f.data[1:]
	return b
}

func (f *fields) number() (n uint64) {
	for range 8 {
		n = n<<8 | uint64(f.byte())
	}
	return n
}

func (f *fields) bytes() []byte {
	n := min(int(f.byte()), len(f.data))
	b := f.data[:n]
	f.data = f.data[n:]
	return slices.Clone(b)
}

func (f *fields) value(depth int) any {
	switch kind := f.byte() % 20; kind {
	case 0:
		return nil
	case 1:
		return f.byte()&1 == 1
	case 2:
		return int8(f.number())
	case 3:
		return byte(f.number())
	case 4:
		return int16(f.number())
	case 5:
		return uint16(f.number())
	case 6:
		return int32(f.number())
	case 7:
		return uint32(f.number())
	case 8:
		return int64(f.number())
	case 9:
		return float32(math.Float32frombits(uint32(f.number())))
	case 10:
		return math.Float64frombits(f.number())
	case 11:
		return amqp.Decimal{Scale: f.byte(), Value: int32(f.number())}
	case 12:
		return time.Unix(int64(f.number()), 0)
	case 13:
		return f.bytes()
	case 14, 15:
		if depth < 120 {
			list := make([]any, f.byte()%8)
			for i := range list {
				list[i] = f.value(depth + 1)
			}
			return list
		}
	case 16, 17:
		if depth < 120 {
			return f.table(depth + 1)
		}
	case 18:
		return f.byte() // a number where text is expected
	}
	return string(f.bytes())
}

// headerNames are those of headers that somebody reads, so that values of all types come to them.
var headerNames = []string{
	"task", "id", "root_id", "parent_id", "retries", "eta", "expires", "timelimit", "ignore_result", "compression", "argsrepr", "kwargsrepr", "group", "origin",
	deliveryCountHeader, deathHeader, firstDeathPrefix + "queue", lastDeathPrefix + "reason", "x-match", "CC", "BCC", "lang", "shadow",
}

func (f *fields) table(depth int) amqp.Table {
	table := amqp.Table{}
	for range f.byte() % 12 {
		var name string
		if i := int(f.byte()); i < 2*len(headerNames) {
			name = headerNames[i/2]
		} else {
			name = string(f.bytes())
		}
		table[name] = f.value(depth)
	}
	return table
}

// FuzzHeaders: headers of every type that AMQP has become a delivery whose message can be looked at, and be sent on or refused, which
// closes no connection. They are read the same way twice.
func FuzzHeaders(f *testing.F) {
	for kind := range byte(20) {
		for i := range headerNames {
			filling := []byte{3, 0xff}[(i+int(kind))%2] // all of both would keep a minute of fuzzing busy
			if i%2 == int(kind)/2%2 {
				f.Add(append([]byte{1, byte(2 * i), kind}, bytes.Repeat([]byte{filling}, 20)...), "q", "01234567-0123-0123-0123-0123456789ab-1", i%4 == 0)
			}
		}
	}
	f.Add(bytes.Repeat([]byte{1, 0, 16}, 150), "", "", false)
	f.Add(append([]byte{1, 0}, bytes.Repeat([]byte{14, 1}, 150)...), "", "", false)
	f.Add(append([]byte{11}, bytes.Repeat([]byte{255, 200, 65, 66}, 3000)...), strings.Repeat("q", 300), strings.Repeat("m", 300), true)
	f.Add([]byte{}, "", "", false)
	f.Fuzz(func(t *testing.T, data []byte, key, messageID string, redelivered bool) {
		arrive := func() *task.Delivery {
			d := &amqp.Delivery{
				Headers: (&fields{data}).table(0), Exchange: "", RoutingKey: key, MessageId: messageID, CorrelationId: key, Redelivered: redelivered,
				ContentType: "application/json", Body: []byte("[[],{},{}]"),
			}
			if redelivered {
				d.Exchange = ladderDelivery
			}
			return newDelivery(d, "q", 1)
		}
		var d *task.Delivery
		frugal.Check(t, func() { d = arrive() })
		if again := arrive(); again.Message.ID != d.Message.ID || again.Message.Task != d.Message.Task || again.Attempts != d.Attempts ||
			again.MessageID != d.MessageID || again.Unique != d.Unique || again.Message.Exchange != d.Message.Exchange || again.Message.RoutingKey != d.Message.RoutingKey {
			t.Errorf("%+v and %+v", d, again)
		}
		if d.Attempts < 0 {
			t.Errorf("delivered %d times before", d.Attempts)
		}
		for name := range d.Message.Headers {
			if name == deathHeader || name == deliveryCountHeader {
				t.Errorf("the broker's header %q travels on", name)
			}
		}
		m := *d.Message
		m.Exchange, m.Queue = "", "q"
		p, err := newPublishing(&m, time.Now(), false)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		if err := p.properties.Headers.Validate(); err != nil {
			t.Errorf("what is sent on would close the connection: %v", err)
		}
	})
}
