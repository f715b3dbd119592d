package builtin

import (
	"slices"
	"strings"
)

// maxNear is how many names are suggested at most.
const maxNear = 3

// near picks those of the names that somebody who wrote name may have meant, the likeliest first: they end alike, or
// differ by a few letters.
func near(name string, names []string) []string {
	// A name as long as a message may be is no slip of the pen, and would take long to compare.
	if len(name) > 255 {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for _, n := range names {
		d := distance(name, n)
		if last(name) == last(n) {
			d = 0
		}
		if d <= len(name)/4+1 {
			found = append(found, candidate{n, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range found[:min(len(found), maxNear)] {
		out = append(out, c.name)
	}
	return out
}

// last is the part of a task's name behind the last dot: that of the function.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance is how many bytes must be inserted, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
