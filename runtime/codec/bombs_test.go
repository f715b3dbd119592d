package codec_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Bombs end as errors, in little time and memory. Each is tried where a call
// is expected, as the argument of a call, and as a map.

// tree nests without end.
type tree struct {
	Kids []tree         `json:"kids"`
	Next *tree          `json:"next"`
	Any  any            `json:"any"`
	Map  map[string]any `json:"map"`
}

// wide is large, though one byte of a message can stand for it.
type wide struct{ A, B, C, D [64]int64 }

type anyArguments struct {
	String string
	Bytes  []byte
	Ints   []int
	Lists  [][][]string
	Map    map[string]int
	Tree   tree
	Any    any
	Wides  []wide
	Slow   []wide
}

func (a *anyArguments) Visits() []func(codec.Value) {
	return []func(codec.Value){
		func(v codec.Value) { codec.String(v, &a.String) },
		func(v codec.Value) { codec.Bytes(v, &a.Bytes) },
		func(v codec.Value) { codec.Slice(v, &a.Ints, codec.Int[int]) },
		func(v codec.Value) {
			codec.Slice(v, &a.Lists, func(v codec.Value, p *[][]string) {
				codec.Slice(v, p, func(v codec.Value, p *[]string) { codec.Slice(v, p, codec.String[string]) })
			})
		},
		func(v codec.Value) { codec.Map(v, &a.Map, codec.String[string], codec.Int[int]) },
		func(v codec.Value) { codec.Any(v, &a.Tree) },
		func(v codec.Value) { codec.Any(v, &a.Any) },
		func(v codec.Value) { codec.Any(v, &a.Wides) },
		func(v codec.Value) { codec.Slice(v, &a.Slow, codec.Any[wide]) },
	}
}

// million is smaller where the race detector makes everything ten times as slow.
var million = map[bool]int{false: 1 << 20, true: 1 << 16}[raceDetector]

// decodeAll reads data in every way there is; only the first error counts.
func decodeAll(s codec.Serializer, data []byte) error {
	var all []error
	for i := range new(anyArguments).Visits() {
		a := new(anyArguments)
		_, err := s.DecodeCall(data, func(f codec.Fields) { a.Visits()[i](f.Field("x")) })
		all = append(all, err, s.DecodeMap(data, func(f codec.Fields) { a.Visits()[i](f.Field("x")) }))
	}
	_, err := s.DecodeTree(data)
	return errors.Join(append(all, err)...)
}

// bounded fails the test if f takes more time or memory than it may.
func bounded(t *testing.T, name string, memory uint64, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > memory {
		t.Errorf("%s: allocated %d MiB", name, used>>20)
	}
	if took > 10*time.Second { // it is far less, but machines differ
		t.Errorf("%s: took %v", name, took)
	}
}

func TestMsgpackBombs(t *testing.T) {
	const mb = 1 << 20
	be := func(head byte, n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{head}, n)) }
	call := func(arg string) string { return "\x93\x91" + arg + "\x80\x80" }
	for _, name := range []string{"msgpack", "gob"} {
		s, _ := codec.ByName(name)
		for what, bomb := range map[string]string{
			"array32 of 4G":        be(0xdd, 1<<32-1),
			"map32 of 4G":          be(0xdf, 1<<32-1),
			"bin32 of 2 GB":        be(0xc6, 1<<31-1),
			"str32 of 4 GB":        be(0xdb, 1<<32-1),
			"ext32 of 4 GB":        be(0xc9, 1<<32-1) + "\xff",
			"20 MB of arrays":      strings.Repeat("\x91", 20*million),
			"20 MB of maps":        strings.Repeat("\x81\xa0", 10*million),
			"array as a key":       "\x81\x91\x00\x00",
			"map as a key":         "\x81\x80\x00",
			"timestamp of 5 bytes": "\xc7\x05\xff12345",
			"timestamp past 9999":  "\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
			"extension of a map":   "\xc7\x0c\x01\xdf\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00",
			"never used":           "\xc1",
			"array of 16 claims 1": "\x9f" + be(0xdd, 1<<24) + strings.Repeat("\xc0", 14),
		} {
			for _, data := range []string{bomb, call(bomb), "\x81\xa1x" + bomb, "\x93\x90\x81\xa1x" + bomb + "\x80", "\x93\x90\x80" + bomb} {
				var err error
				bytes := []byte(data)
				bounded(t, what, 8*mb, func() { err = decodeAll(s, bytes) })
				if err == nil {
					t.Errorf("%s %s: no error", name, what)
				}
			}
		}
		// These are well-formed, and large only in memory.
		for what, bomb := range map[string]string{
			"1M empty maps":       be(0xdd, uint32(million)) + strings.Repeat("\x80", million),
			"1M nulls":            be(0xdd, uint32(million)) + strings.Repeat("\xc0", million),
			"1M empty lists":      be(0xdd, uint32(million)) + strings.Repeat("\x90", million),
			"half a M empty keys": be(0xdf, uint32(million/2)) + strings.Repeat("\xa0\x80", million/2),
			"50 lists of 64k":     be(0xdd, 50) + strings.Repeat("\xdc\xff\xff"+strings.Repeat("\x80", 65535), 50),
		} {
			for i := range new(anyArguments).Visits() {
				a, bytes := new(anyArguments), []byte(call(bomb))
				bounded(t, what, 160*mb, func() {
					_, _ = s.DecodeCall(bytes, func(f codec.Fields) { a.Visits()[i](f.Field("x")) })
				})
			}
			bounded(t, what, 160*mb, func() { _, _ = s.DecodeTree([]byte(bomb)) })
		}
	}
}

func TestJSONBombs(t *testing.T) {
	const mb = 1 << 20
	s, _ := codec.ByName("json")
	for what, bomb := range map[string]string{
		"a million lists":     strings.Repeat("[", million),
		"a million closed":    strings.Repeat("[", million) + strings.Repeat("]", million),
		"a million maps":      strings.Repeat(`{"x":`, million),
		"a million kids":      strings.Repeat(`{"kids":[`, million),
		"a byte order mark":   "\ufeff[]",
		"bytes beyond UTF-8":  "\"\xff\"",
		"a long number":       strings.Repeat("9", million) + "x",
		"unfinished escapes":  `"\u12`,
		"control in a string": "\"\x01\"",
		"trailing comma":      `[1,]`,
		"comment":             `[] // x`,
	} {
		for _, data := range []string{bomb, "[[" + bomb + "],{},{}]", `{"x":` + bomb + "}", `[[],{"x":` + bomb + "},{}]", "[[],{}," + bomb + "]"} {
			var err error
			bounded(t, what, 64*mb, func() { err = decodeAll(s, []byte(data)) })
			if err == nil {
				t.Errorf("%s: no error for %.60q", what, data)
			}
		}
	}
	deep := strings.Repeat(`{"__value__":`, 95) + "[" + strings.Repeat("0,", million) + "0]" + strings.Repeat("}", 95)
	for what, bomb := range map[string]string{
		"a million maps":         "[" + strings.Repeat("{},", million) + "{}]",
		"a million nulls":        "[" + strings.Repeat("null,", million) + "null]",
		"a million keys":         "{" + strings.Repeat(`"":{},`, million) + `"":{}}`,
		"large and deep":         deep,
		"large, deep, enveloped": `[` + deep + `,{"__type__":"x","__value__":"y"}]`,
		"a number of a megabyte": strings.Repeat("9", million),
		"a large exponent":       "1e999999999",
	} {
		for i := range new(anyArguments).Visits() {
			a := new(anyArguments)
			bounded(t, what, 160*mb, func() {
				_, _ = s.DecodeCall([]byte("[["+bomb+"],{},{}]"), func(f codec.Fields) { a.Visits()[i](f.Field("x")) })
			})
		}
		bounded(t, what, 160*mb, func() { _, _ = s.DecodeTree([]byte(bomb)) })
	}
}

func TestYAMLBombs(t *testing.T) {
	const mb = 1 << 20
	var lol strings.Builder
	lol.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		c, p := string(rune('1'+i)), string(rune('0'+i))
		lol.WriteString("a" + c + ": &a" + c + " [" + strings.Repeat("*a"+p+",", 9) + "*a" + p + "]\n")
	}
	s, _ := codec.ByName("yaml")
	for what, bomb := range map[string]string{
		"a billion laughs": lol.String(),
		"itself":           "&a [*a]",
		"itself as a map":  "&a {x: *a}",
		"a million lists":  strings.Repeat("[", million),
		"a million dashes": strings.Repeat("- ", million),
		"a million maps":   strings.Repeat("{a: ", million),
		"a million items":  "[" + strings.Repeat("1,", million) + "]",
		"a Python object":  "!!python/object/apply:os.system [ls]",
		"another tag":      "!x y",
		"a tag on a map":   "!x {a: b}",
		"a list as a key":  "? [a]\n: b",
		"merge":            "{<<: {a: b}}",
		"bad binary":       "!!binary '!'",
		"two documents":    "a: b\n---\nc: d",
		"a key twice":      "{a: 1, a: 2}",
		"nothing":          "",
		"unknown anchor":   "*a",
	} {
		var err error
		bounded(t, what, 160*mb, func() { err = decodeAll(s, []byte(bomb)) }) // some 20 readings
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// A recursive type can't be made to overflow the stack.
func TestGobDepth(t *testing.T) {
	type list struct{ Next *list }
	s, _ := codec.ByName("gob")
	nested := func(n int) *list {
		l := new(list)
		for range n {
			l = &list{l}
		}
		return l
	}
	each(t, s, codec.Any[list], *nested(50))
	if _, err := s.EncodeCall(visitFunc(nested(200), codec.Any[list]), nil); err == nil {
		t.Error("no error for a list of 200")
	}
	// A stream that describes the type, then a value with one byte for each
	// level on the way down, and one on the way up.
	var b bytes.Buffer
	e := gob.NewEncoder(&b)
	for range 2 {
		if err := e.Encode(list{&list{}}); err != nil {
			t.Fatal(err)
		}
	}
	value := len("\x07\xff\x82\x01\x01\x00\x00") - 1
	head, id := b.Bytes()[:b.Len()-2*value], b.Bytes()[b.Len()-value+1:b.Len()-value+3]
	for _, levels := range []int{1, 50, 10_000, 120_000, 20_000_000} {
		value := append(append(append([]byte{}, id...), bytes.Repeat([]byte{1}, levels)...), make([]byte, levels+1)...)
		stream := append([]byte{}, head...)
		stream = append(stream, 0xfc)
		stream = binary.BigEndian.AppendUint32(stream, uint32(len(value)))
		stream = append(stream, value...)
		body, err := s.EncodeCall(visitFunc(&stream, codec.Bytes[[]byte]), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.DecodeCall(body, visitFunc(new(list), codec.Any[list]))
		if (err == nil) != (levels < 100) {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

// A message of the largest size that consists of arguments only, with and without an end.
func TestTooManyArguments(t *testing.T) {
	const mb = 1 << 20
	count := 8 * million
	be := func(head byte, n int) string { return string(binary.BigEndian.AppendUint32([]byte{head}, uint32(n))) }
	for name, bodies := range map[string][]string{
		"json": {
			"[[" + strings.Repeat("0,", count),
			"[[" + strings.Repeat("0,", count) + "0],{},{}]",
			"[[],{" + strings.Repeat(`"":0,`, count) + `"":0},{}]`,
		},
		"msgpack": {
			"\x93" + be(0xdd, count) + strings.Repeat("\xc0", count) + "\x80\x80",
			"\x93\x90" + be(0xdf, count) + strings.Repeat("\xa0\xc0", count) + "\x80",
			"\x82\xa4args" + be(0xdd, count) + strings.Repeat("\xc0", count) + "\xa6kwargs\x80",
		},
	} {
		s, _ := codec.ByName(name)
		for _, body := range bodies {
			bytes := []byte(body)
			bounded(t, name, 32*mb, func() {
				a := new(anyArguments)
				if _, err := s.DecodeCall(bytes, func(f codec.Fields) { codec.String(f.Field("x"), &a.String) }); err == nil || !strings.Contains(err.Error(), "more than 100000 arguments") {
					t.Errorf("%s: got %v for %.20q…", name, err, body)
				}
			})
		}
	}
}

// YAML takes its parser many times its size, so that the writer refuses it too.
func TestTooMuchYAML(t *testing.T) {
	s, _ := codec.ByName("yaml")
	for _, text := range []string{strings.Repeat("x ", million), strings.Repeat("#", 2*million)} {
		bounded(t, "words", 64<<20, func() { _, _ = s.DecodeTree([]byte(text)) })
	}
	text := strings.Repeat("x", 2<<20)
	for what, read := range map[string]func() error{
		"writing": func() error { _, err := s.EncodeCall(visitFunc(&text, codec.String[string]), nil); return err },
		"reading": func() error { _, err := s.DecodeTree([]byte(text + "x")); return err },
	} {
		bounded(t, what, 16<<20, func() {
			if err := read(); err == nil || !strings.Contains(err.Error(), "more than 2 MiB of YAML; use another serializer") {
				t.Errorf("%s: got %v", what, err)
			}
		})
	}
}

func TestDecompressionBombs(t *testing.T) {
	const limit = 1 << 20
	size := 64 * million
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for header, bomb := range map[string][]byte{
		"application/x-gzip": z.Bytes(),
		"application/zstd":   encoder.EncodeAll(make([]byte, size), nil),
	} {
		bounded(t, header, 16<<20, func() {
			_, err := codec.Decompress(header, bomb, limit)
			tooLarge, ok := errors.AsType[*codec.LimitError](err)
			if !ok || tooLarge.Limit != limit {
				t.Errorf("%s: got %v", header, err)
			}
		})
	}
	// A zstd frame that claims a window of 2 GB.
	bounded(t, "window", 32<<20, func() {
		if _, err := codec.Decompress("zstd", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), limit); err == nil {
			t.Error("no error for a window of 2 GB")
		}
	})
	// One that claims a content of 2^60 bytes.
	bounded(t, "content", 32<<20, func() {
		if _, err := codec.Decompress("zstd", []byte("\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00"), limit); err == nil {
			t.Error("no error for a content of 2^60 bytes")
		}
	})
}
