package codec_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
)

type PlainInner struct{ ID int64 }

type plainArgs struct {
	*PlainInner
	Text  string        `json:"text"`
	Flag  bool          `json:"flag"`
	Small int8          `json:"small"`
	Large uint64        `json:"large"`
	Ratio float32       `json:"ratio"`
	Wait  time.Duration `json:"wait"`
	At    time.Time     `json:"at"`
	Raw   []byte        `json:"raw"`
	Tags  []string      `json:"tags"`
	Not   string        `json:"-"`
}

func TestPlainFields(t *testing.T) {
	t.Parallel()
	in := plainArgs{&PlainInner{7}, "ü", true, -8, 1 << 63, 0.5, time.Second, time.Unix(1, 2).UTC(), []byte{0, 255}, []string{"a"}, ""}
	for _, name := range []string{"msgpack", "json", "yaml", "gob"} {
		s, _ := codec.ByName(name)
		body, err := s.EncodeCall(func(f codec.Fields) { codec.PlainFields(f, &in) }, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var out plainArgs
		if _, err := s.DecodeCall(body, func(f codec.Fields) { codec.PlainFields(f, &out) }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(in, out, cmp.AllowUnexported(plainArgs{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	const want = "ID int, text string, flag bool, small int8, large uint, ratio float32, wait time.Duration, at time.Time, raw []byte, tags []string"
	if got := codec.Signature(func(f codec.Fields) { codec.PlainFields(f, new(plainArgs)) }); got != want {
		t.Errorf("signature %s\nwant      %s", got, want)
	}
	text, ok := codec.Lookup(func(f codec.Fields) { codec.PlainFields(f, &in) }, "text")
	if !ok || text != "ü" {
		t.Errorf("looked up %q, %t", text, ok)
	}
}

func TestPlainValue(t *testing.T) {
	t.Parallel()
	type name string
	in := name("ada")
	s, _ := codec.ByName("json")
	body, err := s.EncodeCall(func(f codec.Fields) { codec.PlainFields(f, &in) }, nil)
	if want := `[[],{"value":"ada"},`; err != nil || string(body[:len(want)]) != want {
		t.Errorf("%s, %v", body, err)
	}
	var out name
	if _, err := s.DecodeCall([]byte(`[["grace"], {}, {}]`), func(f codec.Fields) { codec.PlainFields(f, &out) }); err != nil || out != "grace" {
		t.Errorf("%q, %v", out, err)
	}
}
