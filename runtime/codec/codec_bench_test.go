package codec_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/taskgen/taskgen/runtime/codec"
)

// The benchmarks compare the serializers with what one would write by hand for
// the same message: [[], {…}, {}].

type twoStrings struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func (a *twoStrings) Visit(f codec.Fields) {
	codec.String(f.Field("username"), &a.Username)
	codec.String(f.Field("password"), &a.Password)
}

type point struct {
	Street string  `json:"street"`
	City   string  `json:"city"`
	Zip    int     `json:"zip"`
	Lat    float64 `json:"lat"`
	Home   bool    `json:"home"`
}

type mixed struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Tags    []string  `json:"tags"`
	Address point     `json:"address"`
	At      time.Time `json:"at"`
}

func (a *mixed) Visit(f codec.Fields) {
	codec.Int(f.Field("id"), &a.ID)
	codec.String(f.Field("name"), &a.Name)
	codec.Slice(f.Field("tags"), &a.Tags, codec.String[string])
	codec.Any(f.Field("address"), &a.Address)
	codec.Time(f.Field("at"), &a.At)
}

var (
	benchTwo   = &twoStrings{"ada.lovelace", "correct horse battery staple"}
	benchMixed = &mixed{
		ID: 1 << 40, Name: "ada.lovelace", Tags: []string{"red", "green", "blue"},
		Address: point{"1 Byron Road", "London", 12345, 51.5, true},
		At:      time.Date(2026, 8, 20, 1, 2, 3, 456789000, time.UTC),
	}
)

type visitor interface{ Visit(codec.Fields) }

func benchmarkEncode(b *testing.B, name string, a visitor) {
	s, _ := codec.ByName(name)
	b.ReportAllocs()
	for b.Loop() {
		body, err := s.EncodeCall(a.Visit, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(body)))
	}
}

// benchmarkDecode decodes into new arguments each time, as a worker does.
func benchmarkDecode[T any, A interface {
	*T
	visitor
}](b *testing.B, name string, a A) {
	s, _ := codec.ByName(name)
	body, err := s.EncodeCall(a.Visit, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.DecodeCall(body, A(new(T)).Visit); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range codec.Names() {
		b.Run("two/"+name, func(b *testing.B) { benchmarkEncode(b, name, benchTwo) })
	}
	b.Run("two/by-hand", func(b *testing.B) { benchmarkWrite(b, handEncodeTwo) })
	b.Run("two/msgpack-reflection", func(b *testing.B) { benchmarkWrite(b, func() ([]byte, error) { return reflectEncode(benchTwo) }) })
	b.Run("two/encoding-json", func(b *testing.B) {
		benchmarkWrite(b, func() ([]byte, error) { return json.Marshal([]any{[]any{}, benchTwo, struct{}{}}) })
	})
	for _, name := range codec.Names() {
		b.Run("mixed/"+name, func(b *testing.B) { benchmarkEncode(b, name, benchMixed) })
	}
	b.Run("mixed/by-hand", func(b *testing.B) { benchmarkWrite(b, handEncodeMixed) })
	b.Run("mixed/msgpack-reflection", func(b *testing.B) { benchmarkWrite(b, func() ([]byte, error) { return reflectEncode(benchMixed) }) })
	b.Run("mixed/encoding-json", func(b *testing.B) {
		benchmarkWrite(b, func() ([]byte, error) { return json.Marshal([]any{[]any{}, benchMixed, struct{}{}}) })
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range codec.Names() {
		b.Run("two/"+name, func(b *testing.B) { benchmarkDecode(b, name, benchTwo) })
	}
	two, _ := handEncodeTwo()
	b.Run("two/by-hand", func(b *testing.B) { benchmarkRead(b, two, handDecodeTwo) })
	b.Run("two/msgpack-reflection", func(b *testing.B) { benchmarkRead(b, two, reflectDecode[twoStrings]) })
	b.Run("two/encoding-json", func(b *testing.B) { benchmarkRead(b, jsonBody(b, benchTwo), jsonDecode[twoStrings]) })
	for _, name := range codec.Names() {
		b.Run("mixed/"+name, func(b *testing.B) { benchmarkDecode(b, name, benchMixed) })
	}
	both, _ := handEncodeMixed()
	b.Run("mixed/by-hand", func(b *testing.B) { benchmarkRead(b, both, handDecodeMixed) })
	b.Run("mixed/msgpack-reflection", func(b *testing.B) {
		body, err := reflectEncode(benchMixed)
		if err != nil {
			b.Fatal(err)
		}
		benchmarkRead(b, body, reflectDecode[mixed])
	})
	b.Run("mixed/encoding-json", func(b *testing.B) { benchmarkRead(b, jsonBody(b, benchMixed), jsonDecode[mixed]) })
}

func benchmarkWrite(b *testing.B, encode func() ([]byte, error)) {
	b.ReportAllocs()
	for b.Loop() {
		body, err := encode()
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(body)))
	}
}

func benchmarkRead[T any](b *testing.B, body []byte, decode func([]byte) (*T, error)) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

// must keeps the code by hand readable; none of its calls fails.
func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

func check(errs ...error) {
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
}

func handBegin() (*msgpack.Encoder, *bytes.Buffer) {
	var buf bytes.Buffer
	e := msgpack.GetEncoder()
	e.Reset(&buf)
	check(e.EncodeArrayLen(3), e.EncodeArrayLen(0))
	return e, &buf
}

func handEncodeTwo() ([]byte, error) {
	e, buf := handBegin()
	defer msgpack.PutEncoder(e)
	check(e.EncodeMapLen(2),
		e.EncodeString("username"), e.EncodeString(benchTwo.Username),
		e.EncodeString("password"), e.EncodeString(benchTwo.Password),
		e.EncodeMapLen(0))
	return buf.Bytes(), nil
}

func handEncodeMixed() ([]byte, error) {
	a := benchMixed
	e, buf := handBegin()
	defer msgpack.PutEncoder(e)
	check(e.EncodeMapLen(5),
		e.EncodeString("id"), e.EncodeInt(a.ID),
		e.EncodeString("name"), e.EncodeString(a.Name),
		e.EncodeString("tags"), e.EncodeArrayLen(len(a.Tags)))
	for _, tag := range a.Tags {
		check(e.EncodeString(tag))
	}
	check(e.EncodeString("address"), e.EncodeMapLen(5),
		e.EncodeString("street"), e.EncodeString(a.Address.Street),
		e.EncodeString("city"), e.EncodeString(a.Address.City),
		e.EncodeString("zip"), e.EncodeInt(int64(a.Address.Zip)),
		e.EncodeString("lat"), e.EncodeFloat64(a.Address.Lat),
		e.EncodeString("home"), e.EncodeBool(a.Address.Home),
		e.EncodeString("at"), e.EncodeString(a.At.Format(time.RFC3339Nano)),
		e.EncodeMapLen(0))
	return buf.Bytes(), nil
}

func handOpen(body []byte) (*msgpack.Decoder, int) {
	d := msgpack.GetDecoder()
	d.Reset(bytes.NewReader(body))
	must(d.DecodeArrayLen())
	must(d.DecodeArrayLen())
	return d, must(d.DecodeMapLen())
}

func handDecodeTwo(body []byte) (*twoStrings, error) {
	d, n := handOpen(body)
	defer msgpack.PutDecoder(d)
	a := new(twoStrings)
	for range n {
		switch must(d.DecodeString()) {
		case "username":
			a.Username = must(d.DecodeString())
		case "password":
			a.Password = must(d.DecodeString())
		}
	}
	return a, d.Skip()
}

func handDecodeMixed(body []byte) (*mixed, error) {
	d, n := handOpen(body)
	defer msgpack.PutDecoder(d)
	a := new(mixed)
	for range n {
		switch must(d.DecodeString()) {
		case "id":
			a.ID = must(d.DecodeInt64())
		case "name":
			a.Name = must(d.DecodeString())
		case "tags":
			a.Tags = make([]string, must(d.DecodeArrayLen()))
			for i := range a.Tags {
				a.Tags[i] = must(d.DecodeString())
			}
		case "address":
			handDecodePoint(d, &a.Address)
		case "at":
			a.At = must(time.Parse(time.RFC3339Nano, must(d.DecodeString())))
		}
	}
	return a, d.Skip()
}

func handDecodePoint(d *msgpack.Decoder, p *point) {
	for range must(d.DecodeMapLen()) {
		switch must(d.DecodeString()) {
		case "street":
			p.Street = must(d.DecodeString())
		case "city":
			p.City = must(d.DecodeString())
		case "zip":
			p.Zip = must(d.DecodeInt())
		case "lat":
			p.Lat = must(d.DecodeFloat64())
		case "home":
			p.Home = must(d.DecodeBool())
		}
	}
}

// reflectCall is a body as the reflection of the msgpack library sees it.
type reflectCall[T any] struct {
	_msgpack struct{} `msgpack:",as_array"` //nolint:unused // the library reads it
	Args     []any
	Kwargs   T
	Embed    map[string]any
}

func reflectEncode[T any](a *T) ([]byte, error) {
	var buf bytes.Buffer
	e := msgpack.GetEncoder()
	defer msgpack.PutEncoder(e)
	e.Reset(&buf)
	e.SetCustomStructTag("json")
	err := e.Encode(&reflectCall[T]{Args: []any{}, Kwargs: *a, Embed: map[string]any{}})
	return buf.Bytes(), err
}

func reflectDecode[T any](body []byte) (*T, error) {
	d := msgpack.GetDecoder()
	defer msgpack.PutDecoder(d)
	d.Reset(bytes.NewReader(body))
	d.SetCustomStructTag("json")
	var call reflectCall[T]
	err := d.Decode(&call)
	return &call.Kwargs, err
}

func jsonBody(b *testing.B, a any) []byte {
	body, err := json.Marshal([]any{[]any{}, a, struct{}{}})
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func jsonDecode[T any](body []byte) (*T, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil {
		return nil, err
	}
	a := new(T)
	return a, json.Unmarshal(parts[1], a)
}
