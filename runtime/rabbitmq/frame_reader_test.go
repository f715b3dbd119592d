package rabbitmq

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// A header frame with all that clients other than ours may put into it.
func TestContentHeader(t *testing.T) {
	t.Parallel()
	deep := func(depth int) string {
		field := "V"
		for range depth {
			field = "A" + long(field)
		}
		return field
	}
	many := func(n int) string {
		var entries strings.Builder
		for i := range n {
			entries.WriteString(short(fmt.Sprint(i)) + "V")
		}
		return entries.String()
	}
	big := "L\x80\x00\x00\x00\x00\x00\x00\x01"
	for name, c := range map[string]struct {
		entries string
		want    any // of the header "it"; nil: unreadable
	}{
		"int64 of Python":         {short("it") + big, int64(math.MinInt64 + 1)},
		"in a table":              {short("it") + "F" + long(short("n")+big), amqp.Table{"n": int64(math.MinInt64 + 1)}},
		"in an array":             {short("it") + "A" + long("t\x01"+big), []any{true, int64(math.MinInt64 + 1)}},
		"after a decimal":         {short("d") + "D\x02\x00\x00\x00\x07" + short("it") + big, int64(math.MinInt64 + 1)},
		"a text that looks like":  {short("it") + "S" + long(big), big},
		"unknown type":            {short("it") + "S" + long("x") + short("n") + "?", nil},
		"int64 and unknown type":  {short("it") + big + short("n") + "?", nil},
		"nested as deep as may":   {short("it") + "S" + long("x") + short("n") + deep(32), "x"},
		"nested deeper":           {short("it") + "S" + long("x") + short("n") + deep(33), nil},
		"as many as may":          {short("it") + "S" + long("x") + many(8191), "x"},
		"more":                    {short("it") + "S" + long("x") + many(8192), nil},
		"more in an array":        {short("it") + "A" + long(strings.Repeat("V", 8193)), nil},
		"cut off in a name":       {short("it") + "S" + long("x") + "\x09ab", nil},
		"cut off in a text":       {short("it") + "S\x00\x00\x00\x09ab", nil},
		"text of negative length": {short("it") + "S\xff\xff\xff\xff", nil},
	} {
		payload := "\xa4\x40" + short("text/plain") + long(c.entries) + short("the id") + "\x00\x00\x00\x00\x00\x00\x00\x07"
		pieces := []int{1 + len(payload)/1000, 7 + len(payload)/100, 1 << 20}
		for i, piece := range append(pieces, pieces...) {
			way := mended
			if i >= len(pieces) {
				way = taken
			}
			got, err := newLink(t, way).read(payload, piece)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if got.ContentType != "text/plain" || got.CorrelationId != "the id" || got.Timestamp.Unix() != 7 {
				t.Errorf("%s: the other properties are %q, %q, %s", name, got.ContentType, got.CorrelationId, got.Timestamp)
			}
			want := fmt.Sprintf("%#v", c.want)
			if c.want == nil {
				want = fmt.Sprintf("%#v", []byte(long(c.entries)))
				got.Headers["it"] = got.Headers[task.UnreadableHeader]
			}
			if text := fmt.Sprintf("%#v", got.Headers["it"]); text != want {
				t.Errorf("%s: got %.200s, want %.200s", name, text, want)
			}
		}
	}
}

// What can't be read and needs more room than a frame has is cut.
func TestContentHeaderAtTheLimit(t *testing.T) {
	t.Parallel()
	const most = linkFrame - frameHead - frameTail
	for missing := range 40 {
		used := propertiesAt + len(long("")+short("id"))
		entries := short("n") + "?"
		entries += strings.Repeat("x", most-used-len(entries)-missing)
		reader := newLink(t, mended)
		got, err := reader.read("\x24\x00"+long(entries)+short("id"), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := got.Headers[task.UnreadableHeader].([]byte)
		if got.CorrelationId != "id" || !strings.HasPrefix(long(entries), string(raw)) || len(raw) < len(entries)-30 {
			t.Errorf("%d bytes below the limit: %d of %d bytes, id %q", missing, len(raw), len(entries), got.CorrelationId)
		}
	}
}

// Frames larger than any buffer, and many small ones, arrive as they were sent.
func TestFrameReaderPassesBodies(t *testing.T) {
	t.Parallel()
	const messages = 30
	pieces := []int{1000, readBuffer - 1, readBuffer + 1, 1 << 20}
	for i, piece := range append(pieces, pieces...) {
		way := mended
		if i >= len(pieces) {
			way = taken
		}
		l := newLink(t, way)
		sent := make(chan string, messages)
		go func() {
			defer close(sent)
			for i := range messages {
				body := strings.Repeat(fmt.Sprint(i, "\xce\x02"), i*i*100)
				if body == "" {
					body = "0"
				}
				var frames bytes.Buffer
				frames.WriteString(deliverFrame() + frame(contentHeader, "\x00\x3c\x00\x00"+
					string(binary.BigEndian.AppendUint64(nil, uint64(len(body))))+"\x20\x00"+long(short("i")+"L\x00\x00\x00\x00\x00\x00\x00"+string(rune(i)))))
				for rest := body; rest != ""; {
					n := min(len(rest), linkFrame-8)
					frames.WriteString(frame(3, rest[:n]))
					rest = rest[n:]
				}
				sent <- body
				write(l.broker, frames.String(), piece)
			}
		}()
		i := int64(0)
		for want := range sent {
			d, err := l.next()
			if err != nil {
				t.Fatal(err)
			}
			if string(d.Body) != want || d.Headers["i"] != i {
				t.Fatalf("message %d came as %v with %d bytes", i, d.Headers["i"], len(d.Body))
			}
			i++
		}
	}
}

// Whatever properties come, the library can read them behind the frame reader, and
// what it could read without it is the same; so is what it does not get to see.
func FuzzContentHeader(f *testing.F) {
	for _, seed := range []string{
		"\xa4\x40" + short("application/json") + long(short("task")+"S"+long("py.add")+short("retries")+"I\x00\x00\x00\x00"+short("eta")+"V"+
			short("timelimit")+"A"+long("VV")) + short("id") + "\x00\x00\x00\x00\x00\x00\x00\x07",
		"\x20\x00" + long(short("n")+"L\x00\x00\x00\x00\x00\x00\x00\x07"),
		"\x20\x00" + long(short("n")+"A"+long("L\x00\x00\x00\x00\x00\x00\x00\x07F"+long(short("n")+"L\x00"))),
		"\x20\x00" + long(short("n")+"A"+long("I")),
		"\x20\x00" + long(short("n")+"A"+long("F"+long("\x01n"))+short("m")+"V"),
		"\x20\x00" + long(short("n")+"A\x00\x00\x00\x09ttt"),
		"\x20\x00" + long(short("n")+strings.Repeat("A\x00\x00\x00\xff", 40)),
		"\x20\x00" + long(short("D")+"D\x01\x00\x00\x00\x01"+short("x")+"x"+long("12")+short("f")+"f1234"+short("d")+"d12345678"+
			short("T")+"T12345678"+short("b")+"b1"+short("B")+"B1"+short("s")+"s12"+short("u")+"u12"+short("i")+"i1234"+short("t")+"t1"),
		"\xff\xfc" + short("a") + short("b") + long("") + "\x02\x09" + short("c") + short("d") + short("5") + short("m") + "12345678" +
			short("t") + short("u") + short("a") + short("r") + "padding",
		"\xff\xff",
		"\x20\x00\xff\xff\xff\xff",
		"\x00\x00",
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(3))
	}
	library, behind, beside := newLink(f, bare), newLink(f, mended), newLink(f, taken)
	f.Fuzz(func(t *testing.T, properties []byte, piece uint8) {
		if len(properties) < 2 || len(properties) > linkFrame/2 {
			return
		}
		want, refused := library.read(string(properties), 1<<20)
		got, err := behind.read(string(properties), int(piece)+1)
		if err != nil {
			t.Fatalf("the connection was closed: %v", err)
		}
		took, err := beside.read(string(properties), int(piece)+1)
		if err != nil {
			t.Fatalf("the connection was closed: %v", err)
		}
		if took, got := describe(took), describe(got); took != got {
			t.Fatalf("took %s\nread %s", took, got)
		}
		if refused == nil {
			if got, want := describe(got), describe(want); got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			return
		}
		raw, unreadable := got.Headers[task.UnreadableHeader].([]byte)
		if unreadable && !bytes.Contains(properties, raw) {
			t.Fatalf("%q is not what came", raw)
		}
		if !unreadable && !bytes.ContainsRune(properties, 'L') {
			t.Fatalf("readable after %v", refused)
		}
	})
}

// describe has all properties of a delivery.
func describe(d amqp.Delivery) string {
	d.Acknowledger = nil
	d.Body = bytes.Clone(d.Body)
	return fmt.Sprintf("%#v", d)
}

// BenchmarkFrameReader is what a task message of 200 bytes costs on its way through the frame reader alone.
func BenchmarkFrameReader(b *testing.B) {
	properties := "\xb4\x80" + short("application/json") + long(short("task")+"S"+long("py.add")+short("id")+"S"+long(strings.Repeat("i", 36))+
		short("retries")+"I\x00\x00\x00\x00"+short("eta")+"V"+short("timelimit")+"A"+long("VV")+short("origin")+"S"+long("gen@host")+
		short("argsrepr")+"S"+long("(1, 2)")+short("kwargsrepr")+"S"+long("{}")) + "\x02" + short(strings.Repeat("i", 36)) + short(strings.Repeat("m", 40))
	body := strings.Repeat("b", 200)
	message := deliverFrame() + frame(contentHeader, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc8"+properties) + frame(3, body)
	for name, stream := range map[string]io.Reader{
		"bare":   &endless{text: message},
		"reader": newFrameReader(&endlessConn{endless: endless{text: message}}),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			p := make([]byte, 4096)
			for total := 0; total < b.N*len(message); {
				n, err := stream.Read(p)
				if err != nil {
					b.Fatal(err)
				}
				total += n
			}
		})
	}
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.text[e.at:])
		n += k
		e.at = (e.at + k) % len(e.text)
	}
	return n, nil
}

type endlessConn struct {
	net.Conn
	endless
}

func (e *endlessConn) Read(p []byte) (int, error) { return e.endless.Read(p) }

// linkFrame is the frame size of a link.
const linkFrame = 128 << 10

// link is a connection of the library to a broker that does no more than deliver. It is made anew after the library has closed it.
type link struct {
	way        way
	broker     net.Conn
	deliveries <-chan amqp.Delivery // to the library
	inbox      chan amqp.Delivery   // before it
	closed     chan *amqp.Error
}

// way is how deliveries come.
type way int

const (
	bare   way = iota
	mended     // behind a frameReader
	taken      // from one
)

func newLink(t testing.TB, way way) *link {
	t.Helper()
	l := &link{way: way, inbox: make(chan amqp.Delivery, 1)}
	if err := l.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.broker.Close() })
	return l
}

func (l *link) open() error {
	ours, theirs := net.Pipe()
	l.broker = theirs
	go greet(theirs)
	var socket io.ReadWriteCloser = ours
	reader := newFrameReader(ours)
	if l.way != bare {
		socket = reader
	}
	if l.way == taken {
		to := new(inbox)
		to.open(func(d *amqp.Delivery) { l.inbox <- *d })
		reader.take("c", to)
	}
	conn, err := amqp.Open(socket, amqp.Config{SASL: []amqp.Authentication{&amqp.PlainAuth{}}})
	if err != nil {
		return err
	}
	reader.limit.Store(int64(conn.Config.FrameSize))
	l.closed = conn.NotifyClose(make(chan *amqp.Error, 1))
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	l.deliveries, err = ch.Consume("q", "c", true, false, false, false, nil)
	return err
}

// read has the library read properties, flags first, in pieces of so many bytes.
func (l *link) read(properties string, piece int) (amqp.Delivery, error) {
	go write(l.broker, deliverFrame()+frame(contentHeader, "\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"+properties), piece)
	d, err := l.next()
	if err != nil {
		l.broker.Close()
		return d, errors.Join(err, l.open())
	}
	return d, nil
}

func (l *link) next() (amqp.Delivery, error) {
	select {
	case d := <-l.inbox:
		return d, nil
	case d, open := <-l.deliveries:
		if open {
			return d, nil
		}
		return d, <-l.closed
	case <-time.After(10 * time.Second):
		return amqp.Delivery{}, errors.New("nothing came")
	}
}

func write(to io.Writer, text string, piece int) {
	for text != "" {
		n := min(piece, len(text))
		if _, err := io.WriteString(to, text[:n]); err != nil {
			return
		}
		text = text[n:]
	}
}

// greet answers what the library says until it consumes.
func greet(conn net.Conn) {
	answers := map[uint32]string{ // by class and method
		10<<16 | 11: method(0, string([]byte{0, 10, 0, 30, 0, 0, 0, linkFrame >> 16, 0, 0, 0, 0})), // start-ok: tune
		10<<16 | 40: method(0, "\x00\x0a\x00\x29"+short("")),                                       // open: open-ok
		20<<16 | 10: method(1, "\x00\x14\x00\x0b"+long("")),                                        // channel
		60<<16 | 20: method(1, "\x00\x3c\x00\x15"+short("c")),                                      // consume
	}
	if _, err := io.ReadFull(conn, make([]byte, 8)); err != nil {
		return
	}
	_, _ = io.WriteString(conn, method(0, string([]byte{0, 10, 0, 10, 0, 9})+long("")+long("PLAIN")+long("en_US")))
	for {
		head := make([]byte, frameHead)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		rest := make([]byte, binary.BigEndian.Uint32(head[3:])+frameTail)
		if _, err := io.ReadFull(conn, rest); err != nil {
			return
		}
		if answer := answers[binary.BigEndian.Uint32(rest)]; answer != "" {
			_, _ = io.WriteString(conn, answer)
		}
	}
}

func method(channel int, payload string) string {
	return "\x01\x00" + string(rune(channel)) + long(payload) + "\xce"
}

func frame(kind int, payload string) string {
	return string(rune(kind)) + "\x00\x01" + long(payload) + "\xce"
}

func deliverFrame() string {
	return frame(1, "\x00\x3c\x00\x3c"+short("c")+"\x00\x00\x00\x00\x00\x00\x00\x01\x00"+short("")+short("q"))
}

func short(text string) string { return string([]byte{byte(len(text))}) + text }

func long(text string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) + text
}
