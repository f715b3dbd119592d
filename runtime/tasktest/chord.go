package tasktest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

// chordTests prove what follows the last task of a group, where there is a store, and what is said where there is none.
var chordTests = map[string]func(*testing.T, *world){
	"the body gets the results in order":    testChord,
	"a chord in a chain":                    testChordInChain,
	"chains and chords in the header":       testChordOfChains,
	"a header of nothing":                   testEmptyChord,
	"a failing part fails the body":         testChordFails,
	"a part that is revoked fails the body": testChordRevoked,
	"a group in the header is refused":      testChordOfGroups,
	"no store":                              testNoChordStore,
	"the store counts":                      testChordStore,
	"the store counts once":                 testChordStoreRace,
}

// keepsChords skips a test on a broker that has nobody to count.
func (w *world) keepsChords() task.ChordStore {
	w.Helper()
	store, ok := w.open().(task.ChordStore)
	if ok != w.StoresResults {
		w.Fatalf("a broker that stores results counts chords: %t, %t", w.StoresResults, ok)
	}
	if !ok {
		w.Skip("this broker stores no results")
	}
	return store
}

func (s *sums) sigs(n int) (calls []task.Sig[int]) {
	for i := range n {
		calls = append(calls, s.add.Sig(pair{i, 1}))
	}
	return calls
}

func testChord(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	if n := get(w, ctx, task.Chord(s.sigs(10), s.sum())); n != 55 {
		t.Errorf("1 + … + 10 is %d", n)
	}
	if !s.noted("total[1 2 3 4 5 6 7 8 9 10]") {
		t.Errorf("the body got %v", s.notes)
	}
}

func testChordInChain(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	group := task.Chain(s.add.Sig(pair{1, 2}), task.GroupStep(s.plus(10), s.plus(20)))
	chain := task.Chain(task.Chain(task.Chain(group, s.sum()), task.GroupStep(s.plus(1), s.plus(2))), s.sum())
	if n := get(w, ctx, task.Chain(chain, s.plus(1000))); n != 1000+2*(13+23)+3 {
		t.Errorf("the chain gives %d", n)
	}
}

func testChordOfChains(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	header := []task.Sig[int]{
		task.Chain(s.add.Sig(pair{1, 2}), s.plus(3)),
		task.Chord(s.sigs(3), s.sum()),
		s.add.Sig(pair{50, 50}),
	}
	if n := get(w, ctx, task.Chord(header, s.sum())); n != 6+6+100 {
		t.Errorf("the chord gives %d", n)
	}
	if !s.noted("total[6 6 100]") {
		t.Errorf("the body got %v", s.notes)
	}
}

func testEmptyChord(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	if n := get(w, ctx, task.Chord(nil, s.sum())); n != 0 {
		t.Errorf("the sum of nothing is %d", n)
	}
}

func testChordFails(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	for name, part := range map[string]task.Sig[int]{
		"a task":  s.fail.Sig(pair{}),
		"a chain": task.Chain(s.fail.With(task.ID("first-"+w.queue)).Sig(pair{}), s.plus(1)),
		"a chord": task.Chord([]task.Sig[int]{s.fail.Sig(pair{})}, s.sum()),
	} {
		header := append(s.sigs(3), part)
		call, err := task.Chord(header, s.sum().With(task.LinkError(s.tell("chord")))).Delay(ctx)
		w.check(err)
		var failure *task.TaskError
		if _, err := call.Get(ctx); !errors.As(err, &failure) || failure.Type != "ChordError" || !strings.Contains(failure.Message, "Dependency ") {
			t.Errorf("%s fails in the header: %v", name, err)
		} else if name == "a chain" && !strings.Contains(failure.Message, "Dependency first-"+w.queue+" raised") {
			t.Errorf("the first step of a chain fails in the header, and is not named: %v", err)
		}
		w.eventually("the errback of the body runs", func() bool { return s.noted(call.ID + " chord") })
	}
}

func testChordRevoked(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	late := s.add.With(task.ExpiresAt(time.Now().Add(-time.Minute))).Sig(pair{1, 2})
	call, err := task.Chord(append(s.sigs(2), late), s.sum()).Delay(ctx)
	w.check(err)
	var failure *task.TaskError
	if _, err := call.Get(ctx); !errors.As(err, &failure) || !strings.Contains(failure.Message, "TaskRevokedError('expired')") {
		t.Errorf("a part expires: %v", err)
	}
}

func testChordOfGroups(t *testing.T, w *world) {
	w.keepsChords()
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	groups := []task.Sig[[]int]{task.Group(s.sigs(2)...), task.Group(s.sigs(2)...)}
	lists := task.NewStep(s.total.Task, &task.FuncArgs[[]int]{}, [][]int(nil))
	if _, err := task.Chord(groups, lists).Delay(ctx); err == nil || !strings.Contains(err.Error(), "one list") {
		t.Errorf("groups in a header: %v", err)
	}
}

func testNoChordStore(t *testing.T, w *world) {
	if w.StoresResults {
		t.Skip("this broker counts chords")
	}
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	_, err := task.Chord(s.sigs(2), s.sum()).Delay(ctx)
	if err == nil || !strings.Contains(err.Error(), "-results redis://") {
		t.Errorf("a chord without a store: %v", err)
	}
	// A step that starts one fails, and says why.
	chain := task.Chain(task.Chain(s.add.Sig(pair{1, 2}), task.GroupStep(s.plus(1), s.plus(2))), s.sum())
	call, err := chain.Delay(ctx)
	w.check(err)
	if _, err := call.Get(ctx); err == nil || !strings.Contains(err.Error(), "-results redis://") {
		t.Errorf("a chord in a chain without a store: %v", err)
	}
}

func part(i int, state task.State) task.ChordPart {
	return task.ChordPart{ID: fmt.Sprint("part-", i), Index: i, State: state, ContentType: "application/json", Body: fmt.Append(nil, i)}
}

func testChordStore(t *testing.T, w *world) {
	store := w.keepsChords()
	group := w.queue
	end := func(i int, state task.State, want ...task.ChordPart) {
		t.Helper()
		got, err := store.EndChordPart(w.ctx, group, part(i, state))
		w.check(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("part %d: %s", i, diff)
		}
	}
	end(2, task.Success) // before the start
	w.check(store.StartChord(w.ctx, group, 3))
	end(1, task.Failure)
	end(1, task.Success) // again: changes nothing
	whole := []task.ChordPart{part(0, task.Success), part(1, task.Failure), part(2, task.Success)}
	end(0, task.Success, whole...)
	end(2, task.Success, whole...)
	w.check(store.ForgetChord(w.ctx, group))
	w.check(store.ForgetChord(w.ctx, group))
	end(0, task.Success)
}

func testChordStoreRace(t *testing.T, w *world) {
	w.keepsChords()
	const size = 50
	var mu sync.Mutex
	complete := 0
	var parts sync.WaitGroup
	for i := range size {
		store := w.keepsChords()
		if i == 0 {
			w.check(store.StartChord(w.ctx, w.queue, size))
		}
		parts.Go(func() {
			all, err := store.EndChordPart(w.ctx, w.queue, part(i, task.Success))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if all != nil {
				complete++
			}
		})
	}
	parts.Wait()
	if complete != 1 {
		t.Errorf("%d parts were the last", complete)
	}
}
