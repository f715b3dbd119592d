package rabbitmq

import (
	"cmp"
	"encoding/binary"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// frameReader is the reading side of a connection, in front of the library. It takes out what comes by the thousand, deliveries to an [inbox]
// and what the broker answers to the messages of a [publishChannel]: the library reads them field by field, and hands them through two goroutines
// more. All else passes, with content headers made readable on the way: the library closes the whole connection over a message whose headers it
// can't read; the broker would then deliver that message again, and it would close the next connection too.
type frameReader struct {
	net.Conn

	limit atomic.Int64 // bytes of the largest frame that the library takes

	buffer []byte
	// buffer[next:sifted] can be handed out, buffer[sifted:end] has not been looked at.
	next, sifted, end int
	pass              int64 // bytes of the current frame that pass as they come
	err               error // of the connection; sticks
	broken            error // what is wrong with what has come; sticks

	arriving arriving
	consumer *inbox          // to whom the method goes that was looked at last
	sender   *publishChannel // the same
	taking   int             // bytes of the current frame that belong to the body of what arrives, the end of the frame included

	opened atomic.Uint32 // the channel that the broker has opened last

	mu       sync.Mutex
	inboxes  map[string]*inbox // by consumer tag
	channels map[uint16]ender  // by number

	patience patience
}

const (
	readBuffer = 32 << 10
	// frameHead is the size of a frame's type, channel and size; one byte follows the payload.
	frameHead, frameTail = 7, 1
	smallestLimit        = 4096
)

// receiver takes messages that were taken out.
type receiver interface {
	put(d *amqp.Delivery)
}

// ender is who writes to a channel past the library. When the broker closes that, the library answers, and who wrote after that would lose the
// connection.
type ender interface{ end() }

// The methods that are looked at, by class and method.
const (
	channelOpened   = 20<<16 | 11
	channelCloses   = 20<<16 | 40
	returnMethod    = 60<<16 | 50
	cancelMethod    = 60<<16 | 30 // by the broker
	cancelledMethod = 60<<16 | 31 // as it was asked to
	deliverMethod   = 60<<16 | 60
	ackMethod       = 60<<16 | 80
	nackMethod      = 60<<16 | 120
)

// The types of frames that are looked at.
const (
	methodFrame = iota + 1
	contentHeader
	bodyFrame
)

func newFrameReader(conn net.Conn) *frameReader {
	r := &frameReader{Conn: conn, buffer: make([]byte, readBuffer), inboxes: make(map[string]*inbox), channels: make(map[uint16]ender)}
	r.arriving.names = newNames()
	r.limit.Store(smallestLimit)
	return r
}

// take has the deliveries of a consumer come to an inbox until it is cancelled, from the first one if it is called before the consumer is started.
func (r *frameReader) take(tag string, to *inbox) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inboxes[tag] = to
}

// leave is the end of take.
func (r *frameReader) leave(tag []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inboxes, string(tag))
}

func (r *frameReader) inbox(tag []byte) *inbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inboxes[string(tag)]
}

// watch tells who writes to a channel when the broker closes it, and a [publishChannel] what the broker answers there.
func (r *frameReader) watch(channel uint16, by ender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.channels[channel] = by
}

// unwatch is the end of watch.
func (r *frameReader) unwatch(channel uint16, by ender) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.channels[channel] == by {
		delete(r.channels, channel)
	}
}

// channel is who writes to a channel; nil if that is the library.
func (r *frameReader) channel(number uint16) ender {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.channels[number]
}

func (r *frameReader) Read(p []byte) (int, error) {
	for {
		r.sift()
		if r.next < r.sifted {
			break
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buffer[r.next:r.sifted])
	r.next += n
	return n, nil
}

// fill reads more from the connection, behind the beginning of a frame that must be seen as a whole.
func (r *frameReader) fill() error {
	if err := cmp.Or(r.broken, r.err); err != nil {
		return err
	}
	r.end = copy(r.buffer, r.buffer[r.sifted:r.end])
	r.next, r.sifted = 0, 0
	if r.end == len(r.buffer) {
		r.buffer = append(r.buffer, make([]byte, len(r.buffer))...)
	}
	var n int
	n, r.err = r.Conn.Read(r.buffer[r.end:])
	r.end += n
	if n > 0 {
		r.patience.renew(r.Conn)
		return nil // the error comes after these
	}
	return r.err
}

// sift looks at what has come, until something is to be taken out before which something is to be handed out.
func (r *frameReader) sift() {
	for r.sifted < r.end && r.broken == nil {
		rest := r.buffer[r.sifted:r.end]
		switch {
		case r.pass > 0:
			n := min(r.pass, int64(len(rest)))
			r.pass -= n
			r.sifted += int(n)
			continue
		case r.taking > 0:
			r.takeBody(rest[:min(r.taking, len(rest))])
			continue
		case len(rest) < frameHead:
			return
		}
		kind, channel := rest[0], binary.BigEndian.Uint16(rest[1:])
		size := frameHead + int64(binary.BigEndian.Uint32(rest[3:])) + frameTail
		if size > r.limit.Load() { // the library says what is wrong
			r.pass = size
			continue
		}
		if (kind == methodFrame || kind == contentHeader) && int64(len(rest)) < size {
			return
		}
		if !r.takes(kind, channel, rest[frameHead:min(int(size)-frameTail, len(rest))]) {
			if kind == contentHeader {
				r.siftHeader(int(size))
			} else {
				r.pass = size
			}
			continue
		}
		if r.next < r.sifted {
			return
		}
		r.takeFrame(kind, channel, int(size))
	}
}

// takes says whether a frame is taken out: a method that somebody here waits for, or what follows it.
func (r *frameReader) takes(kind byte, channel uint16, payload []byte) bool {
	if kind == contentHeader || kind == bodyFrame {
		return r.arriving.to != nil && r.arriving.channel == channel
	}
	if kind != methodFrame {
		return false
	}
	switch methodOf(payload) {
	case deliverMethod:
		r.consumer = r.inbox(consumerTag(payload))
		return r.consumer != nil
	case ackMethod, nackMethod, returnMethod:
		r.sender, _ = r.channel(channel).(*publishChannel)
		return r.sender != nil
	case cancelMethod, cancelledMethod:
		r.leave(consumerTag(payload))
	case channelOpened:
		r.opened.Store(uint32(channel))
	case channelCloses:
		if by := r.channel(channel); by != nil {
			by.end()
		}
	}
	if r.arriving.channel == channel {
		r.arriving.to = nil // what should follow won't come
	}
	return false
}

func methodOf(payload []byte) uint32 {
	if len(payload) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(payload)
}

func (r *frameReader) takeFrame(kind byte, channel uint16, size int) {
	payload := r.buffer[r.sifted+frameHead : min(r.sifted+size-frameTail, r.end)]
	switch kind {
	case methodFrame:
		r.broken = r.takeMethod(channel, payload)
	case contentHeader:
		r.broken = r.arriving.header(payload)
	case bodyFrame:
		r.taking = size - frameHead
		size = frameHead
	}
	r.drop(size)
	r.arrived()
}

func (r *frameReader) takeMethod(channel uint16, payload []byte) error {
	switch method := methodOf(payload); method {
	case deliverMethod:
		return r.arriving.deliver(channel, payload, r.consumer)
	case returnMethod:
		r.arriving.begin(channel, r.sender)
	default:
		number, multiple, ok := readAnswer(payload)
		if !ok {
			return errCutShort
		}
		answer := acked
		if method == nackMethod {
			answer = nacked
		}
		r.sender.answered(number, multiple, answer)
	}
	return nil
}

// takeBody takes what has come of a frame of the body.
func (r *frameReader) takeBody(part []byte) {
	r.taking -= len(part)
	text := part
	if r.taking == 0 {
		text = part[:len(part)-frameTail]
	}
	r.broken = r.arriving.part(text)
	r.drop(len(part))
	if r.taking == 0 {
		r.arrived()
	}
}

// drop keeps from the library what comes next.
func (r *frameReader) drop(n int) {
	r.sifted += n
	r.next = r.sifted
}

// arrived puts what arrives into its inbox, if all of it is here.
func (r *frameReader) arrived() {
	a := &r.arriving
	if a.to == nil || !a.complete() || r.broken != nil {
		return
	}
	a.to.put(&a.Delivery)
	a.to = nil
}

// siftHeader makes the content header that comes next readable.
func (r *frameReader) siftHeader(size int) {
	from, to := r.sifted+frameHead, r.sifted+size-frameTail
	if other := mendContentHeader(r.buffer[from:to], int(r.limit.Load())-frameHead-frameTail); other != nil {
		binary.BigEndian.PutUint32(r.buffer[from-4:], uint32(len(other)))
		r.buffer = slices.Replace(r.buffer[:r.end], from, to, other...)
		r.end = len(r.buffer)
		r.buffer = r.buffer[:cap(r.buffer)]
		size += len(other) - (to - from)
	}
	r.sifted += size
}

// SetReadDeadline implements [net.Conn]. The library sets it anew with what it reads; while it gets to see nothing, this does.
func (r *frameReader) SetReadDeadline(t time.Time) error {
	r.patience.set(t)
	return r.Conn.SetReadDeadline(t)
}

// SetDeadline implements [net.Conn]: the library sets it for the last time, to say goodbye.
func (r *frameReader) SetDeadline(t time.Time) error {
	r.patience.set(time.Time{})
	return r.Conn.SetDeadline(t)
}

// patience is how long the connection may be silent.
type patience struct {
	mu      sync.Mutex
	span    time.Duration // 0: for ever
	renewed time.Time
}

func (p *patience) set(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renewed, p.span = time.Now(), 0
	if !t.IsZero() {
		p.span = time.Until(t)
	}
}

// renew has the wait begin again, since something has come.
func (p *patience) renew(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.span > 0 && now.Sub(p.renewed) > p.span/8 { // not for each read
		p.renewed = now
		_ = conn.SetReadDeadline(now.Add(p.span))
	}
}
