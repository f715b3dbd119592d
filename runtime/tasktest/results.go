package tasktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

// Results is what keeps results under test: a [task.ResultStore], or a [task.Transport] that stores results.
type Results interface {
	StoreResult(ctx context.Context, r *task.Result) error
	Result(ctx context.Context, id string) (*task.Result, error)
	AwaitResult(ctx context.Context, id string) (*task.Result, error)
	task.ClaimStore
}

// RunResults runs the tests of what every store of results promises. open connects to the same store each time, as another process
// would.
func RunResults(t *testing.T, open func(t testing.TB) Results) {
	for name, test := range map[string]func(*testing.T, context.Context, func(testing.TB) Results){
		"a result is known to everybody":         testStoredResult,
		"success stays":                          testSuccessStays,
		"a final state gives way to none before": testFinalStays,
		"who waits is told":                      testAwaitMany,
		"a result expires":                       testStoreExpires,
		"one owner at a time has a claim":        testClaim,
		"a claim ends by itself":                 testClaimEnds,
		"of many one gets the claim":             testClaimRace,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test(t, ctx, open)
		})
	}
}

func storedResult(id string, state task.State, value string) *task.Result {
	return result(&task.Message{ID: id}, state, value)
}

// put stores a result, and fails the test if that fails.
func put(t *testing.T, ctx context.Context, s Results, r *task.Result) {
	t.Helper()
	if err := s.StoreResult(ctx, r); err != nil {
		t.Fatal(err)
	}
}

// state is that of a task.
func state(t *testing.T, ctx context.Context, s Results, id string) task.State {
	t.Helper()
	r, err := s.Result(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if r == nil {
		return task.Pending
	}
	return r.State
}

func testStoredResult(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	id := uuid.NewString()
	s := open(t)
	if got := state(t, ctx, s, id); got != task.Pending {
		t.Errorf("before there is one, the state is %s", got)
	}
	put(t, ctx, s, storedResult(id, task.Success, `{"n": 12345678901234567890, "s": "grüße"}`))
	r, err := open(t).Result(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != id || r.State != task.Success {
		t.Errorf("the result is of %s, %s", r.ID, r.State)
	}
	want := map[string]any{"n": uint64(12345678901234567890), "s": "grüße"}
	if diff := cmp.Diff(want, valueOf(t, r)); diff != "" {
		t.Errorf("the value (-want +got):\n%s", diff)
	}
}

func testSuccessStays(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	id := uuid.NewString()
	s := open(t)
	put(t, ctx, s, storedResult(id, task.Success, "1"))
	for _, later := range []task.State{task.Started, task.Retried} {
		put(t, ctx, s, storedResult(id, later, "null"))
		if got := state(t, ctx, s, id); got != task.Success {
			t.Errorf("success gave way to %s", got)
		}
	}
}

func testFinalStays(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	for _, final := range []task.State{task.Failure, task.Revoked} {
		id := uuid.NewString()
		s := open(t)
		put(t, ctx, s, storedResult(id, task.Retried, "null"))
		put(t, ctx, s, storedResult(id, final, "null"))
		put(t, ctx, s, storedResult(id, task.Started, "null"))
		if got := state(t, ctx, s, id); got != final {
			t.Errorf("%s gave way to %s", final, got)
		}
	}
}

func testAwaitMany(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	waits, stores := open(t), open(t)
	var waiting sync.WaitGroup
	ids := make([]string, 50)
	for i := range ids {
		ids[i] = uuid.NewString()
		for range 2 {
			waiting.Go(func() {
				r, err := waits.AwaitResult(ctx, ids[i])
				if err != nil {
					t.Error(err)
				} else if got, want := valueOf(t, r), any(int64(i)); got != want {
					t.Errorf("got %v for %v", got, want)
				}
			})
		}
	}
	for i, id := range ids {
		put(t, ctx, stores, storedResult(id, task.Started, "null"))
		put(t, ctx, stores, storedResult(id, task.Success, fmt.Sprint(i)))
	}
	waiting.Wait()
	// What is there needs no waiting.
	if _, err := waits.AwaitResult(ctx, ids[0]); err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := waits.AwaitResult(ended, uuid.NewString()); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func testStoreExpires(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	s, id := open(t), uuid.NewString()
	r := storedResult(id, task.Success, "1")
	r.TTL = 50 * time.Millisecond
	put(t, ctx, s, r)
	for state(t, ctx, s, id) != task.Pending {
		select {
		case <-ctx.Done():
			t.Fatal("it never does")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// claim claims, and fails the test unless that ends as it should.
func claim(t *testing.T, ctx context.Context, s Results, id, owner string, ttl time.Duration, want bool) {
	t.Helper()
	if mine, err := s.Claim(ctx, id, owner, ttl); err != nil || mine != want {
		t.Errorf("%s claims: %v, %v; want %v", owner, mine, err, want)
	}
}

func testClaim(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	one, other, id := open(t), open(t), uuid.NewString()
	claim(t, ctx, one, id, "one", time.Minute, true)
	claim(t, ctx, other, id, "other", time.Minute, false)
	claim(t, ctx, one, id, "one", time.Minute, true)
	claim(t, ctx, other, uuid.NewString(), "other", time.Minute, true)
	if got := state(t, ctx, other, id); got != task.Pending {
		t.Errorf("a claim makes the state %s", got)
	}
	if err := other.Unclaim(ctx, id, "other"); err != nil {
		t.Error(err)
	}
	claim(t, ctx, other, id, "other", time.Minute, false)
	if err := one.Unclaim(ctx, id, "one"); err != nil {
		t.Error(err)
	}
	claim(t, ctx, other, id, "other", time.Minute, true)
	claim(t, ctx, one, id, "one", time.Minute, false)
}

func testClaimEnds(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	s, id := open(t), uuid.NewString()
	claim(t, ctx, s, id, "dead", 50*time.Millisecond, true)
	for {
		mine, err := s.Claim(ctx, id, "heir", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if mine {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	claim(t, ctx, s, id, "dead", time.Minute, false)
}

func testClaimRace(t *testing.T, ctx context.Context, open func(testing.TB) Results) {
	s, id := open(t), uuid.NewString()
	var claiming sync.WaitGroup
	var got atomic.Int64
	for i := range 20 {
		claiming.Go(func() {
			if mine, err := s.Claim(ctx, id, fmt.Sprint(i), time.Minute); err != nil {
				t.Error(err)
			} else if mine {
				got.Add(1)
			}
		})
	}
	claiming.Wait()
	if got.Load() != 1 {
		t.Errorf("%d have the claim", got.Load())
	}
}

// RunChords runs the tests of what every [task.ChordStore] promises.
func RunChords(t *testing.T, open func(t testing.TB) task.ChordStore) {
	for name, test := range map[string]func(*testing.T, context.Context, func(testing.TB) task.ChordStore){
		"the last part gets all":      testChordEnds,
		"a part that ends twice":      testChordTwice,
		"one of many parts is last":   testChordRace,
		"a chord nobody has begun":    testChordUnknown,
		"parts are values, not bytes": testChordValues,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			test(t, ctx, open)
		})
	}
}

func chordPart(index int, value string) task.ChordPart {
	return task.ChordPart{ID: fmt.Sprint("part-", index), Index: index, State: task.Success, ContentType: "application/json", Body: []byte(value)}
}

// endPart ends a part, which must bring as many parts as wanted.
func endPart(t *testing.T, ctx context.Context, s task.ChordStore, group string, part task.ChordPart, want int) []task.ChordPart {
	t.Helper()
	parts, err := s.EndChordPart(ctx, group, part)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != want {
		t.Errorf("the end of %s brings %d parts, want %d", part.ID, len(parts), want)
	}
	return parts
}

func start(t *testing.T, ctx context.Context, s task.ChordStore, size int) (group string) {
	t.Helper()
	group = uuid.NewString()
	if err := s.StartChord(ctx, group, size); err != nil {
		t.Fatal(err)
	}
	return group
}

func testChordEnds(t *testing.T, ctx context.Context, open func(testing.TB) task.ChordStore) {
	one, other := open(t), open(t)
	group := start(t, ctx, one, 3)
	endPart(t, ctx, other, group, chordPart(2, "2"), 0)
	failed := chordPart(0, `{"exc_type": "ValueError", "exc_module": "builtins", "exc_message": ["x"]}`)
	failed.State = task.Failure
	endPart(t, ctx, one, group, failed, 0)
	parts := endPart(t, ctx, other, group, chordPart(1, "1"), 3)
	for i, part := range parts {
		if want := fmt.Sprint("part-", i); part.ID != want || part.Index != i {
			t.Errorf("part %d is %s with index %d", i, part.ID, part.Index)
		}
	}
	if len(parts) == 3 && (parts[0].State != task.Failure || parts[1].State != task.Success) {
		t.Errorf("the states are %s, %s", parts[0].State, parts[1].State)
	}
	if err := one.ForgetChord(ctx, group); err != nil {
		t.Error(err)
	}
	endPart(t, ctx, other, group, chordPart(1, "1"), 0)
}

func testChordTwice(t *testing.T, ctx context.Context, open func(testing.TB) task.ChordStore) {
	s := open(t)
	group := start(t, ctx, s, 2)
	endPart(t, ctx, s, group, chordPart(0, `"first"`), 0)
	endPart(t, ctx, s, group, chordPart(0, `"again"`), 0)
	endPart(t, ctx, s, group, chordPart(1, "1"), 2)
	// Its worker may have died before the body was sent.
	parts := endPart(t, ctx, s, group, chordPart(1, "1"), 2)
	if len(parts) == 2 && string(parts[0].Body) != `"first"` {
		t.Errorf("the value of a part that ended twice is %s", parts[0].Body)
	}
}

func testChordRace(t *testing.T, ctx context.Context, open func(testing.TB) task.ChordStore) {
	const size = 250
	s := open(t)
	group := start(t, ctx, s, size)
	var ending sync.WaitGroup
	var last atomic.Int64
	for i := range size {
		ending.Go(func() {
			parts, err := s.EndChordPart(ctx, group, chordPart(i, fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
			}
			if parts == nil {
				return
			}
			last.Add(1)
			for i, part := range parts {
				if part.Index != i || string(part.Body) != fmt.Sprint(i) {
					t.Errorf("part %d is %+v", i, part)
				}
			}
			if len(parts) != size {
				t.Errorf("the last part gets %d of %d", len(parts), size)
			}
		})
	}
	ending.Wait()
	if last.Load() != 1 {
		t.Errorf("%d parts were last", last.Load())
	}
}

func testChordUnknown(t *testing.T, ctx context.Context, open func(testing.TB) task.ChordStore) {
	endPart(t, ctx, open(t), uuid.NewString(), chordPart(0, "0"), 0)
}

func testChordValues(t *testing.T, ctx context.Context, open func(testing.TB) task.ChordStore) {
	s := open(t)
	values := []string{"12345678901234567890", `"a\", [b"`, `{"list": [1, {"x": null}], "e": "}"}`, "[]", "null"}
	group := start(t, ctx, s, len(values))
	for i, value := range values {
		if parts, err := s.EndChordPart(ctx, group, chordPart(i, value)); err != nil {
			t.Fatal(err)
		} else if i == len(values)-1 {
			for i, part := range parts {
				if string(part.Body) != values[i] || part.ContentType != "application/json" {
					t.Errorf("value %s came back as %s (%s)", values[i], part.Body, part.ContentType)
				}
			}
		}
	}
}
