package codec_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/taskgen/taskgen/runtime/codec"
)

// all is one argument of each kind, as it is to look on the wire.
func all(f codec.Fields) {
	var (
		text          = "ü\n"
		n, big        = int64(-5), uint64(1 << 63)
		float, single = 1.0, float32(0.5)
		none          *int
		strings       []string
		byInt         = map[int]string{-7: "x"}
		data          = []byte{0, 255}
		at            = time.Date(2026, 8, 20, 1, 2, 3, 4000, time.UTC)
		wait, exact   = 1500 * time.Millisecond, time.Duration(1<<62 + 1)
		raw           = json.RawMessage(`{"a": 1}`)
		address       = point{Street: "s", Zip: 1}
		ok            = true
	)
	codec.String(f.Field("text"), &text)
	codec.Int(f.Field("n"), &n)
	codec.Uint(f.Field("big"), &big)
	codec.Float(f.Field("float"), &float)
	codec.Float(f.Field("single"), &single)
	codec.Bool(f.Field("ok"), &ok)
	codec.Pointer(f.Field("none"), &none, codec.Int[int])
	codec.Slice(f.Field("strings"), &strings, codec.String[string])
	codec.Map(f.Field("byInt"), &byInt, codec.Int[int], codec.String[string])
	codec.Bytes(f.Field("data"), &data)
	codec.Time(f.Field("at"), &at)
	codec.Duration(f.Field("wait"), &wait)
	codec.Duration(f.Field("exact"), &exact)
	codec.JSON(f.Field("raw"), &raw)
	codec.Any(f.Field("address"), &address)
}

func TestJSONOnTheWire(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("json")
	body, err := s.EncodeCall(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `[[],{"text":"ü\n","n":-5,"big":9223372036854775808,"float":1.0,"single":0.5,"ok":true,"none":null,` +
		`"strings":[],"byInt":{"-7":"x"},"data":"AP8=","at":"2026-08-20T01:02:03.000004+00:00","wait":1.5,` +
		`"exact":"1281023h53m38.427387905s","raw":{"a": 1},` +
		`"address":{"street":"s","city":"","zip":1,"lat":0,"home":false}},{}]`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

func TestYAMLOnTheWire(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("yaml")
	body, err := s.EncodeCall(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `[[], {"address": {"city": "", "home": false, "lat": 0.0, "street": "s", "zip": 1}, "at": "2026-08-20T01:02:03.000004+00:00", ` +
		`"big": 9223372036854775808, "byInt": {"-7": "x"}, "data": !!binary "AP8=", "exact": "1281023h53m38.427387905s", ` +
		`"float": 1.0, "n": -5, "none": null, "ok": true, "raw": "{\"a\": 1}", "single": 0.5, "strings": [], ` +
		`"text": "ü\u000a", "wait": 1.5}, {}]`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
}

// What another decoder makes of our msgpack.
func TestMsgpackOnTheWire(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"msgpack", "gob"} {
		s, _ := codec.ByName(name)
		body, err := s.EncodeCall(all, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		if err := msgpack.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		want := []any{[]any{}, map[string]any{
			"text": "ü\n", "n": int8(-5), "big": uint64(1 << 63), "float": 1.0, "single": float32(0.5), "ok": true, "none": nil,
			"strings": []any{}, "byInt": map[string]any{"-7": "x"}, "data": []byte{0, 255},
			"at": "2026-08-20T01:02:03.000004+00:00", "wait": 1.5, "exact": "1281023h53m38.427387905s", "raw": `{"a": 1}`,
			"address": map[string]any{"street": "s", "city": "", "zip": int8(1), "lat": 0.0, "home": false},
		}, map[string]any{}}
		if name == "gob" {
			kwargs := got[1].(map[string]any)
			if b, ok := kwargs["address"].([]byte); !ok || !strings.Contains(string(b), "point") {
				t.Errorf("address is %T", kwargs["address"])
			}
			kwargs["address"] = want[1].(map[string]any)["address"]
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// Strings that aren't UTF-8 travel unchanged, or not at all.
func TestInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"msgpack", "yaml", "gob"} {
		s, _ := codec.ByName(name)
		each(t, s, codec.String[string], "\xff", "a\x80b")
	}
	s, _ := codec.ByName("json")
	in := "s3cret\xff"
	_, err := s.EncodeCall(visitFunc(&in, codec.String[string]), nil)
	checkArgumentError(t, in, err, "x", "a string that is not UTF-8 can't travel as JSON; use []byte or another serializer")
}

// Python's msgpack makes no str of what isn't UTF-8: it gets bytes.
func TestInvalidUTF8IsBin(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("msgpack")
	in := "\xff"
	data, err := s.EncodeMap(visitFunc(&in, codec.String[string]))
	if err != nil || string(data) != "\x81\xa1x\xc4\x01\xff" {
		t.Errorf("got %q, %v", data, err)
	}
}

// The times that Celery writes, and other ISO 8601.
func TestReadTimes(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 8, 20, 1, 2, 3, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-08-20T01:02:03+00:00":           want,
		"2026-08-20T01:02:03Z":                want,
		"2026-08-20T01:02:03":                 want,
		"2026-08-20 01:02:03":                 want,
		"2026-08-20T06:32:03+05:30":           want,
		"2026-08-20T06:32:03+0530":            want,
		"2026-08-19T17:02:03-08:00":           want,
		"2026-08-20T01:02:03.5":               want.Add(time.Second / 2),
		"2026-08-20T01:02:03.456789+00:00":    want.Add(456789 * time.Microsecond),
		"2026-08-20T01:02:03.000000001+00:00": want.Add(1),
		"2026-08-20":                          want.Truncate(24 * time.Hour),
		"2024-02-29":                          time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		"0001-01-01T00:00:00Z":                {},
		"9999-12-31T23:59:59.999999999Z":      time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
	} {
		builtin(t, func(t *testing.T, s codec.Serializer) {
			var got time.Time
			_, err := s.DecodeCall(encode(t, s.Name(), `[["`+text+`"], {}, {}]`), visitFunc(&got, codec.Time))
			if err != nil || !got.Equal(want) {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		})
	}
	s, _ := codec.ByName("json")
	for _, text := range []string{"", "x", "2026", "2026-13-01", "2026-02-29", "2026-08-20T", "2026-08-20T24:00:00", "2026-08-20T01:60:00",
		"2026-08-20T01:02:60", "2026-08-20T01:02", "2026-08-20T01:02:03.", "2026-08-20T01:02:03+", "2026-08-20T01:02:03+25:00",
		"2026-08-20T01:02:03.1234567890Z", "2026-08-20T01:02:03Zx", "2026-8-20", "2026-08-20T01:02:03 Z", "٢٠٢٦-08-20"} {
		var got time.Time
		if _, err := s.DecodeCall([]byte(`[["`+text+`"], {}, {}]`), visitFunc(&got, codec.Time)); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

func TestReadMsgpackTimestamps(t *testing.T) {
	t.Parallel()
	s, _ := codec.ByName("msgpack")
	for _, want := range []time.Time{
		time.Unix(0, 0), time.Unix(1<<32-1, 0), time.Unix(1<<32-1, 999_999_999), time.Unix(1<<34, 5), time.Unix(-1, 1),
	} {
		in := map[string]any{"at": want}
		data, err := msgpack.Marshal([]any{[]any{want, in}, map[string]any{}, nil})
		if err != nil {
			t.Fatal(err)
		}
		var got time.Time
		var user struct {
			At time.Time `json:"at"`
		}
		_, err = s.DecodeCall(data, func(f codec.Fields) {
			codec.Time(f.Field("x"), &got)
			codec.Any(f.Field("y"), &user)
		})
		if err != nil || !got.Equal(want) || !user.At.Equal(want) {
			t.Errorf("%v: got %v, %v, %v", want, got, user.At, err)
		}
	}
}

func TestReadDurations(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for text, want := range map[string]time.Duration{
			`30`: 30 * time.Second, `1.5`: 1500 * time.Millisecond, `-0.25`: -250 * time.Millisecond, `"1h2m"`: 62 * time.Minute,
			`0.1`: 100 * time.Millisecond, `9223372036`: 9223372036 * time.Second,
		} {
			var got time.Duration
			_, err := s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&got, codec.Duration))
			if err != nil || got != want {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		}
		for _, text := range []string{`1e300`, `9223372037`, `-9223372037`, `"1 hour"`, `""`, `[1]`, `null`} {
			var got time.Duration
			if _, err := s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&got, codec.Duration)); err == nil {
				t.Errorf("%s: got %v", text, got)
			}
		}
	})
}

// Whole floats are integers, others aren't; beyond 2^53 nobody knows.
func TestFloatsAsIntegers(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		for text, want := range map[string]int64{`3.0`: 3, `-4.0`: -4, `9007199254740992.0`: 1 << 53, `1.0e3`: 1000} {
			var got int64
			_, err := s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&got, codec.Int[int64]))
			if err != nil || got != want {
				t.Errorf("%s: got %v, %v", text, got, err)
			}
		}
		for _, text := range []string{`0.5`, `9007199254740994.0`, `1.0e300`} {
			var got int64
			_, err := s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&got, codec.Int[int64]))
			checkArgumentError(t, text, err, "x", "want int64, got float")
			var u uint64
			_, err = s.DecodeCall(encode(t, s.Name(), `[[`+text+`], {}, {}]`), visitFunc(&u, codec.Uint[uint64]))
			checkArgumentError(t, text, err, "x", "want uint64, got float")
		}
		var u uint8
		_, err := s.DecodeCall(encode(t, s.Name(), `[[-1], {}, {}]`), visitFunc(&u, codec.Uint[uint8]))
		checkArgumentError(t, "-1", err, "x", "want uint8, got a number that does not fit")
		var x float32
		_, err = s.DecodeCall(encode(t, s.Name(), `[[1.0e300], {}, {}]`), visitFunc(&x, codec.Float[float32]))
		checkArgumentError(t, "1e300", err, "x", "want float32, got a number that does not fit")
	})
}

// A wrong field of a user's struct is named, and nothing else is quoted.
func TestUserTypeErrors(t *testing.T) {
	t.Parallel()
	type inner struct {
		Small int8 `json:"small"`
	}
	type outer struct {
		List []inner `json:"list"`
	}
	text := `[[{"list": [{"small": 1}, {"small": 1234567}]}], {}, {}]`
	for _, name := range []string{"msgpack", "yaml"} {
		s, _ := codec.ByName(name)
		var out outer
		_, err := s.DecodeCall(encode(t, name, text), visitFunc(&out, codec.Any[outer]))
		checkArgumentError(t, text, err, "x", "want int8, got a number that does not fit in list.small")
	}
	s, _ := codec.ByName("json")
	var out outer
	_, err := s.DecodeCall([]byte(text), visitFunc(&out, codec.Any[outer]))
	checkArgumentError(t, text, err, "x", "does not fit into codec_test.outer: want int8, got number in list.small")
}

func TestJSONText(t *testing.T) {
	t.Parallel()
	n := int64(1<<53 + 1)
	text, err := codec.JSONText(func(v codec.Value) { codec.Int(v, &n) })
	if err != nil || string(text) != "9007199254740993" {
		t.Errorf("got %s, %v", text, err)
	}
	p := sampleUser()
	text, err = codec.JSONText(func(v codec.Value) { codec.Any(v, &p) })
	if err != nil || !json.Valid(text) {
		t.Errorf("got %s, %v", text, err)
	}
	c := make(chan int)
	if _, err := codec.JSONText(func(v codec.Value) { codec.Any(v, &c) }); err == nil {
		t.Error("no error for a chan")
	}
}
