package frugal

import (
	"testing"
	"time"
)

// complaints counts what a test would have failed with.
type complaints struct {
	testing.TB
	n int
}

func (c *complaints) Helper()               {}
func (c *complaints) Errorf(string, ...any) { c.n++ }

var sink []byte

func TestCheck(t *testing.T) {
	const short, ample = 50 * time.Millisecond, time.Minute
	for name, test := range map[string]struct {
		limit time.Duration
		f     func()
		want  int
	}{
		"nothing": {ample, func() {}, 0},
		"little":  {ample, func() { sink = make([]byte, 1<<20) }, 0},
		"much memory": {ample, func() {
			for range 70 {
				sink = make([]byte, 1<<20)
			}
		}, 1},
		"much time": {short, func() {
			for start := processorTime(); processorTime()-start < 2*short; {
				continue
			}
		}, 1},
	} {
		c := &complaints{TB: t}
		check(c, test.limit, test.f)
		if c.n != test.want {
			t.Errorf("%s: %d complaints, want %d", name, c.n, test.want)
		}
	}
}
