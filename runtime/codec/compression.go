package codec

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// compression is a way to compress a body. Celery marks it in the header
// "compression", with a content type.
type compression struct {
	// header is the content type, aliases are what else a reader takes.
	header  string
	aliases []string
	// compress is nil for what is only read.
	compress func(data []byte) ([]byte, error)
	open     func(data []byte) (source, error)
}

// source is the decompressed body; trailing tells whether data follows it.
type source interface {
	io.Reader
	trailing() bool
	close()
}

var compressions = []compression{
	// What Celery calls gzip is a zlib stream, RFC 1950.
	{"application/x-gzip", []string{"gzip", "zlib"}, deflate, inflate},
	{"application/zstd", []string{"zstd", "zstandard"}, compressZstd, openZstd},
	{"application/x-bz2", []string{"bzip2", "bzip"}, nil, openBzip2},
}

func findCompression(name string) (*compression, error) {
	for i := range compressions {
		if c := &compressions[i]; name == c.header || slices.Contains(c.aliases, name) {
			return c, nil
		}
	}
	return nil, fmt.Errorf("compression %s is not supported; gzip and zstd are, and bzip2 for reading", quoteName(name))
}

// LimitError says that a body is larger, decompressed, than allowed.
type LimitError struct {
	// Limit is the largest size allowed, in bytes.
	Limit int64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the body is larger than %d bytes when decompressed", e.Limit)
}

// Compress compresses a body with "gzip" or "zstd", and returns the value of
// the header "compression" that says so.
func Compress(name string, data []byte) (out []byte, header string, err error) {
	c, err := findCompression(name)
	if err != nil {
		return nil, "", err
	}
	if c.compress == nil {
		return nil, "", fmt.Errorf("compression %q is for reading only; use gzip or zstd", name)
	}
	if out, err = c.compress(data); err != nil {
		return nil, "", fmt.Errorf("compress with %s: %w", name, err)
	}
	return out, c.header, nil
}

// Decompress reads a body whose header "compression" is the given one: a
// content type, or one of the aliases that Celery knows. It fails with a
// *[LimitError] if the result is larger than limit bytes, which takes next to no memory: what is large is
// measured before it is kept.
func Decompress(header string, data []byte, limit int64) ([]byte, error) {
	c, err := findCompression(header)
	if err != nil {
		return nil, err
	}
	limit = min(limit, math.MaxInt64-1)
	var out bytes.Buffer
	size, err := c.read(data, limit, &out)
	if err == nil && size > int64(out.Len()) {
		out.Reset()
		out.Grow(int(size) + bytes.MinRead)
		_, err = c.read(data, limit, &out)
	}
	if err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// mostAtOnce is how much room is made for a decompressed body before its size is known, in bytes.
const mostAtOnce = 1 << 20

// read decompresses data into out as far as there is room, or mostAtOnce if there is none yet, and
// returns how large all of it is.
func (c *compression) read(data []byte, limit int64, out *bytes.Buffer) (size int64, err error) {
	s, err := c.open(data)
	if err != nil {
		return 0, fmt.Errorf("decompress %s: %w", c.aliases[0], err)
	}
	defer s.close()
	body := io.LimitReader(s, limit+1)
	size, err = out.ReadFrom(io.LimitReader(body, int64(max(out.Available()-bytes.MinRead, mostAtOnce))))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.Discard, body)
		size += rest
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("decompress %s: %w", c.aliases[0], err)
	case size > limit:
		return 0, &LimitError{Limit: limit}
	case s.trailing():
		return 0, fmt.Errorf("decompress %s: %w", c.aliases[0], errTrailing)
	}
	return size, nil
}

var deflaters = sync.Pool{New: func() any { return zlib.NewWriter(nil) }}

func deflate(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w := deflaters.Get().(*zlib.Writer)
	defer deflaters.Put(w)
	w.Reset(&out)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// inflater is a zlib stream, and what it is read from.
type inflater struct {
	io.ReadCloser
	src bytes.Reader
}

var inflaters sync.Pool

func inflate(data []byte) (source, error) {
	z, _ := inflaters.Get().(*inflater)
	if z == nil {
		z = new(inflater)
	}
	z.src.Reset(data)
	if z.ReadCloser != nil {
		return z, z.ReadCloser.(zlib.Resetter).Reset(&z.src, nil)
	}
	var err error
	z.ReadCloser, err = zlib.NewReader(&z.src)
	return z, err
}

func (z *inflater) trailing() bool { return z.src.Len() > 0 }

func (z *inflater) close() {
	z.src.Reset(nil)
	inflaters.Put(z)
}

var zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
})

func compressZstd(data []byte) ([]byte, error) {
	e, err := zstdEncoder()
	if err != nil {
		return nil, err
	}
	return e.EncodeAll(data, nil), nil
}

// zstdStream is a pooled decoder. It works in the goroutine that reads from it.
type zstdStream struct{ *zstd.Decoder }

var zstdStreams sync.Pool

func openZstd(data []byte) (source, error) {
	z, _ := zstdStreams.Get().(*zstdStream)
	if z == nil {
		// 8 MiB is the window that every decoder has to support (RFC 8878);
		// more must be asked for at the encoder.
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil, err
		}
		z = &zstdStream{d}
	}
	return z, z.Reset(bytes.NewReader(data))
}

// trailing: the decoder reads one frame after the other to the end of data.
func (z *zstdStream) trailing() bool { return false }

func (z *zstdStream) close() {
	if z.Reset(nil) == nil {
		zstdStreams.Put(z)
	}
}

type bzip2Stream struct{ io.Reader }

func openBzip2(data []byte) (source, error) {
	return bzip2Stream{bzip2.NewReader(bytes.NewReader(data))}, nil
}

func (bzip2Stream) trailing() bool { return false }
func (bzip2Stream) close()         {}
