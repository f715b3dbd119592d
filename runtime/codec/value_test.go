package codec_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Two calls may share what their arguments point to, and are then written at
// the same time: the race detector sees a writer that stores anything.
func TestWritersDontWrite(t *testing.T) {
	t.Parallel()
	n := 1
	a := described{
		Username: "ada", Tags: []string{"a", "b"}, Grid: [][]int{{1}, nil}, ByID: map[int64][]color{1: {"red"}}, Limit: &n,
		Address: point{Street: "s"}, Users: []user{sampleUser()}, At: time.Now(), Data: []byte{1},
	}
	for range 2 { // a nil map within
		a.Pairs = append(a.Pairs, new(map[string]bool))
	}
	before := a
	var all sync.WaitGroup
	for range 4 {
		for _, name := range []string{"msgpack", "json", "yaml", "gob"} {
			s, _ := codec.ByName(name)
			all.Go(func() {
				if _, err := s.EncodeCall(a.Visit, nil); err != nil {
					t.Error(err)
				}
				_ = codec.Repr(a.Visit, []string{"tags"}, 1000)
				_, _ = codec.Lookup(a.Visit, "username")
			})
		}
	}
	all.Wait()
	if d := cmp.Diff(before, a, equate, cmp.AllowUnexported(user{}, base{})); d != "" {
		t.Error(d)
	}
	if *a.Pairs[0] != nil || a.Deep != nil || a.Grid[1] != nil {
		t.Error("something nil was made")
	}
}

// A writer that has failed doesn't change anything either.
func TestFailedWritersDontWrite(t *testing.T) {
	t.Parallel()
	builtin(t, func(t *testing.T, s codec.Serializer) {
		bad := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		n := 1
		text, list, m, p := "x", []string{"a"}, map[string]int{"b": 2}, &n
		_, err := s.EncodeCall(func(f codec.Fields) {
			codec.Time(f.Field("at"), &bad)
			codec.String(f.Field("text"), &text)
			codec.Slice(f.Field("list"), &list, codec.String[string])
			codec.Map(f.Field("m"), &m, codec.String[string], codec.Int[int])
			codec.Pointer(f.Field("p"), &p, codec.Int[int])
		}, nil)
		checkArgumentError(t, "year 10000", err, "at", "the year of the time is not within 1 to 9999")
		if text != "x" || len(list) != 1 || list[0] != "a" || m["b"] != 2 || p != &n {
			t.Error("changed:", text, list, m, p)
		}
	})
}

// Calls at the same time don't get into each other's way.
func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	everySerializer(t, func(t *testing.T, s codec.Serializer) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 50 {
					n := i*1000 + j
					body, err := s.EncodeCall(visitFunc(&n, codec.Int[int]), nil)
					if err != nil {
						t.Error(err)
					}
					got := 0
					if _, err := s.DecodeCall(body, visitFunc(&got, codec.Int[int])); err != nil || got != n {
						t.Errorf("got %d for %d, %v", got, n, err)
					}
				}
			})
		}
		all.Wait()
	})
}

// The figures of the benchmarks hold without allocations but for the result:
// body and method value here, two strings, arguments and method value there.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("pools forget under the race detector")
	}
	for _, name := range []string{"msgpack", "json"} {
		s, _ := codec.ByName(name)
		body, err := s.EncodeCall(benchTwo.Visit, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = s.EncodeCall(benchTwo.Visit, nil) }); n > 2 {
			t.Errorf("%s: %v allocations to encode", name, n)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = s.DecodeCall(body, new(twoStrings).Visit) }); n > 4 {
			t.Errorf("%s: %v allocations to decode", name, n)
		}
	}
}
