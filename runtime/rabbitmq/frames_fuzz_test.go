package rabbitmq

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/internal/frugal"
)

// piecewise is a connection from which so many bytes come at a time.
type piecewise struct {
	net.Conn
	rest  []byte
	piece int
}

func (p *piecewise) Read(into []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(into, p.rest[:min(p.piece, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// FuzzFrames: whatever a broker sends costs little and ends without a panic, and comes out the same however it is cut in pieces: what is for
// the library, what was taken out, and what is wrong with it.
func FuzzFrames(f *testing.F) {
	header := func(size string) string {
		return frame(contentHeader, "\x00\x3c\x00\x00"+strings.Repeat("\x00", 8-len(size))+size+"\x20\x00"+long(short("task")+"S"+long("py.add")))
	}
	for _, seed := range []string{
		deliverFrame() + header("\x05") + frame(bodyFrame, "he") + frame(bodyFrame, "llo") + method(1, "\x00\x14\x00\x28"),
		method(0, "\x00\x0a") + deliverFrame() + header("") + deliverFrame() + header("\x01") + frame(bodyFrame, "x"),
		deliverFrame() + deliverFrame() + header("\x01") + header("\x01"),
		deliverFrame() + header("\x01") + frame(bodyFrame, "too long"),
		deliverFrame() + header("\xff\xff\xff\xff\xff\xff\xff\xff"),
		deliverFrame() + header("\x7f\xff\xff\xff\xff\xff\xff\xff") + frame(bodyFrame, "x"),
		deliverFrame() + frame(bodyFrame, "x"),
		deliverFrame() + frame(contentHeader, "short"),
		frame(methodFrame, "\x00\x3c\x00\x3c"+short("c")+"\x00"),
		frame(methodFrame, "\x00\x3c\x00\x3c"+short("c")+"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x09"),
		frame(methodFrame, "\x00\x3c\x00\x3c\x09c"),
		"\x08\x00\x00\x00\x00\x00\x00\xce" + "\x03\x00\x01\xff\xff\xff\xff",
		deliverFrame() + frame(8, "") + header("\x01") + method(1, "\x00\x14\x00\x28") + frame(bodyFrame, "x"),
	} {
		f.Add([]byte(seed), uint8(0))
		f.Add([]byte(seed), uint8(6))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		read := func(piece int) (passed []byte, taken []amqp.Delivery, err error) {
			r, to := newFrameReader(&piecewise{rest: slices.Clone(stream), piece: piece}), new(inbox)
			r.take("c", to)
			passed, err = io.ReadAll(r)
			return passed, to.waiting, err
		}
		var passed []byte
		var taken []amqp.Delivery
		var err error
		frugal.Check(t, func() { passed, taken, err = read(1 << 20) })
		otherPassed, otherTaken, otherErr := read(int(piece) + 1)
		if !bytes.Equal(passed, otherPassed) {
			t.Errorf("passed %q, in pieces %q", passed, otherPassed)
		}
		if (err == nil) != (otherErr == nil) {
			t.Errorf("error %v, in pieces %v", err, otherErr)
		}
		if !slices.EqualFunc(taken, otherTaken, func(a, b amqp.Delivery) bool { return describe(a) == describe(b) }) {
			t.Errorf("took %v, in pieces %v", taken, otherTaken)
		}
		size := 0
		for _, d := range taken {
			size += len(d.Body)
		}
		if size+len(passed) > 3*len(stream) { // a header that can't be read grows
			t.Errorf("%d bytes became %d", len(stream), size+len(passed))
		}
	})
}
