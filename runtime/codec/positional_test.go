package codec_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
)

// TestPositional checks that what is written by position is what a reader by name understands, in every format.
func TestPositional(t *testing.T) {
	t.Parallel()
	limit := 3
	a := &described{Username: "ada", N: -1, U: 1 << 63, Ok: true, Tags: []string{"x", "y"}, ByID: map[int64][]color{7: {"z"}}, Limit: &limit, Wait: 1, Data: []byte{0, 255}}
	for _, name := range []string{"json", "msgpack", "yaml", "gob"} {
		s, _ := codec.ByName(name)
		positional, ok := s.(codec.PositionalEncoder)
		if !ok {
			t.Fatalf("%s can't", name)
		}
		byName, err := s.EncodeCall(a.Visit, nil)
		if err != nil {
			t.Fatal(err)
		}
		byPosition, err := positional.EncodePositional(a.Visit, nil)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := s.DecodeTree(byPosition)
		if err != nil {
			t.Fatal(err)
		}
		body := tree.([]any)
		if args, kwargs := body[0].([]any), body[1].(map[string]any); len(args) != 21 || len(kwargs) != 0 || len(body) != 3 {
			t.Errorf("%s: %v", name, body)
		}
		if got, want := read(t, s, byPosition), read(t, s, byName); got != want {
			t.Errorf("%s (-by name +by position):\n%s", name, cmp.Diff(want, got))
		}
	}
}

// read reads a body, and prints its arguments.
func read(t *testing.T, s codec.Serializer, body []byte) string {
	t.Helper()
	a := new(described)
	if _, err := s.DecodeCall(body, a.Visit); err != nil {
		t.Fatal(err)
	}
	return codec.Repr(a.Visit, nil, 0)
}

func TestReprArgs(t *testing.T) {
	t.Parallel()
	name, password := "ada", "secret"
	visit := func(f codec.Fields) {
		codec.String(f.Field("name"), &name)
		codec.String(f.Field("password"), &password)
	}
	if got := codec.ReprArgs(visit, []string{"password"}, 0); got != "('ada', '***')" {
		t.Error(got)
	}
	if got := codec.ReprArgs(visit, nil, 8); got != "('ada..." {
		t.Error(got)
	}
	one := func(f codec.Fields) { codec.String(f.Field("name"), &name) }
	if got := codec.ReprArgs(one, nil, 0); got != "('ada',)" {
		t.Error(got)
	}
	if got := codec.ReprArgs(func(codec.Fields) {}, nil, 0); got != "()" {
		t.Error(got)
	}
}
