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
	const limit = 50 * time.Millisecond
	for name, test := range map[string]struct {
		f    func()
		want int
	}{
		"nothing": {func() {}, 0},
		"little":  {func() { sink = make([]byte, 1<<20) }, 0},
		"much memory": {func() {
			for range 70 {
				sink = make([]byte, 1<<20)
			}
		}, 1},
		"much time": {func() {
			for start := processorTime(); processorTime()-start < 2*limit; {
				continue
			}
		}, 1},
	} {
		c := &complaints{TB: t}
		check(c, limit, test.f)
		if c.n != test.want {
			t.Errorf("%s: %d complaints, want %d", name, c.n, test.want)
		}
	}
}
