package codec_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// visitFunc makes a visit of one argument, "x".
func visitFunc[T any](p *T, elem func(codec.Value, *T)) func(codec.Fields) {
	return func(f codec.Fields) { elem(f.Field("x"), p) }
}

// everySerializer runs a test for each built-in serializer and for a custom one.
func everySerializer(t *testing.T, test func(*testing.T, codec.Serializer)) {
	for _, name := range []string{"msgpack", "json", "yaml", "gob"} {
		s, ok := codec.ByName(name)
		if !ok {
			t.Fatalf("no serializer %q", name)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
	t.Run("custom", func(t *testing.T) {
		t.Parallel()
		test(t, codec.NewSerializer("custom", "application/x-custom", "utf-8", json.Marshal, unmarshalNumbers))
	})
}

// unmarshalNumbers keeps integers exact, as a decoder for a custom serializer has to.
func unmarshalNumbers(data []byte, p any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	return d.Decode(p)
}

// same checks that want comes back if in is sent, as an argument by name, as
// one by position and as a field of a map.
func same[T any](t *testing.T, s codec.Serializer, elem func(codec.Value, *T), in, want T) {
	t.Helper()
	body, err := s.EncodeCall(visitFunc(&in, elem), nil)
	if err != nil {
		t.Fatalf("encode %#v: %v", in, err)
	}
	var out T
	embed, err := s.DecodeCall(body, visitFunc(&out, elem))
	if err != nil {
		t.Fatalf("decode %q of %#v: %v", body, in, err)
	}
	if d := diff(want, out); d != "" {
		t.Errorf("%q of %#v: -want +got\n%s", body, in, d)
	}
	if tree, err := s.DecodeTree(embed); err != nil || !cmp.Equal(tree, any(map[string]any{})) {
		t.Errorf("embed %q of a call without one: %v, %v", embed, tree, err)
	}
	data, err := s.EncodeMap(visitFunc(&in, elem))
	if err != nil {
		t.Fatalf("encode map of %#v: %v", in, err)
	}
	var again T
	if err := s.DecodeMap(data, visitFunc(&again, elem)); err != nil {
		t.Fatalf("decode map %q of %#v: %v", data, in, err)
	}
	if d := diff(want, again); d != "" {
		t.Errorf("map %q of %#v: -want +got\n%s", data, in, d)
	}
}

// diff is cmp.Diff, which is slow, for what reflect finds different.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, equate)
}

// each is same for values that come back as they were.
func each[T any](t *testing.T, s codec.Serializer, elem func(codec.Value, *T), values ...T) {
	t.Helper()
	for _, v := range values {
		same(t, s, elem, v, v)
	}
}

var equate = cmp.Options{
	cmp.Comparer(func(a, b *big.Int) bool { return a == b || a != nil && b != nil && a.Cmp(b) == 0 }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b float64) bool {
		return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
	}),
	cmp.Comparer(func(a, b float32) bool {
		return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
	}),
}

type (
	flag    bool
	level   int8
	mask    uint16
	ratio   float32
	color   string
	blob    []byte
	palette []color
)

func TestScalars(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		each(t, s, codec.Bool[bool], true, false)
		each(t, s, codec.Bool[flag], true, false)
		each(t, s, codec.Int[int64], 0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65535, 65536, -32768, -32769,
			1<<31-1, 1<<31, -1<<31, -1<<31-1, 1<<53-1, 1<<53, 1<<53+1, -1<<53-1, math.MaxInt64, math.MinInt64)
		each(t, s, codec.Int[int], math.MaxInt, math.MinInt)
		each(t, s, codec.Int[int8], math.MaxInt8, math.MinInt8)
		each(t, s, codec.Int[int16], math.MaxInt16, math.MinInt16)
		each(t, s, codec.Int[int32], math.MaxInt32, math.MinInt32)
		each(t, s, codec.Int[level], -128, 127)
		each(t, s, codec.Uint[uint64], 0, 1<<53+1, 1<<63, math.MaxUint64)
		each(t, s, codec.Uint[uint8], 0, 255)
		each(t, s, codec.Uint[mask], 0, 65535)
		each(t, s, codec.Float[float64], 0, math.Copysign(0, -1), 1, -1.5, 0.1, 1e21, 1e-7, 1e100, math.MaxFloat64,
			math.SmallestNonzeroFloat64, 1<<53+2, math.Pi)
		each(t, s, codec.Float[float32], 0, 0.1, math.MaxFloat32, math.SmallestNonzeroFloat32, -2)
		each(t, s, codec.Float[ratio], 0.3)
		each(t, s, codec.String[string], "", "a", "ä€😀", strings.Repeat("x", 31), strings.Repeat("y", 32),
			strings.Repeat("z", 256), strings.Repeat("ü", 40_000), "\x00\x01\x1f\x7f\u0080\u0085\u2028\ufeff", `"\/'`,
			"line\r\n\tend ", " - a: b # c", "null", "true", "123", "2026-01-02", "~", "<<", "=", "!!int 3", "'quoted'", "\u00a0")
		each(t, s, codec.String[color], "red")
		each(t, s, codec.Bytes[[]byte], []byte{}, []byte{0}, []byte("\xff\xfe"), make([]byte, 300), make([]byte, 70_000))
		each(t, s, codec.Bytes[blob], blob("x"))
		same(t, s, codec.Bytes[[]byte], nil, []byte{})
	})
}

// Floats that only some formats know.
func TestNotNumbers(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		if s.Name() == "custom" {
			t.Skip("encoding/json has none")
		}
		each(t, s, codec.Float[float64], math.NaN(), math.Inf(1), math.Inf(-1))
		each(t, s, codec.Float[float32], float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)))
	})
}

func TestTimes(t *testing.T) {
	t.Parallel()
	india := time.FixedZone("", 5*3600+1800)
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		each(t, s, codec.Time,
			time.Time{},
			time.Date(2026, 8, 20, 1, 2, 3, 0, time.UTC),
			time.Date(2026, 8, 20, 1, 2, 3, 456_000_000, time.UTC),
			time.Date(2026, 8, 20, 1, 2, 3, 456_789_000, time.UTC),
			time.Date(2026, 8, 20, 1, 2, 3, 456_789_012, time.UTC),
			time.Date(2026, 8, 20, 1, 2, 3, 1, india),
			time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("", -8*3600)),
			time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		)
		each(t, s, codec.Duration, 0, 1, -1, time.Second, 1500*time.Millisecond, -time.Hour, 100*24*time.Hour+1,
			104*24*time.Hour+time.Nanosecond, math.MaxInt64, math.MinInt64, math.MaxInt64-1, 1<<53+1)
	})
}

func TestTimeKeepsOffset(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		in := time.Date(2026, 8, 20, 1, 2, 3, 0, time.FixedZone("Nepal", 5*3600+45*60))
		body, err := s.EncodeCall(visitFunc(&in, codec.Time), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out time.Time
		if _, err := s.DecodeCall(body, visitFunc(&out, codec.Time)); err != nil {
			t.Fatal(err)
		}
		if got := out.Format(time.RFC3339); got != "2026-08-20T01:02:03+05:45" {
			t.Error("got", got)
		}
	})
}

func TestTimesWithoutText(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		for _, in := range []time.Time{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)} {
			if _, err := s.EncodeCall(visitFunc(&in, codec.Time), nil); err == nil {
				t.Error("no error for", in)
			}
		}
	})
}

func TestContainers(t *testing.T) {
	t.Parallel()
	strings3 := func(v codec.Value, p *[][][]string) {
		codec.Slice(v, p, func(v codec.Value, p *[][]string) {
			codec.Slice(v, p, func(v codec.Value, p *[]string) { codec.Slice(v, p, codec.String[string]) })
		})
	}
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		ints := func(v codec.Value, p *[]int) { codec.Slice(v, p, codec.Int[int]) }
		many := make([]int, 20_000)
		for i := range many {
			many[i] = i - 10_000
		}
		each(t, s, ints, []int{}, []int{1}, make([]int, 15), make([]int, 16), many)
		same(t, s, ints, nil, []int{})
		each(t, s, strings3, [][][]string{}, [][][]string{{}, {{}, {"a"}}, {{"b", "c"}, {}}})
		each(t, s, func(v codec.Value, p *palette) { codec.Slice(v, p, codec.String[color]) }, palette{"red", ""})

		byInt := func(v codec.Value, p *map[int]string) { codec.Map(v, p, codec.Int[int], codec.String[string]) }
		each(t, s, byInt, map[int]string{}, map[int]string{0: "", -1: "b", math.MinInt64: "c", math.MaxInt64: "d"})
		same(t, s, byInt, nil, map[int]string{})
		each(t, s, func(v codec.Value, p *map[uint64]bool) { codec.Map(v, p, codec.Uint[uint64], codec.Bool[bool]) },
			map[uint64]bool{0: true, math.MaxUint64: false})
		each(t, s, func(v codec.Value, p *map[color][]map[string]int) {
			codec.Map(v, p, codec.String[color], func(v codec.Value, p *[]map[string]int) {
				codec.Slice(v, p, func(v codec.Value, p *map[string]int) { codec.Map(v, p, codec.String[string], codec.Int[int]) })
			})
		}, map[color][]map[string]int{"ü\n": {{"a": 1, "b": 2}, {}}, "": {}})
		large := map[string]int{}
		for i := range 20_000 {
			large[strings.Repeat("k", i%7)+string(rune('a'+i%26))+time.Duration(i).String()] = i
		}
		each(t, s, func(v codec.Value, p *map[string]int) { codec.Map(v, p, codec.String[string], codec.Int[int]) }, large)
	})
}

func TestPointers(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		pointer := func(v codec.Value, p **int) { codec.Pointer(v, p, codec.Int[int]) }
		n := 7
		each(t, s, pointer, nil, &n)
		each(t, s, func(v codec.Value, p *[]*int) { codec.Slice(v, p, pointer) }, []*int{nil, &n, nil})
		each(t, s, func(v codec.Value, p *map[string]*int) { codec.Map(v, p, codec.String[string], pointer) },
			map[string]*int{"a": nil, "b": &n})
		list := []string{}
		each(t, s, func(v codec.Value, p **[]string) {
			codec.Pointer(v, p, func(v codec.Value, p *[]string) { codec.Slice(v, p, codec.String[string]) })
		}, nil, &list)
	})
}

func TestJSONValues(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		each(t, s, codec.JSON, json.RawMessage(`{"a":[1,2.50,null,"x\u00e9"],"b":{}}`), json.RawMessage(`"text"`), json.RawMessage(`12345678901234567890`))
		for _, bad := range []string{"", "{", "[1,]", "nul", "1 2", `"\x"`, "01", "{1:2}", "\"\xff\""} {
			in := json.RawMessage(bad)
			if _, err := s.EncodeCall(visitFunc(&in, codec.JSON), nil); err == nil {
				t.Errorf("no error for %q", bad)
			}
		}
	})
}

func TestNothing(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		each(t, s, codec.Nothing, struct{}{})
	})
}

type base struct {
	ID   int    `json:"id"`
	Note string `json:"note,omitempty"`
}

type Timed struct{ At time.Time }

// user is a type as users write them.
type user struct {
	base
	*Timed
	Name     string            `json:"name"`
	Password string            `json:"-"`
	Small    int8              `json:"small"`
	Big      uint64            `json:"big"`
	Scores   []float64         `json:"scores"`
	Labels   map[string]string `json:"labels"`
	Friends  []*user           `json:"friends,omitempty"`
	Key      uuid.UUID         `json:"key"`
	Addr     netip.Addr        `json:"addr"`
	Sum      *big.Int          `json:"sum"`
	Wait     time.Duration     `json:"wait"`
	Data     []byte            `json:"data"`
	Pair     [2]int            `json:"pair"`
	Untagged string
}

func sampleUser() user {
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	return user{
		base: base{ID: -5, Note: "n"}, Timed: &Timed{time.Date(2026, 8, 20, 1, 2, 3, 456, time.UTC)},
		Name: "Ada", Small: -128, Big: math.MaxUint64, Scores: []float64{1, 2.5}, Labels: map[string]string{"a": "b"},
		Friends: []*user{{Name: "Bob", Scores: []float64{}, Labels: map[string]string{}, Data: []byte{}, Sum: big.NewInt(1),
			Addr: netip.MustParseAddr("::1"), Timed: &Timed{}}},
		Key: uuid.MustParse("01234567-89ab-cdef-0123-456789abcdef"), Addr: netip.MustParseAddr("10.0.0.1"), Sum: huge,
		Wait: time.Second + 1, Data: []byte{0, 255}, Pair: [2]int{3, 4}, Untagged: "u",
	}
}

func TestUserTypes(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		// gob leaves out zero values within structs, so what is empty comes back nil.
		options := cmp.Options{equate, cmp.AllowUnexported(user{}, base{})}
		in := sampleUser()
		body, err := s.EncodeCall(visitFunc(&in, codec.Any[user]), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out user
		if _, err := s.DecodeCall(body, visitFunc(&out, codec.Any[user])); err != nil {
			t.Fatal(err)
		}
		want := sampleUser()
		if s.Name() == "gob" {
			want.Friends[0].Scores, want.Friends[0].Data = nil, nil
			want.base = base{} // not exported
		}
		if d := cmp.Diff(want, out, options...); d != "" {
			t.Errorf("%q: -want +got\n%s", body, d)
		}
		each(t, s, func(v codec.Value, p *[]base) { codec.Slice(v, p, codec.Any[base]) }, []base{{ID: 1}, {Note: "x"}, {}})
	})
}

// Unknown fields are passed over, missing ones stay zero.
func TestUserTypesGrow(t *testing.T) {
	t.Parallel()
	type version1 struct {
		A int
		B string
	}
	type version2 struct {
		B string
		C []int
	}
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		in := version1{A: 1, B: "b"}
		body, err := s.EncodeCall(visitFunc(&in, codec.Any[version1]), nil)
		if err != nil {
			t.Fatal(err)
		}
		var out version2
		if _, err := s.DecodeCall(body, visitFunc(&out, codec.Any[version2])); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(version2{B: "b"}, out); d != "" {
			t.Error(d)
		}
	})
}

// Fields that are named twice are resolved as encoding/json does it.
func TestEmbeddedNames(t *testing.T) {
	t.Parallel()
	type Inner struct {
		A string
		B string
		C string `json:"c"`
	}
	type Other struct {
		B string
		C string
	}
	type outer struct {
		Inner
		Other
		A string
	}
	in := outer{Inner{"1", "2", "3"}, Other{"4", "5"}, "6"}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	s, _ := codec.ByName("msgpack")
	data, err := s.EncodeMap(visitFunc(&in, codec.Any[outer]))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.DecodeTree(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"x": want}, tree); d != "" {
		t.Error(d)
	}
}

// A value that points to itself ends as an error, not as a stack overflow.
func TestCycles(t *testing.T) {
	t.Parallel()
	type node struct {
		Next *node
		Any  any
	}
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		var in node
		in.Next = &in
		if _, err := s.EncodeCall(visitFunc(&in, codec.Any[node]), nil); err == nil {
			t.Error("no error")
		}
		tree := map[string]any{}
		tree["a"], tree["b"] = tree, []any{tree, tree}
		if _, err := s.EncodeCall(visitFunc(&tree, codec.Any[map[string]any]), nil); err == nil {
			t.Error("no error")
		}
	})
}

// What can't travel is an error that names the type.
func TestUnsupportedTypes(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		in := struct{ C chan int }{make(chan int)}
		_, err := s.EncodeCall(func(f codec.Fields) { codec.Any(f.Field("x"), &in) }, nil)
		if s.Name() == "gob" {
			return // gob leaves such fields out, and says so if there is no other
		}
		if err == nil || !strings.Contains(err.Error(), `argument "x"`) || !strings.Contains(err.Error(), "chan int") {
			t.Error("got", err)
		}
	})
}

type panicky struct{ N int }

func (panicky) MarshalJSON() ([]byte, error) { panic("s3cret") }
func (*panicky) UnmarshalJSON([]byte) error  { panic("s3cret") }
func (panicky) GobEncode() ([]byte, error)   { panic("s3cret") }
func (*panicky) GobDecode([]byte) error      { panic("s3cret") }

func TestPanicsOfUsersAreErrors(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		in := panicky{1}
		_, err := s.EncodeCall(visitFunc(&in, codec.Any[panicky]), nil)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Error("got", err)
		}
		n := map[string]int{"N": 1}
		body, err := s.EncodeCall(visitFunc(&n, codec.Any[map[string]int]), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.DecodeCall(body, visitFunc(&in, codec.Any[panicky]))
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Error("got", err)
		}
	})
}

// shaped has a JSON form of its own, of any shape.
type shaped struct{ text string }

func (s shaped) MarshalJSON() ([]byte, error) { return []byte(s.text), nil }

func (s *shaped) UnmarshalJSON(b []byte) error {
	var buf bytes.Buffer
	err := json.Compact(&buf, b)
	s.text = buf.String()
	return err
}

func TestJSONForms(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		if s.Name() == "gob" {
			t.Skip("gob has its own forms")
		}
		for _, text := range []string{`null`, `true`, `-3`, `18446744073709551615`, `2.5`, `"text"`, `[]`, `{}`, `[1,[2.5,"a\n",null],{"k":[false]}]`} {
			each(t, s, func(v codec.Value, p *[]byte) {
				x := shaped{string(*p)}
				codec.Any(v, &x)
				*p = []byte(x.text)
			}, []byte(text))
		}
	})
}

// Arrays have their length; what is zero is left out where the tag says so.
func TestArraysAndZeros(t *testing.T) {
	t.Parallel()
	type zeros struct {
		At    time.Time      `json:"at,omitzero"`
		N     int            `json:"n,omitzero"`
		S     string         `json:"s,omitempty"`
		L     []int          `json:"l,omitempty"`
		M     map[string]int `json:"m,omitempty"`
		P     *int           `json:"p,omitempty"`
		Inner base           `json:"inner,omitempty"` //nolint:modernize // that it has no effect is the case
		Dash  int            `json:"-,"`              //nolint:staticcheck // meant: the name is "-"
	}
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		each(t, s, codec.Any[[3]int], [3]int{1, 2, 3})
		each(t, s, codec.Any[[3]byte], [3]byte{1, 2, 3})
		each(t, s, codec.Any[zeros], zeros{}, zeros{time.Unix(1, 0).UTC(), 1, "s", []int{1}, map[string]int{"a": 1}, new(5), base{ID: 1}, 2})
		if s.Name() == "gob" || s.Name() == "json" { // as lenient as gob and encoding/json are
			return
		}
		for _, text := range []string{`[1,2]`, `[1,2,3,4]`, `null`, `"x"`} {
			data, err := codec.JSONText(func(v codec.Value) { codec.Any(v, &shaped{text}) })
			if err != nil {
				t.Fatal(err)
			}
			in := shaped{string(data)}
			body, err := s.EncodeCall(visitFunc(&in, codec.Any[shaped]), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.DecodeCall(body, visitFunc(new([3]int), codec.Any[[3]int])); err == nil {
				t.Errorf("%s as [3]int: no error", text)
			}
			if _, err := s.DecodeCall(body, visitFunc(new([3]byte), codec.Any[[3]byte])); err == nil {
				t.Errorf("%s as [3]byte: no error", text)
			}
		}
	})
	s, _ := codec.ByName("msgpack")
	data, err := s.EncodeMap(visitFunc(new(zeros), codec.Any[zeros]))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.DecodeTree(data)
	want := map[string]any{"x": map[string]any{"inner": map[string]any{"id": int64(0)}, "-": int64(0)}}
	if d := diff(any(want), tree); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestInterfaces(t *testing.T) {
	t.Parallel()
	type loose struct {
		Any  any
		List []any
	}
	for _, name := range []string{"msgpack", "yaml"} {
		s, _ := codec.ByName(name)
		each(t, s, codec.Any[loose], loose{nil, []any{}}, loose{int64(1), []any{"a", 2.5, true, nil, map[string]any{"k": []any{uint64(1 << 63)}}, []byte{1}}})
		var odd struct{ E error }
		_, err := s.EncodeCall(func(f codec.Fields) { codec.Any(f.Field("x"), &odd) }, nil)
		checkArgumentError(t, "an error", err, "x", "error can't travel: nobody knows what is in it at the other end in E")
	}
}
