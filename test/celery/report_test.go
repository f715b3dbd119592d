package celery

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// report counts what has passed and failed in each area.
type report struct {
	mu    sync.Mutex
	order []string
	areas map[string]*count
}

type count struct{ passed, failed int }

var results = report{areas: map[string]*count{}}

func (r *report) add(area string, passed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.areas[area]
	if c == nil {
		c = &count{}
		r.areas[area] = c
		r.order = append(r.order, area)
	}
	if passed {
		c.passed++
	} else {
		c.failed++
	}
}

// table is the report as Markdown.
func (r *report) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 {
		return ""
	}
	var out strings.Builder
	var sum count
	line := func(area string, c count) { fmt.Fprintf(&out, "| %s | %d | %d |\n", area, c.passed, c.failed) }
	out.WriteString("| area | passed | failed |\n| --- | --- | --- |\n")
	for _, area := range r.order {
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
	results.add(area, t.Run(area+"/"+name, run))
}
