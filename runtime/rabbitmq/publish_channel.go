package rabbitmq

import (
	"encoding/binary"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publishChannel is a channel in confirm mode. The library opens it and watches over it; messages and the broker's answers to them
// go past the library, which would take several times as long with each. Frames never get into each other: what the library writes to the
// connection besides is smaller than its buffer, so it comes as a whole too.
type publishChannel struct {
	session  *publishSession
	exchange string
	id       uint16

	mu    sync.Mutex
	ended bool // nothing may be sent any more
	// waiting are the messages that are not answered, in the order in which they were sent, and nil for those that were before an earlier one. The
	// broker counts them, from 1; the first of these has the number next.
	waiting []*confirm
	next    uint64
	closed  chan struct{} // when all has been answered that will be
	reason  error         // valid once closed is
}

// confirm is the broker's answer to a message.
type confirm struct {
	messageID string
	done      chan struct{} // closed when there is an answer, or none to be had
	answer    answer        // valid once done is closed
}

type answer int

const (
	unanswered answer = iota
	acked
	returned // no queue took it
	nacked
)

func newPublishChannel(s *publishSession, exchange string) (*publishChannel, error) {
	ch, id, err := s.openChannelID()
	if err != nil {
		return nil, err
	}
	c := &publishChannel{session: s, exchange: exchange, id: id, next: 1, closed: make(chan struct{})}
	closes := ch.NotifyClose(make(chan *amqp.Error, 1))
	s.frames.watch(id, c)
	go c.watch(closes)
	if err := ch.Confirm(false); err != nil {
		_ = ch.Close()
		return nil, err
	}
	return c, nil
}

// watch waits for the end of the channel. What is not answered then won't be.
func (c *publishChannel) watch(closes <-chan *amqp.Error) {
	err := <-closes
	c.session.frames.unwatch(c.id, c)
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason = amqp.ErrClosed; err != nil {
		c.reason = err
	}
	close(c.closed)
	for i := range c.waiting {
		c.settle(i, unanswered)
	}
	c.waiting = nil
}

// end has nothing sent any more.
func (c *publishChannel) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// room has buffers for frames.
var room = sync.Pool{New: func() any { return new([]byte) }}

// largestRoom bounds those that are kept.
const largestRoom = 64 << 10

// publish puts a message on its way. If there is an error it is not.
func (c *publishChannel) publish(exchange, key string, mandatory bool, p *amqp.Publishing) (*confirm, error) {
	buffer := room.Get().(*[]byte)
	frames, err := appendPublish((*buffer)[:0], c.id, c.session.Config.FrameSize, exchange, key, mandatory, p)
	if err != nil {
		return nil, err
	}
	defer func() {
		if *buffer = frames; cap(frames) <= largestRoom {
			room.Put(buffer)
		}
	}()
	m := &confirm{messageID: p.MessageId, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, amqp.ErrClosed
	}
	if _, err := c.session.writes.Write(frames); err != nil {
		return nil, err
	}
	c.waiting = append(c.waiting, m)
	return m, nil
}

// answered takes note of an answer of the broker, to one message or to all up to it.
func (c *publishChannel) answered(number uint64, multiple bool, answer answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number == 0 && multiple {
		number = c.next + uint64(len(c.waiting)) - 1
	}
	if number < c.next || number-c.next >= uint64(len(c.waiting)) {
		return // it answers what has not been asked
	}
	last := int(number - c.next)
	first := last
	if multiple {
		first = 0
	}
	for i := first; i <= last; i++ {
		c.settle(i, answer)
	}
	for len(c.waiting) > 0 && c.waiting[0] == nil {
		c.waiting = c.waiting[1:]
		c.next++
	}
}

// settle answers the i-th of those that wait. The caller holds c.mu.
func (c *publishChannel) settle(i int, answer answer) {
	m := c.waiting[i]
	if m == nil {
		return
	}
	c.waiting[i] = nil
	if m.answer == unanswered {
		m.answer = answer
	}
	close(m.done)
}

// put takes note that a message has come back. The broker returns one before it acks it.
func (c *publishChannel) put(d *amqp.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.waiting {
		if m != nil && m.messageID == d.MessageId {
			m.answer = returned
		}
	}
}

// cause says why the channel, which has ended or is about to, was closed.
func (c *publishChannel) cause() error {
	<-c.closed
	return c.reason
}

// readAnswer reads basic.ack and basic.nack, which are alike.
func readAnswer(payload []byte) (number uint64, multiple, ok bool) {
	const size = 4 + 8 + 1
	if len(payload) < size {
		return 0, false, false
	}
	return binary.BigEndian.Uint64(payload[4:]), payload[12]&1 != 0, true
}
