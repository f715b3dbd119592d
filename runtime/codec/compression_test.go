package codec_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
)

func TestCompression(t *testing.T) {
	t.Parallel()
	random := make([]byte, 300_000)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(random)
	for name, header := range map[string]string{
		"gzip": "application/x-gzip", "zlib": "application/x-gzip", "application/x-gzip": "application/x-gzip",
		"zstd": "application/zstd", "zstandard": "application/zstd",
	} {
		for _, data := range [][]byte{{}, []byte("x"), bytes.Repeat([]byte("task"), 50_000), random} {
			out, got, err := codec.Compress(name, data)
			if err != nil || got != header {
				t.Fatalf("%s: %q, %v", name, got, err)
			}
			for _, header := range []string{got, name} {
				back, err := codec.Decompress(header, out, int64(len(data)))
				if err != nil || !bytes.Equal(back, data) {
					t.Errorf("%s of %d bytes: %d, %v", header, len(data), len(back), err)
				}
			}
			if len(data) == 0 {
				continue
			}
			if _, err := codec.Decompress(got, out, int64(len(data)-1)); err == nil {
				t.Errorf("%s of %d bytes: one more than the limit, no error", name, len(data))
			}
			if name == "zstd" && len(data) > 100 {
				twice := append(bytes.Clone(out), out...)
				if back, err := codec.Decompress(got, twice, 1<<20); err != nil || len(back) != 2*len(data) {
					t.Errorf("%s: two frames: %d, %v", name, len(back), err)
				}
			}
			if _, err := codec.Decompress(got, out[:len(out)-1], 1<<20); err == nil {
				t.Errorf("%s of %d bytes: cut off, no error", name, len(data))
			}
			if _, err := codec.Decompress(got, append(bytes.Clone(out), "trailing"...), 1<<20); err == nil {
				t.Errorf("%s of %d bytes: something follows, no error", name, len(data))
			}
		}
	}
}

// Celery's gzip is RFC 1950, not RFC 1952.
func TestGzipIsZlib(t *testing.T) {
	t.Parallel()
	out, _, err := codec.Compress("gzip", []byte("x"))
	if err != nil || out[0] != 0x78 {
		t.Errorf("got % x, %v", out, err)
	}
}

func TestCompressionErrors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "application/x-lzma", "xz", "application/x-brotli", "snappy", strings.Repeat("x", 1000)} {
		if _, err := codec.Decompress(name, []byte("x"), 10); err == nil || !strings.Contains(err.Error(), "is not supported") || len(err.Error()) > 300 {
			t.Errorf("%q: got %v", name, err)
		}
		if _, _, err := codec.Compress(name, nil); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
	if _, _, err := codec.Compress("bzip2", nil); err == nil || !strings.Contains(err.Error(), "reading only") {
		t.Error("got", err)
	}
	for _, name := range []string{"gzip", "zstd", "bzip2"} {
		for _, data := range []string{"", "x", "\x1f\x8b\x08\x00", strings.Repeat("\xff", 100)} {
			if _, err := codec.Decompress(name, []byte(data), 100); err == nil && (name != "zstd" || data != "") {
				t.Errorf("%s of %q: no error", name, data)
			}
		}
	}
}

// A decoder that failed must not spoil the next one from the pool.
func TestDecompressAfterErrors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gzip", "zstd"} {
		out, header, err := codec.Compress(name, bytes.Repeat([]byte("abc"), 10_000))
		if err != nil {
			t.Fatal(err)
		}
		for i := range out {
			_, _ = codec.Decompress(header, out[:i], 1<<20)
			_, _ = codec.Decompress(header, out, int64(i))
			if back, err := codec.Decompress(header, out, 1<<20); err != nil || len(back) != 30_000 {
				t.Fatalf("%s after an error at %d: %d, %v", name, i, len(back), err)
			}
		}
	}
}
