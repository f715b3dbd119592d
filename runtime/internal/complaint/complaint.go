// Package complaint keeps what happens again and again from flooding a log.
package complaint

import (
	"regexp"
	"sync"
	"time"
)

// repeat is how soon the log may say the same again: ever more seldom, up to maxRepeat.
const (
	repeat    = 10 * time.Second
	maxRepeat = 10 * time.Minute
)

// most bounds how many different ones are remembered.
const most = 32

// Book has the complaints since all was well. The zero value is an empty one.
type Book struct {
	mu   sync.Mutex
	told map[string]entry
}

type entry struct {
	pause time.Duration
	until time.Time
}

// passing is what differs from try to try: the port that a connection was made from.
var passing = regexp.MustCompile(`\S+->`)

// Fresh says whether err is something else than what was told a while ago. What several hosts say in turn is no news either.
func (b *Book) Fresh(err error) bool {
	text, now := passing.ReplaceAllString(err.Error(), ""), time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	e, known := b.told[text]
	switch {
	case !known:
		e.pause = repeat
	case now.Before(e.until):
		return false
	default:
		e.pause = min(2*e.pause, maxRepeat)
	}
	if b.told == nil || len(b.told) >= most && !known {
		b.told = map[string]entry{}
	}
	e.until = now.Add(e.pause)
	b.told[text] = e
	return true
}

// Over begins anew after all went well, and says whether there was a complaint.
func (b *Book) Over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	complained := len(b.told) > 0
	b.told = nil
	return complained
}
