package rabbitmq

import (
	"encoding/binary"
	"net"
	"slices"
	"sync/atomic"
)

// frameReader is the reading side of a connection, in front of the library. The library closes the
// whole connection over a message whose headers it can't read; the broker would then deliver that message again, and it
// would close the next connection too. So content headers are made readable on the way, in place; all
// other frames pass untouched.
type frameReader struct {
	net.Conn

	limit atomic.Int64 // bytes of the largest frame that the library takes

	buffer []byte
	// buffer[next:sifted] can be handed out, buffer[sifted:end] has not been looked at.
	next, sifted, end int
	pass              int64 // bytes of the current frame that pass as they come
	err               error // of the connection; sticks
}

const (
	readBuffer = 32 << 10
	// frameHead is the size of a frame's type, channel and size; one byte follows the payload.
	frameHead, frameTail = 7, 1
	contentHeader        = 2 // a frame's type
	smallestLimit        = 4096
)

func newFrameReader(conn net.Conn) *frameReader {
	r := &frameReader{Conn: conn, buffer: make([]byte, readBuffer)}
	r.limit.Store(smallestLimit)
	return r
}

func (r *frameReader) Read(p []byte) (int, error) {
	for r.next == r.sifted {
		if err := r.fill(); err != nil {
			return 0, err
		}
		r.sift()
	}
	n := copy(p, r.buffer[r.next:r.sifted])
	r.next += n
	return n, nil
}

// fill reads more from the connection, behind the beginning of a frame that must be seen as a whole.
func (r *frameReader) fill() error {
	if r.err != nil {
		return r.err
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
		return nil // the error comes after these
	}
	return r.err
}

// sift looks at what has come.
func (r *frameReader) sift() {
	for r.sifted < r.end {
		rest := r.buffer[r.sifted:r.end]
		if r.pass > 0 {
			n := min(r.pass, int64(len(rest)))
			r.pass -= n
			r.sifted += int(n)
			continue
		}
		if len(rest) < frameHead {
			return
		}
		size := frameHead + int64(binary.BigEndian.Uint32(rest[3:])) + frameTail
		if rest[0] != contentHeader || size > r.limit.Load() {
			r.pass = size
			continue
		}
		if int64(len(rest)) < size {
			return
		}
		r.siftHeader(int(size))
	}
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
