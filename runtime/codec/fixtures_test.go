package codec_test

import (
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// fixture is a message that Celery sent.
type fixture struct {
	Name       string
	Properties struct {
		ContentType string `json:"content_type"`
	}
	Headers struct {
		Compression string
	}
	Body []byte `json:"body_base64"`
	// Messages are those of a fixture with several of them.
	Messages []fixture
}

func fixtures(t testing.TB, pattern string) []fixture {
	t.Helper()
	const root = "../../testdata/celery"
	var all []fixture
	for _, dir := range []string{"", "5.2.6", "head"} {
		names, err := filepath.Glob(filepath.Join(root, dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("no fixtures %s in %q: %v", pattern, dir, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			f := fixture{Name: strings.TrimPrefix(name, root+"/")}
			if err := json.Unmarshal(text, &f); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range f.Messages {
				f.Messages[i].Name = f.Name
			}
			if f.Body != nil { // some only say that nothing was sent
				all = append(all, f)
			}
			all = append(all, f.Messages...)
		}
	}
	return all
}

// plain returns the serializer and the decompressed body; ok is false for what
// is not ours to read.
func (f fixture) plain(t testing.TB) (s codec.Serializer, body []byte, ok bool) {
	t.Helper()
	s, ok = codec.ByContentType(f.Properties.ContentType)
	if !ok {
		switch f.Properties.ContentType {
		case "application/data", "application/x-python-serialize":
		default:
			t.Errorf("%s: no serializer for %s", f.Name, f.Properties.ContentType)
		}
		return nil, nil, false
	}
	body = f.Body
	if c := f.Headers.Compression; c != "" {
		var err error
		body, err = codec.Decompress(c, f.Body, 1<<20)
		if unsupported := strings.Contains(c, "lzma") || strings.Contains(c, "brotli"); unsupported != (err != nil) {
			t.Errorf("%s: decompress %s: %v", f.Name, c, err)
		}
		if err != nil {
			return nil, nil, false
		}
	}
	return s, body, true
}

// Every task message of Celery reads as a call: as many arguments as it has,
// and nothing left over.
func TestReadCeleryTasks(t *testing.T) {
	t.Parallel()
	n := 0
	for _, f := range fixtures(t, "task-*.json") {
		s, body, ok := f.plain(t)
		if !ok {
			continue
		}
		n++
		tree, err := s.DecodeTree(body)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		args, kwargs := callParts(tree)
		embed, err := s.DecodeCall(body, func(fields codec.Fields) {
			for range args {
				fields.Field("position")
			}
			for name := range kwargs {
				fields.Field(name)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		if _, err := s.DecodeTree(embed); err != nil {
			t.Errorf("%s: embed: %v", f.Name, err)
		}
	}
	if n < 150 {
		t.Errorf("only %d messages read", n)
	}
}

func callParts(tree any) (args []any, kwargs map[string]any) {
	switch tree := tree.(type) {
	case []any:
		args, _ = tree[0].([]any)
		kwargs, _ = tree[1].(map[string]any)
	case map[string]any:
		args, _ = tree["args"].([]any)
		kwargs, _ = tree["kwargs"].(map[string]any)
	}
	return args, kwargs
}

func TestReadCeleryResults(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t, "result-rpc-*.json") {
		s, body, ok := f.plain(t)
		if !ok {
			continue
		}
		var id, status string
		err := s.DecodeMap(body, func(fields codec.Fields) {
			codec.String(fields.Field("task_id"), &id)
			codec.String(fields.Field("status"), &status)
		})
		if err != nil || id == "" || status == "" {
			t.Errorf("%s: task_id %q, status %q, %v", f.Name, id, status, err)
		}
	}
}

func readFixture(t *testing.T, name string) (codec.Serializer, []byte) {
	t.Helper()
	for _, f := range fixtures(t, filepath.Base(name)) {
		if f.Name == name {
			s, body, ok := f.plain(t)
			if !ok {
				t.Fatalf("%s can't be read", name)
			}
			return s, body
		}
	}
	t.Fatalf("no fixture %s", name)
	return nil, nil
}

// What Python's types become in Go, where the type is known.
func TestReadPythonTypes(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 8, 20, 1, 2, 3, 456_789_000, time.UTC)
	for _, name := range []string{"task-v2-json-types.json", "5.2.6/task-v2-json-types.json"} {
		s, body := readFixture(t, name)
		var dt, naive, date time.Time
		var clock, decimal, uuid string
		_, err := s.DecodeCall(body, func(f codec.Fields) {
			codec.Time(f.Field("dt"), &dt)
			codec.Time(f.Field("naive"), &naive)
			codec.Time(f.Field("date"), &date)
			codec.String(f.Field("time"), &clock)
			codec.String(f.Field("dec"), &decimal)
			codec.String(f.Field("uuid"), &uuid)
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !dt.Equal(at) || !naive.Equal(at.Truncate(time.Second)) || !date.Equal(at.Truncate(24*time.Hour)) {
			t.Error(name, dt, naive, date)
		}
		if clock != "01:02:03.456789" || decimal != "1.10" || uuid != "01234567-89ab-cdef-0123-456789abcdef" {
			t.Error(name, clock, decimal, uuid)
		}
	}
}

// Kombu's envelopes, as values of users' types and as other scalars.
func TestReadEnvelopes(t *testing.T) {
	t.Parallel()
	var user struct {
		At   time.Time
		ID   uuid.UUID
		Data []byte
		Cost json.Number
		List []time.Time
	}
	var text, raw string
	var cost float64
	s, _ := codec.ByName("json")
	_, err := s.DecodeCall([]byte(`[[{
		"At":   {"__type__": "datetime", "__value__": "2026-08-20T01:02:03"},
		"ID":   {"__value__": {"hex": "0123456789abcdef0123456789abcdef"}, "__type__": "uuid"},
		"Data": {"__type__": "base64", "__value__": "/wD+"},
		"Cost": 1.10,
		"List": [ {"__type__": "date", "__value__": "2026-08-20"} , "2026-08-20T01:02:03Z" ]},
		{"__type__": "bytes", "__value__": "caf\u00e9"}, {"__type__": "base64", "__value__": "/w=="},
		{"__type__": "decimal", "__value__": "1.10"}], {}, {}]`), func(f codec.Fields) {
		codec.Any(f.Field("user"), &user)
		codec.String(f.Field("text"), &text)
		codec.String(f.Field("raw"), &raw)
		codec.Float(f.Field("cost"), &cost)
	})
	if err != nil {
		t.Fatal(err)
	}
	if !user.At.Equal(time.Date(2026, 8, 20, 1, 2, 3, 0, time.UTC)) || user.ID.String() != "01234567-89ab-cdef-0123-456789abcdef" ||
		string(user.Data) != "\xff\x00\xfe" || user.Cost != "1.10" || len(user.List) != 2 || !user.List[1].Equal(user.At) {
		t.Errorf("got %+v", user)
	}
	if text != "café" || raw != "\xff" || cost != 1.1 {
		t.Errorf("got %q %q %v", text, raw, cost)
	}
	for _, bad := range []string{
		`{"__type__": "datetime", "__value__": "s3cret"}`, `{"__type__": "uuid", "__value__": {"hex": "s3cret"}}`,
		`{"__type__": "s3cret", "__value__": "2026-08-20"}`, `{"__type__": "datetime"}`, `{"__type__": "datetime", "__value__": [1]}`,
		`{"__type__": "base64", "__value__": "s3cret!"}`, `{"__type__": "time", "__value__": "01:02:03"}`,
		`{"__type__": "datetime", "__value__": "2026-08-20", "more": 1}`,
	} {
		var at time.Time
		_, err := s.DecodeCall([]byte(`[[`+bad+`], {}, {}]`), visitFunc(&at, codec.Time))
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestReadPythonYAML(t *testing.T) {
	t.Parallel()
	s, body := readFixture(t, "task-v2-yaml-types.json")
	var at, date time.Time
	var data []byte
	_, err := s.DecodeCall(body, func(f codec.Fields) {
		codec.Time(f.Field("at"), &at)
		codec.Time(f.Field("date"), &date)
		codec.Bytes(f.Field("data"), &data)
	})
	if err != nil || at.Nanosecond() != 456_789_000 || date.Day() != 20 || string(data) != "\xff" {
		t.Error(at, date, data, err)
	}
}

func TestReadPythonMsgpack(t *testing.T) {
	t.Parallel()
	s, body := readFixture(t, "task-v2-msgpack-types.json")
	tree, err := s.DecodeTree(body)
	if err != nil {
		t.Fatal(err)
	}
	args, _ := callParts(tree)
	want := []any{[]byte("\xff\x00"), nil, []any{int64(1), map[string]any{"a": "é"}}, int64(-129), int64(1 << 40), 1.5, true}
	if d := diff(want, args); d != "" {
		t.Error(d)
	}
}

func TestReadPythonNumbers(t *testing.T) {
	t.Parallel()
	s, body := readFixture(t, "task-v2-json-nan.json")
	var x [3]float64
	_, err := s.DecodeCall(body, func(f codec.Fields) {
		for i := range x {
			codec.Float(f.Field("x"), &x[i])
		}
	})
	if err != nil || !math.IsNaN(x[0]) || !math.IsInf(x[1], 1) || !math.IsInf(x[2], -1) {
		t.Error(x, err)
	}

	s, body = readFixture(t, "task-v2-json-nested.json")
	tree, err := s.DecodeTree(body)
	if err != nil {
		t.Fatal(err)
	}
	args, _ := callParts(tree)
	huge := new(big.Int).Lsh(big.NewInt(1), 70)
	want := []any{
		[]any{int64(1), []any{int64(2), []any{int64(3), nil}}, map[string]any{"a": map[string]any{"b": []any{true, false, nil}}}},
		nil, 1.5, 1e300, math.Copysign(0, -1), int64(1<<53 + 1), huge,
	}
	if d := diff(want, args); d != "" {
		t.Error(d)
	}
	var n int64
	_, err = s.DecodeCall(body, func(f codec.Fields) {
		for range 5 {
			f.Field("skipped")
		}
		codec.Int(f.Field("exact"), &n)
		codec.Int(f.Field("huge"), &n)
	})
	checkArgumentError(t, "2**70", err, "huge", "want int64, got a number that does not fit")
}

func TestReadPythonText(t *testing.T) {
	t.Parallel()
	s, body := readFixture(t, "task-v2-json-unicode.json")
	var a, b, c string
	_, err := s.DecodeCall(body, func(f codec.Fields) {
		codec.String(f.Field("a"), &a)
		codec.String(f.Field("b"), &b)
		codec.String(f.Field("ключ"), &c)
	})
	if err != nil || a != "naïve 日本 😀" || b != `a"b\c` || c != "значение" {
		t.Errorf("got %q %q %q, %v", a, b, c, err)
	}
}
