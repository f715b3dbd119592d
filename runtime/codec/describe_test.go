package codec_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/taskgen/taskgen/runtime/codec"
)

// described has arguments of every kind, all zero.
type described struct {
	Username string
	Small    int8
	N        int
	M        int64
	U        uint
	B        byte
	X        float64
	Y        float32
	Ok       bool
	Tags     []string
	Grid     [][]int
	ByID     map[int64][]color
	Deep     map[string]map[string]*int
	Limit    *int
	Pairs    []*map[string]bool
	Address  point
	Users    []user
	At       time.Time
	Wait     time.Duration
	Raw      json.RawMessage
	Data     []byte
}

func (a *described) Visit(f codec.Fields) {
	ints := func(v codec.Value, p *[]int) { codec.Slice(v, p, codec.Int[int]) }
	colors := func(v codec.Value, p *[]color) { codec.Slice(v, p, codec.String[color]) }
	pointer := func(v codec.Value, p **int) { codec.Pointer(v, p, codec.Int[int]) }
	byName := func(v codec.Value, p *map[string]*int) { codec.Map(v, p, codec.String[string], pointer) }
	bools := func(v codec.Value, p *map[string]bool) { codec.Map(v, p, codec.String[string], codec.Bool[bool]) }
	codec.String(f.Field("username"), &a.Username)
	codec.Int(f.Field("small"), &a.Small)
	codec.Int(f.Field("n"), &a.N)
	codec.Int(f.Field("m"), &a.M)
	codec.Uint(f.Field("u"), &a.U)
	codec.Uint(f.Field("b"), &a.B)
	codec.Float(f.Field("x"), &a.X)
	codec.Float(f.Field("y"), &a.Y)
	codec.Bool(f.Field("ok"), &a.Ok)
	codec.Slice(f.Field("tags"), &a.Tags, codec.String[string])
	codec.Slice(f.Field("grid"), &a.Grid, ints)
	codec.Map(f.Field("byID"), &a.ByID, codec.Int[int64], colors)
	codec.Map(f.Field("deep"), &a.Deep, codec.String[string], byName)
	codec.Pointer(f.Field("limit"), &a.Limit, codec.Int[int])
	codec.Slice(f.Field("pairs"), &a.Pairs, func(v codec.Value, p **map[string]bool) { codec.Pointer(v, p, bools) })
	codec.Any(f.Field("address"), &a.Address)
	codec.Slice(f.Field("users"), &a.Users, codec.Any[user])
	codec.Time(f.Field("at"), &a.At)
	codec.Duration(f.Field("wait"), &a.Wait)
	codec.JSON(f.Field("raw"), &a.Raw)
	codec.Bytes(f.Field("data"), &a.Data)
}

func TestSignature(t *testing.T) {
	t.Parallel()
	const want = "username string, small int8, n int, m int, u uint, b uint8, x float64, y float32, ok bool, tags []string, " +
		"grid [][]int, byID map[int][]string, deep map[string]map[string]*int, limit *int, pairs []*map[string]bool, " +
		"address codec_test.point, users []codec_test.user, at time.Time, wait time.Duration, raw json.RawMessage, data []byte"
	if got := codec.Signature(new(described).Visit); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := codec.Signature(func(codec.Fields) {}); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestRepr(t *testing.T) {
	t.Parallel()
	var (
		name, both, quote = "ada", `'"`, "it's"
		odd               = "ü€😀\n\t\x00\x7f\u2028\\"
		n, u              = -1, uint64(math.MaxUint64)
		whole, large, nan = 1.0, 1e100, math.NaN()
		yes, no           = true, false
		none              *int
		list              = []string{"a", "b"}
		empty             []string
		m                 = map[int]string{3: "c"}
		data              = []byte("a\x00\xff'")
		at                = time.Date(2026, 8, 20, 1, 2, 3, 0, time.UTC)
		wait              = 90 * time.Second
		raw               = json.RawMessage(`{"a": [1, null, true]}`)
		address           = point{Street: "s"}
	)
	visit := func(f codec.Fields) {
		codec.String(f.Field("name"), &name)
		codec.String(f.Field("both"), &both)
		codec.String(f.Field("quote"), &quote)
		codec.String(f.Field("odd"), &odd)
		codec.Int(f.Field("n"), &n)
		codec.Uint(f.Field("u"), &u)
		codec.Float(f.Field("whole"), &whole)
		codec.Float(f.Field("large"), &large)
		codec.Float(f.Field("nan"), &nan)
		codec.Bool(f.Field("yes"), &yes)
		codec.Bool(f.Field("no"), &no)
		codec.Pointer(f.Field("none"), &none, codec.Int[int])
		codec.Slice(f.Field("list"), &list, codec.String[string])
		codec.Slice(f.Field("empty"), &empty, codec.String[string])
		codec.Map(f.Field("m"), &m, codec.Int[int], codec.String[string])
		codec.Bytes(f.Field("data"), &data)
		codec.Time(f.Field("at"), &at)
		codec.Duration(f.Field("wait"), &wait)
		codec.JSON(f.Field("raw"), &raw)
		codec.Any(f.Field("address"), &address)
	}
	const want = `{'name': 'ada', 'both': '\'"', 'quote': "it's", 'odd': 'ü€😀\n\t\x00\x7f\u2028\\', 'n': -1, 'u': 18446744073709551615, ` +
		`'whole': 1.0, 'large': 1e+100, 'nan': nan, 'yes': True, 'no': False, 'none': None, 'list': ['a', 'b'], 'empty': [], ` +
		`'m': {3: 'c'}, 'data': b'a\x00\xff\'', 'at': '2026-08-20T01:02:03+00:00', 'wait': 90.0, 'raw': {'a': [1, None, True]}, ` +
		`'address': {'street': 's', 'city': '', 'zip': 0, 'lat': 0.0, 'home': False}}`
	if got := codec.Repr(visit, nil, 0); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	secret := []string{"name", "list", "address", "n", "raw", "none"}
	got := codec.Repr(visit, secret, 0)
	for _, name := range secret {
		if !strings.Contains(got, "'"+name+"': '***'") {
			t.Errorf("%s shows: %s", name, got)
		}
	}
	text := []rune(want)
	for limit := range len(text) + 10 {
		if limit == 0 {
			continue
		}
		got := codec.Repr(visit, nil, limit)
		if limit >= len(text) {
			if got != want {
				t.Errorf("%d: got %s", limit, got)
			}
			continue
		}
		if n := utf8.RuneCountInString(got); n != limit || limit >= 3 && got != string(text[:limit-3])+"..." {
			t.Errorf("%d: got %d: %s", limit, n, got)
		}
	}
	if got := codec.Repr(func(codec.Fields) {}, nil, 10); got != "{}" {
		t.Errorf("got %s", got)
	}
}

// A huge argument isn't shown as a whole first.
func TestReprStopsEarly(t *testing.T) {
	a := described{Username: strings.Repeat("x", 1<<20), Data: make([]byte, 1<<20), Tags: make([]string, 1<<16)}
	for range 1000 {
		a.Users = append(a.Users, sampleUser())
	}
	var got string
	allocated := testing.AllocsPerRun(1, func() { got = codec.Repr(a.Visit, nil, 100) })
	if len(got) != 100 || allocated > 200 {
		t.Errorf("%v allocations for %s", allocated, got)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	a := described{Username: "ada", N: -3, U: 4, Ok: true, Tags: []string{"x"}, Deep: map[string]map[string]*int{"a": {}}, B: 9}
	n := 5
	for name, want := range map[string]string{"username": "ada", "n": "-3", "u": "4", "ok": "true", "b": "9"} {
		if got, ok := codec.Lookup(a.Visit, name); !ok || got != want {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "nothing", "tags", "deep", "limit", "address", "x", "at", "data"} {
		if got, ok := codec.Lookup(a.Visit, name); ok {
			t.Errorf("%s: got %q", name, got)
		}
	}
	a.Limit = &n
	if got, ok := codec.Lookup(a.Visit, "limit"); !ok || got != "5" {
		t.Errorf("limit: got %q, %v", got, ok)
	}
}
