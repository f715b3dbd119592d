package task

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// LocalChords is a [ChordStore] in the memory of this process.
type LocalChords struct {
	mu     sync.Mutex
	groups map[string]*chordCount
}

// chordCount is what is known of one chord.
type chordCount struct {
	size    int // 0: not started
	parts   map[string]ChordPart
	touched time.Time
}

// chordTTL is how long a chord is remembered in which nothing happens.
const chordTTL = 24 * time.Hour

// count finds what is known of a group, or begins it. Locked.
func (c *LocalChords) count(group string) *chordCount {
	now := time.Now()
	if c.groups == nil {
		c.groups = map[string]*chordCount{}
	}
	known := c.groups[group]
	if known == nil {
		maps.DeleteFunc(c.groups, func(_ string, old *chordCount) bool { return now.Sub(old.touched) > chordTTL })
		known = &chordCount{parts: map[string]ChordPart{}}
		c.groups[group] = known
	}
	known.touched = now
	return known
}

// StartChord implements [ChordStore].
func (c *LocalChords) StartChord(_ context.Context, group string, size int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(group).size = size
	return nil
}

// EndChordPart implements [ChordStore].
func (c *LocalChords) EndChordPart(_ context.Context, group string, part ChordPart) ([]ChordPart, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.count(group)
	if _, again := known.parts[part.ID]; !again {
		known.parts[part.ID] = part
	}
	if known.size == 0 || len(known.parts) < known.size {
		return nil, nil
	}
	return slices.SortedFunc(maps.Values(known.parts), func(a, b ChordPart) int {
		return cmp.Or(cmp.Compare(uint(a.Index), uint(b.Index)), cmp.Compare(a.ID, b.ID))
	}), nil
}

// ForgetChord implements [ChordStore].
func (c *LocalChords) ForgetChord(_ context.Context, group string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.groups, group)
	return nil
}
