package codec

import "bytes"

// buffer is a growing slice of bytes that encoders write to.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

func (b *buffer) WriteByte(c byte) error {
	*b = append(*b, c)
	return nil
}

// take returns a copy of what was written, exactly as large.
func (b *buffer) take() []byte { return bytes.Clone(*b) }

// mostPooled is the size of the largest buffer, or message, after which a
// writer or reader goes back to its pool: one huge message must not occupy
// memory for ever.
const mostPooled = 64 << 10
