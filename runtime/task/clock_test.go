package task_test

import (
	"math"
	"sync"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestClock(t *testing.T) {
	t.Parallel()
	var c task.Clock
	for _, step := range []struct {
		what string
		got  int64
		want int64
	}{
		{"the first tick", c.Tick(), 1},
		{"a clock that is behind", c.Adjust(0), 2},
		{"one that is ahead", c.Adjust(40), 41},
		{"the next tick", c.Tick(), 42},
		{"one that can't be", c.Adjust(math.MaxInt64), 43},
	} {
		if step.got != step.want {
			t.Errorf("%s: %d, want %d", step.what, step.got, step.want)
		}
	}
}

func TestClockIsShared(t *testing.T) {
	t.Parallel()
	var c task.Clock
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Tick()
				c.Adjust(3)
			}
		})
	}
	all.Wait()
	if c.Now() < 1600 {
		t.Errorf("1,600 steps by eight, and the clock is at %d", c.Now())
	}
}
