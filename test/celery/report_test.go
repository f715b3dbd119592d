package celery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// report counts what has passed and failed in each area.
type report struct {
	mu    sync.Mutex
	areas map[string]*count
}

type count struct{ passed, failed int }

var results = report{areas: map[string]*count{}}

func (r *report) count(area string, passed, failed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.areas[area]
	if c == nil {
		c = &count{}
		r.areas[area] = c
	}
	c.passed += passed
	c.failed += failed
}

// table is the report as Markdown.
func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.areas) == 0 {
		return ""
	}
	var out strings.Builder
	var sum count
	line := func(area string, c count) { fmt.Fprintf(&out, "| %s | %d | %d |\n", area, c.passed, c.failed) }
	out.WriteString("| area | passed | failed |\n| --- | --- | --- |\n")
	for _, area := range slices.Sorted(maps.Keys(r.areas)) {
		c := *r.areas[area]
		line(area, c)
		sum.passed += c.passed
		sum.failed += c.failed
	}
	line("all", sum)
	return out.String()
}

// check runs one case of an area as a subtest, and counts it.
func check(t *testing.T, area, name string, run func(t *testing.T)) {
	t.Helper()
	if t.Run(area+"/"+name, run) {
		results.count(area, 1, 0)
	} else {
		results.count(area, 0, 1)
	}
}
