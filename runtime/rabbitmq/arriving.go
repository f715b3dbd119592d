package rabbitmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	amqp "github.com/rabbitmq/amqp091-go"
)

// arriving is a message of which some frames have come: the method, a header with the properties, the body in as many frames as it takes.
type arriving struct {
	amqp.Delivery
	to      receiver // nil: there is no message
	channel uint16
	headed  bool
	size    uint64 // of the body
	names   *names
}

// firstBody is how much is made room for before a byte of the body has come.
const firstBody = 1 << 20

// consumerTag is the consumer that a method is about, of those that begin with one; nil if it doesn't say.
func consumerTag(payload []byte) []byte {
	if len(payload) < 5 || len(payload) < 5+int(payload[4]) {
		return nil
	}
	return payload[5 : 5+int(payload[4])]
}

// begin begins a message on a channel.
func (a *arriving) begin(channel uint16, to receiver) {
	a.Delivery = amqp.Delivery{}
	a.to, a.channel, a.headed, a.size = to, channel, false, 0
	a.names.begin()
}

// deliver begins one with the method that delivers it.
func (a *arriving) deliver(channel uint16, payload []byte, to *inbox) error {
	a.begin(channel, to)
	tag := consumerTag(payload)
	rest := payload[5+len(tag):]
	const tagAndFlag = 8 + 1
	if len(rest) < tagAndFlag {
		return errCutShort
	}
	a.ConsumerTag, a.DeliveryTag, a.Redelivered = a.names.of(tag), binary.BigEndian.Uint64(rest), rest[8]&1 != 0
	r := fieldReader{data: rest, at: tagAndFlag, names: a.names}
	if r.shortText(len(rest)) != whole {
		return errCutShort
	}
	a.Exchange = r.name()
	if r.shortText(len(rest)) != whole {
		return errCutShort
	}
	a.RoutingKey = r.name()
	return nil
}

var errCutShort = errors.New("a frame is shorter than what is in it")

// header reads the content header.
func (a *arriving) header(payload []byte) error {
	if a.headed || len(payload) < propertiesAt {
		return fmt.Errorf("the header of delivery %d: %w", a.DeliveryTag, errCutShort)
	}
	a.headed, a.size = true, binary.BigEndian.Uint64(payload[4:])
	if a.size > math.MaxInt64 {
		return fmt.Errorf("delivery %d has a body of %d bytes", a.DeliveryTag, a.size)
	}
	readProperties(payload, &a.Delivery, a.names)
	a.Body = make([]byte, 0, min(a.size, firstBody))
	return nil
}

// part takes some of the body.
func (a *arriving) part(text []byte) error {
	if !a.headed || uint64(len(a.Body)+len(text)) > a.size {
		return fmt.Errorf("the body of delivery %d is longer than the %d bytes that its header says", a.DeliveryTag, a.size)
	}
	a.Body = append(a.Body, text...)
	return nil
}

func (a *arriving) complete() bool { return a.headed && uint64(len(a.Body)) == a.size }

// names has one string for each text that comes again and again, such as the name of a header. Most messages are like the one before: so it
// looks first at what came at the same place there.
type names struct {
	known map[string]string
	last  []lastText
	at    int // the next place
}

// lastText is what came at a place in the last message.
type lastText struct {
	text  string
	boxed any // the text, if a value was wanted
}

// Texts that are longer, or come when there are so many, have a string each.
const (
	maxNames = 256
	maxName  = 64
)

func newNames() *names { return &names{known: make(map[string]string)} }

// begin begins with another message.
func (n *names) begin() { n.at = 0 }

// place is the next one.
func (n *names) place() *lastText {
	if n.at == len(n.last) {
		if n.at == maxNames {
			return &lastText{}
		}
		n.last = append(n.last, lastText{})
	}
	n.at++
	return &n.last[n.at-1]
}

// of is a text that comes again and again.
func (n *names) of(text []byte) string {
	last := n.place()
	if last.text == string(text) {
		return last.text
	}
	s, ok := n.known[string(text)]
	if !ok {
		s = string(text)
		if len(n.known) < maxNames && len(s) <= maxName {
			n.known[s] = s
		}
	}
	if len(s) <= maxName {
		*last = lastText{text: s}
	}
	return s
}

// value is a text that may be the same as in the last message.
func (n *names) value(text string) any {
	last := n.place()
	if last.boxed == nil || last.text != text {
		*last = lastText{text, text}
	}
	return last.boxed
}
