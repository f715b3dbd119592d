package codec_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/frugal"
)

// The fuzz targets: whatever comes, there is no panic, and each reading takes little
// memory and time; and what is read once is read again after it has been written.

// typed is a type of a user with most kinds of fields.
type typed struct {
	S string            `json:"s"`
	N int16             `json:"n"`
	X *float64          `json:"x,omitempty"`
	L []typed           `json:"l"`
	M map[string]uint8  `json:"m"`
	I map[int32][]bool  `json:"i"`
	B []byte            `json:"b"`
	T time.Time         `json:"t"`
	A [2]string         `json:"a"`
	P *map[string]typed `json:"p"`
}

// fuzzed has one argument of each kind, of which a fuzzed call has one.
type fuzzed struct {
	described
	Typed typed
}

// visits has one visit for each kind of argument.
func (a *fuzzed) visits() []func(codec.Value) {
	return []func(codec.Value){
		func(v codec.Value) { codec.String(v, &a.Username) },
		func(v codec.Value) { codec.Int(v, &a.M) },
		func(v codec.Value) { codec.Int(v, &a.Small) },
		func(v codec.Value) { codec.Uint(v, &a.U) },
		func(v codec.Value) { codec.Float(v, &a.X) },
		func(v codec.Value) { codec.Float(v, &a.Y) },
		func(v codec.Value) { codec.Bool(v, &a.Ok) },
		func(v codec.Value) { codec.Bytes(v, &a.Data) },
		func(v codec.Value) { codec.Time(v, &a.At) },
		func(v codec.Value) { codec.Duration(v, &a.Wait) },
		func(v codec.Value) { codec.JSON(v, &a.Raw) },
		func(v codec.Value) { codec.Pointer(v, &a.Limit, codec.Int[int]) },
		func(v codec.Value) { codec.Slice(v, &a.Tags, codec.String[string]) },
		func(v codec.Value) {
			codec.Slice(v, &a.Grid, func(v codec.Value, p *[]int) { codec.Slice(v, p, codec.Int[int]) })
		},
		func(v codec.Value) {
			codec.Map(v, &a.ByID, codec.Int[int64], func(v codec.Value, p *[]color) { codec.Slice(v, p, codec.String[color]) })
		},
		func(v codec.Value) { codec.Any(v, &a.Typed) },
		func(v codec.Value) { codec.Slice(v, &a.Users, codec.Any[user]) },
	}
}

func (a *fuzzed) visit(i int) func(codec.Fields) {
	return func(f codec.Fields) { a.visits()[i](f.Field("x")) }
}

// fuzzBody reads data as a body, then value as the argument of a call.
func fuzzBody(t *testing.T, s codec.Serializer, data, value []byte) {
	frugal.Check(t, func() { _, _ = s.DecodeTree(data) })
	for _, body := range [][]byte{data, value} {
		for i := range new(fuzzed).visits() {
			err := fuzzArgument(t, s, body, i)
			if _, typed := errors.AsType[*codec.ArgumentError](err); err != nil && !typed {
				break // its form is wrong, which is the same for every argument
			}
		}
	}
	for i := range new(anyArguments).Visits() {
		a := new(anyArguments)
		frugal.Check(t, func() { _, _ = s.DecodeCall(value, func(f codec.Fields) { a.Visits()[i](f.Field("x")) }) })
	}
}

// fuzzArgument reads body as a call with the i-th kind of argument; the error is that of reading.
func fuzzArgument(t *testing.T, s codec.Serializer, body []byte, i int) error {
	var first, second fuzzed
	var embed []byte
	var err error
	frugal.Check(t, func() { embed, err = s.DecodeCall(body, first.visit(i)) })
	if err != nil {
		return err
	}
	again, err := s.EncodeCall(first.visit(i), embed)
	if err != nil {
		if s.Name() == "json" && strings.Contains(err.Error(), "not UTF-8") {
			return nil // kombu's envelopes can hold what JSON text can't
		}
		if _, typed := errors.AsType[*codec.ArgumentError](err); typed && strings.Contains(err.Error(), "nested too deep") {
			return nil // the embed of a call that is at the limit
		}
		t.Fatalf("%q was read, and can't be written: %v", body, err)
	}
	if _, err := s.DecodeCall(again, second.visit(i)); err != nil {
		t.Fatalf("%q became %q, which can't be read: %v", body, again, err)
	}
	// What is not a number is not equal to itself, and cmp takes for ever on deep lists: the bytes decide.
	if third, err := s.EncodeCall(second.visit(i), embed); err != nil || !reflect.DeepEqual(first, second) && string(again) != string(third) {
		t.Fatalf("%q became %q and then %q, %v", body, again, third, err)
	}
	if repr := codec.Repr(first.visit(i), nil, 50); len([]rune(repr)) > 50 {
		t.Fatalf("repr %q", repr)
	}
	return nil
}

// addFixtures adds the bodies of Celery that the serializer can read.
func addFixtures(f *testing.F, s codec.Serializer) {
	for _, fixture := range fixtures(f, "*.json") {
		if got, body, ok := fixture.plain(f); ok && got == s {
			f.Add(body)
		}
	}
	for i := range new(fuzzed).visits() {
		a := fuzzed{described: described{Tags: []string{"a"}, Grid: [][]int{{1}}, Users: []user{sampleUser()}, Raw: []byte("[1]")}}
		a.Typed.L, a.Typed.M = []typed{{}}, map[string]uint8{"a": 1}
		body, err := s.EncodeCall(a.visit(i), nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
}

func addAll(f *testing.F, seeds ...string) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
}

// deep is how far the bombs nest: far more than is allowed. (Bombs of a megabyte are in the tests, where they do not slow a fuzzer down.)
const deep = 20_000

func fuzzMsgpackLike(f *testing.F, name string) {
	s, _ := codec.ByName(name)
	addFixtures(f, s)
	addAll(f, "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xc6\x7f\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\x81\x91\x00\x00", "\xc1",
		"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\xd6\xff\x80\x00\x00\x00", "\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x01",
		"\xc7\x00\x05", "\xd4\x01\x00", "\xc9\xff\xff\xff\xff\xff", strings.Repeat("\x91", 200), strings.Repeat("\x81\xa0", 200),
		strings.Repeat("\x91", deep), strings.Repeat("\x81\xa1x", deep), "\xdc\x01\xf4"+strings.Repeat("\x80", 500), "\xdd\x00\x00\x01\xf4"+strings.Repeat("\xc0", 499),
		"\xde\xff\xff", "\xc5\xff\xff", "\xda\xff\xff", "\xc8\xff\xff\xff", "\x82\xa1a\x01\xa1a\x02", "\x82\xa1S\x01\xa1s\x02", "\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xc7\x0c\xff\x3b\x9a\xca\x00\x7f\xff\xff\xff\xff\xff\xff\xff", "\xa2\xff\xfe", "\x00\x00",
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "\x81\xa0\xc0")
	f.Fuzz(func(t *testing.T, data []byte) {
		value := append(append([]byte("\x93\x91"), data...), "\x80\x80"...)
		fuzzBody(t, s, data, value)
	})
}

func FuzzMsgpack(f *testing.F) { fuzzMsgpackLike(f, "msgpack") }

func FuzzGob(f *testing.F) { fuzzMsgpackLike(f, "gob") }

func FuzzJSON(f *testing.F) {
	s, _ := codec.ByName("json")
	addFixtures(f, s)
	addAll(f, "9007199254740993", "18446744073709551616", "1e400", "-0", "NaN", "-Infinity", `"\ud800"`, `"\ud83d\ude00"`, `{"a":1,"a":2}`,
		`{"S":"x","s":"y"}`, "[] x", "\ufeff[]", strings.Repeat("[", 200), strings.Repeat(`{"l":[`, 60), strings.Repeat("[", deep), strings.Repeat(`{"x":`, deep),
		strings.Repeat("[", deep)+strings.Repeat("]", deep), "["+strings.Repeat("{},", 500)+"{}]", strings.Repeat("9", deep), "1e-999999999", "0x10", "1_000", "Infinity",
		"9007199254740991", "-9007199254740993", "\"\xff\"", `"\u0000"`, "[] []", "[]\x00", "\"a\nb\"", "/**/1", "[1,]", "01", "+1", ".5", "1.",
		`{"__type__":"bytes","__value__":"é"}`,
		`{"__type__":"uuid","__value__":{"hex":"0123456789abcdef0123456789abcdef"}}`, `{"t":{"__type__":"datetime","__value__":"2026-08-20"}}`,
		`{"__value__":"/w==","__type__":"base64"}`, `[1 , 2]`, `{"\u0061":null}`, `"1h"`)
	f.Fuzz(func(t *testing.T, data []byte) {
		value := append(append([]byte("[["), data...), "],{},{}]"...)
		fuzzBody(t, s, data, value)
	})
}

// lol is 10^9 times "lol", by aliases.
var lol = func() string {
	text := "a: &a [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
	for c := 'b'; c <= 'i'; c++ {
		text += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	return text
}()

func FuzzYAML(f *testing.F) {
	s, _ := codec.ByName("yaml")
	addFixtures(f, s)
	addAll(f, "&a [*a]", "a: &a [x]\nb: [*a, *a]", "!!binary /w==", "!!python/object:x {}", "{<<: {a: b}}", "no", "0o17", "0777", "12:30:45",
		"2026-08-20 01:02:03.456789+00:00", "1_000", ".inf", "-.NaN", "~", "? a\n: b", "- - - a", "|\n  text\n", "'it''s'", `"\x00\u2028"`, "a: b\n---\nc",
		lol, "a: &a {b: *a}", "&a [&b [*a, *b], *a]", strings.Repeat("[", deep/20), strings.Repeat("{a: ", deep/20), strings.Repeat("- ", deep/20), strings.Repeat("x: ", deep/20), strings.Repeat("? ", deep/20),
		"!!float 1", "!!str 1", "!!set {a, b}", "!!omap [a: b]", "!!timestamp 2026-01-01", "!<tag:yaml.org,2002:python/object/apply:os.system> [id]",
		"{[1]: 2}", "{a: 1, a: 2}", "%YAML 1.1\n--- 1", "\ufeff1", "\xff\xfe1\x00", "a: |2\n   x", "'\\'", "2026-02-30", "0b11", "1e400", "0x_f")
	f.Fuzz(func(t *testing.T, data []byte) {
		value := append(append([]byte("[["), data...), "],{},{}]"...)
		fuzzBody(t, s, data, value)
	})
}

// bzip2Bomb is 200 MB of zeros.
var bzip2Bomb = func() []byte {
	const block = "QlpoOTFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1kOCeLfAV+OQADAAAAIIAAwgE1GQqAlqQqA" +
		"lzFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZzL/7xgB9osAIwAACAAAIIAAwzAmqaZKkQbVFSIPF3JFOFCQeFqODAA=="
	bomb, err := base64.StdEncoding.DecodeString(block)
	if err != nil {
		panic(err)
	}
	return bomb
}()

func FuzzDecompress(f *testing.F) {
	const limit = 1 << 16
	names := []string{"gzip", "zstd", "bzip2"}
	for _, fixture := range fixtures(f, "task-v2-compress-*.json") {
		for i := range names {
			f.Add(fixture.Body, i)
		}
	}
	for i, name := range names {
		f.Add([]byte{}, i)
		f.Add([]byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), i)                 // a window of 2 GB
		f.Add([]byte("\x28\xb5\x2f\xfd\xa4\xff\xff\xff\xff\x01\x00\x00"), i)     // a claim of 4 GB
		f.Add([]byte("\x28\xb5\x2f\xfd\x23\x01\x02\x03\x04\x04\x01\x00\x00"), i) // a dictionary
		f.Add([]byte("\x78\xbb\x01\x02\x03\x04\x01\x00"), i)                     // a dictionary
		f.Add([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xffx"), i)                    // a frame to skip, of 4 GB
		f.Add(bzip2Bomb, i)
		f.Add(slices.Concat(bzip2Bomb, bzip2Bomb), i)
		if name == "bzip2" {
			continue
		}
		for _, data := range []string{"", "x", strings.Repeat("task ", 1000), strings.Repeat("\x00", 16<<20)} {
			out, _, err := codec.Compress(name, []byte(data))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(out, i)
			f.Add(append(out, out...), i)
			f.Add(out[:len(out)-1], i)
			f.Add(append(out[:len(out)-1:len(out)-1], out[len(out)-1]^1), i) // a wrong checksum
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, i int) {
		name := names[uint(i)%uint(len(names))]
		var out []byte
		var err error
		frugal.Check(t, func() { out, err = codec.Decompress(name, data, limit) })
		if err != nil {
			return
		}
		if len(out) > limit {
			t.Errorf("%d bytes", len(out))
		}
		if name == "bzip2" {
			return
		}
		again, header, err := codec.Compress(name, out)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := codec.Decompress(header, again, limit); err != nil || string(back) != string(out) {
			t.Errorf("%q became %q, %v", out, back, err)
		}
	})
}
