package codec_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	if got := codec.Names(); !slices.IsSorted(got) || !slices.Contains(got, "msgpack") || !slices.Contains(got, "gob") {
		t.Errorf("names are %q", got)
	}
	for name, want := range map[string][2]string{
		"msgpack": {"application/x-msgpack", "binary"}, "json": {"application/json", "utf-8"},
		"yaml": {"application/x-yaml", "utf-8"}, "gob": {"application/x-gob", "binary"},
	} {
		s, ok := codec.ByName(name)
		if !ok || s.Name() != name || s.ContentType() != want[0] || s.ContentEncoding() != want[1] {
			t.Errorf("%s: %v, %v", name, s, ok)
		}
		if again, ok := codec.ByContentType(want[0]); !ok || again != s {
			t.Errorf("%s: %v, %v", want[0], again, ok)
		}
	}
	custom := func(name, contentType string) codec.Serializer {
		return codec.NewSerializer(name, contentType, "utf-8", json.Marshal, json.Unmarshal)
	}
	for _, bad := range []codec.Serializer{
		nil, custom("", "application/x-a"), custom("A", "application/x-a"), custom("a b", "application/x-a"), custom("a", ""),
		custom("a", "a"), custom("a", "application/x-a; charset=utf-8"), custom("a", "application/x a"), custom("a", "Application/X-A"),
		custom("json", "application/x-other"), custom("other", "application/json"),
	} {
		if err := codec.Register(bad); err == nil || !strings.HasPrefix(err.Error(), "register serializer") {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	s := custom("registered", "application/x-registered")
	if err := codec.Register(s); err != nil {
		t.Fatal(err)
	}
	if err := codec.Register(s); err == nil {
		t.Error("registered twice")
	}
	if got, ok := codec.ByName("registered"); !ok || got != s {
		t.Errorf("got %v, %v", got, ok)
	}
	if _, ok := codec.ByName("pickle"); ok {
		t.Error("pickle is there")
	}
	if _, ok := codec.ByContentType("application/x-python-serialize"); ok {
		t.Error("pickle is there")
	}
}

// What a user's own functions do wrong.
func TestCustomSerializerErrors(t *testing.T) {
	t.Parallel()
	failing := errors.New("s3cret")
	for name, functions := range map[string]struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}{
		"errors": {func(any) ([]byte, error) { return nil, failing }, func([]byte, any) error { return failing }},
		"panics": {func(any) ([]byte, error) { panic("s3cret") }, func([]byte, any) error { panic("s3cret") }},
		"types":  {func(any) ([]byte, error) { return nil, failing }, func(_ []byte, p any) error { *p.(*any) = make(chan int); return nil }},
	} {
		s := codec.NewSerializer("x", "application/x-x", "utf-8", functions.marshal, functions.unmarshal)
		_, encoding := s.EncodeCall(func(codec.Fields) {}, nil)
		_, decoding := s.DecodeCall([]byte("{}"), func(codec.Fields) {})
		for _, err := range []error{encoding, decoding} {
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
}

// A decoder may use any types of Go.
func TestCustomSerializerTypes(t *testing.T) {
	t.Parallel()
	n := 3
	s := codec.NewSerializer("x", "application/x-x", "utf-8", json.Marshal, func(_ []byte, p any) error {
		*p.(*any) = []any{[]int8{1}, map[any]any{"list": []string{"a"}, "m": map[int]float32{4: 0.5}, "p": &n, "u": uint16(7), "no": json.Number("12")}, nil}
		return nil
	})
	var (
		first, p, no int
		u            uint8
		list         []string
		m            map[int]float64
	)
	_, err := s.DecodeCall(nil, func(f codec.Fields) {
		codec.Int(f.Field("first"), &first)
		codec.Int(f.Field("p"), &p)
		codec.Int(f.Field("no"), &no)
		codec.Uint(f.Field("u"), &u)
		codec.Slice(f.Field("list"), &list, codec.String[string])
		codec.Map(f.Field("m"), &m, codec.Int[int], codec.Float[float64])
	})
	if err != nil || first != 1 || p != 3 || no != 12 || u != 7 || len(list) != 1 || m[4] != 0.5 {
		t.Error(first, p, no, u, list, m, err)
	}
}
