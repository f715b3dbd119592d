package task

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/frugal"
)

// capturedEmbeds are the third parts of all messages captured from Celery, and the bodies of protocol 1, with their serializers.
func capturedEmbeds(t testing.TB, visit func(path string, s codec.Serializer, embed []byte)) {
	t.Helper()
	for _, path := range append(capturedPaths(t, "task-v2-"), capturedPaths(t, "task-v1-")...) {
		m := readCaptured(t, path)
		s, ok := codec.ByContentType(m.ContentType)
		body, err := decompress(m, 1<<20)
		if !ok || err != nil {
			continue
		}
		embed := body
		_ = s.DecodeValue(body, func(v codec.Value) {
			if v.List(0) == 3 {
				v.Raw(nil)
				v.Raw(nil)
				embed = v.Raw(nil)
			}
		})
		visit(path, s, embed)
	}
}

// bare is a tree without what may be left out of an embed or a signature: what is null or empty.
func bare(tree any) any {
	switch x := tree.(type) {
	case []any:
		for i := range x {
			x[i] = bare(x[i])
		}
	case map[string]any:
		for name, value := range x {
			if x[name] = bare(value); value == nil {
				delete(x, name)
			}
		}
	}
	return tree
}

// TestCapturedEmbeds reads what Celery's messages say of what follows, and writes it again: nothing is lost.
func TestCapturedEmbeds(t *testing.T) {
	t.Parallel()
	n := 0
	capturedEmbeds(t, func(path string, s codec.Serializer, raw []byte) {
		e, err := readEmbed(s, raw)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		again, err := e.encode(s)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		before, _ := s.DecodeTree(raw)
		after, err := s.DecodeTree(again)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		want, _ := before.(map[string]any)
		for name := range want {
			switch name {
			case "callbacks", "errbacks", "chain", "chord":
				n++
			default: // of protocol 1
				delete(want, name)
			}
		}
		if want == nil {
			want = map[string]any{}
		}
		if diff := cmp.Diff(bare(want), bare(after)); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	})
	if n < 20 {
		t.Errorf("%d parts seen", n)
	}
}

func TestBrokenEmbeds(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("json")
	sig := func(more string) string {
		return `{"task": "a", "args": [], "kwargs": {}, "options": {}` + more + `}`
	}
	deep := sig("")
	for range maxSignatureDepth {
		deep = sig(`, "subtask_type": "group", "kwargs": {"tasks": [` + deep + `]}`)
	}
	for embed, want := range map[string]string{
		`7777`:                          "embed: ",
		`{"chain": 7}`:                  "embed: chain: a signature",
		`{"callbacks": [[]]}`:           "embed: callbacks: a signature",
		`{"callbacks": [{"args": []}]}`: "want 1 to 255 bytes",
		`{"errbacks": [{"task": "a", "args": 1}]}`:                                                   "want list",
		`{"chain": [` + sig(`, "options": {"countdown": "soon"}`) + `]}`:                             "the signature of a: option countdown",
		`{"chain": [` + sig(`, "options": {"queue": "a b"}`) + `]}`:                                  "option queue",
		`{"chain": [` + sig(`, "options": {"task_id": "a\nb"}`) + `]}`:                               "option task_id",
		`{"chain": [` + sig(`, "options": {"group_index": -1}`) + `]}`:                               "option group_index",
		`{"chain": [` + sig(`, "options": {"chord": [`+sig("")+`, `+sig("")+`]}`) + `]}`:             "option chord: want one signature",
		`{"chain": [` + sig(`, "subtask_type": "chain"`) + `]}`:                                      "a chain of nothing",
		`{"chain": [` + sig(`, "subtask_type": "chord", "kwargs": {"header": [`+sig("")+`]}`) + `]}`: "a chord without header or body",
		`{"chain": [` + strings.Repeat(sig("")+",", maxSignatures) + sig("") + `]}`:                  "more than 10000 signatures",
		`{"chain": [` + deep + `]}`:                                                                  "deep",
	} {
		if _, err := readEmbed(s, []byte(embed)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", embed, err, want)
		}
	}
}

// FuzzEmbed: whatever a message says of what follows, it is refused or can be written again, and reads as the same then. It takes
// no more memory than a message may.
func FuzzEmbed(f *testing.F) {
	capturedEmbeds(f, func(_ string, s codec.Serializer, embed []byte) { f.Add(s.Name(), embed) })
	for _, embed := range []string{
		`{"chain": [{"task": "a", "options": {"link": {"task": "b"}, "link_error": [], "chain": null, "headers": {"x": [1e300, 99999999999]}, "stamped_headers": ["s"], "s": 1}}]}`,
		`{"chord": {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": [], "body": {"task": "c", "args": [NaN, 123456789012345678901234567890]}}}}`,
		strings.Repeat(`{"chain":[{"task":"a","options":`, 20) + `{}` + strings.Repeat(`}]}`, 20),
	} {
		f.Add("json", []byte(embed))
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		s, ok := codec.ByName(name)
		if !ok || len(raw) > 1<<20 {
			t.Skip()
		}
		var e *embed
		var err error
		frugal.Check(t, func() { e, err = readEmbed(s, raw) })
		if err != nil {
			return
		}
		once, err := e.encode(s)
		if err != nil {
			t.Skip() // deeper by what was left out
		}
		again, err := readEmbed(s, once)
		if err != nil {
			t.Fatalf("%q is written as %q: %v", raw, once, err)
		}
		twice, err := again.encode(s)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%q is written as %q, and that as %q, %v", raw, once, twice, err)
		}
	})
}
