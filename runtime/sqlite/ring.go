package sqlite

import (
	"encoding/binary"
	"errors"
)

// A ring is one datagram of the doorbell: what has changed in the database. It
// is a hint. A lost one costs a second, a forged one a look at the database.
type ring struct {
	// queues have new messages to deliver, and the listeners whose id is -n new broadcasts.
	queues []int64
	// due is when a new delayed message is due in ms, 0: none.
	due int64
	// results are the hashes of task ids whose results are new.
	results []uint32
	// all says that anything may have changed.
	all bool
}

const (
	// ringMark begins each datagram, so that a stray one is known as such.
	ringMark = "tg1"
	// maxRing is the largest datagram that every system takes.
	maxRing = 8 << 10
)

func (r ring) empty() bool {
	return len(r.queues) == 0 && r.due == 0 && len(r.results) == 0 && !r.all
}

// marshal returns the datagram. What would not fit becomes all.
func (r ring) marshal() []byte {
	if 16+10*len(r.queues)+4*len(r.results) > maxRing {
		r = ring{all: true}
	}
	b := append(make([]byte, 0, 64), ringMark...)
	if r.all {
		return append(b, 1)
	}
	b = append(b, 0)
	b = binary.AppendVarint(b, r.due)
	b = binary.AppendUvarint(b, uint64(len(r.queues)))
	for _, q := range r.queues {
		b = binary.AppendVarint(b, q)
	}
	for _, h := range r.results {
		b = binary.BigEndian.AppendUint32(b, h)
	}
	return b
}

var errNoRing = errors.New("not a ring of the doorbell")

func parseRing(b []byte) (ring, error) {
	if len(b) <= len(ringMark) || string(b[:len(ringMark)]) != ringMark {
		return ring{}, errNoRing
	}
	all, b := b[len(ringMark)] != 0, b[len(ringMark)+1:]
	if all {
		return ring{all: true}, nil
	}
	due, n := binary.Varint(b)
	if n <= 0 {
		return ring{}, errNoRing
	}
	r := ring{due: due}
	b = b[n:]
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return ring{}, errNoRing
	}
	b = b[n:]
	for range count {
		q, n := binary.Varint(b)
		if n <= 0 {
			return ring{}, errNoRing
		}
		r.queues = append(r.queues, q)
		b = b[n:]
	}
	for ; len(b) >= 4; b = b[4:] {
		r.results = append(r.results, binary.BigEndian.Uint32(b))
	}
	return r, nil
}
