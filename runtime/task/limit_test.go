package task

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// limitWorld records what limits do with the requests of one queue.
type limitWorld struct {
	*limits
	mu        sync.Mutex
	begin     time.Time
	started   []time.Duration
	postponed []time.Duration
}

func newLimitWorld(prefetch int) *limitWorld {
	w := &limitWorld{begin: time.Now()}
	w.limits = newLimits(0, func(string) int { return prefetch },
		func(*request) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.started = append(w.started, time.Since(w.begin))
		},
		func(_ *request, until time.Time) { w.postponed = append(w.postponed, until.Sub(w.begin)) })
	return w
}

// startedAt are the times at which requests were started, since the beginning.
func (w *limitWorld) startedAt() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.started)
}

func (w *limitWorld) admit(name string, per Rate, n int) {
	entry := &Entry{spec: &Spec{Name: name, RateLimit: per}}
	for range n {
		w.limits.admit(&request{name: name, entry: entry, message: &Message{Queue: "q"}})
	}
}

func TestLimitsSpaceStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimitWorld(100)
		w.admit("slow", 10*PerSecond, 5)
		w.admit("free", 0, 2)
		time.Sleep(time.Second)
		want := []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond}
		if len(w.startedAt()) != len(want) {
			t.Fatalf("started at %v, want %v", w.startedAt(), want)
		}
		for i := range want {
			if diff := w.startedAt()[i] - want[i]; diff < 0 || diff > time.Millisecond {
				t.Fatalf("started at %v, want %v", w.startedAt(), want)
			}
		}
	})
}

func TestLimitsLeaveRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimitWorld(4)
		w.admit("slow", PerSecond, 6) // one starts, two wait, three go back to the broker
		if len(w.startedAt()) != 1 || len(w.postponed) != 3 {
			t.Fatalf("%d started, %d postponed", len(w.startedAt()), len(w.postponed))
		}
		for i, until := range w.postponed {
			if want := time.Duration(3+i) * time.Second; until != want {
				t.Errorf("postponed request %d comes again after %s, want %s", i, until, want)
			}
		}
		time.Sleep(2500 * time.Millisecond)
		if len(w.startedAt()) != 3 {
			t.Errorf("%d started after 2.5 s, want 3", len(w.startedAt()))
		}
	})
}

func TestLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLimitWorld(100)
		w.set("task", PerHour)
		w.admit("task", 0, 1)
		w.set("task", 0)
		w.admit("task", 0, 3)
		time.Sleep(time.Second)
		if len(w.startedAt()) != 4 {
			t.Errorf("%d started after the limit was lifted, want 4", len(w.startedAt()))
		}
		w.set("task", 2*PerSecond)
		w.admit("task", 0, 3)
		time.Sleep(600 * time.Millisecond)
		if n := len(w.startedAt()); n < 5 || n > 6 {
			t.Errorf("%d started 0.6 s after a limit of 2/s was set, want 5 or 6", n)
		}
		time.Sleep(time.Second)
	})
}
