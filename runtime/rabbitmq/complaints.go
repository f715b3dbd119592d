package rabbitmq

import (
	"sync"
	"time"
)

// repeatComplaint is how soon the log may say the same again: ever more seldom, up to maxRepeatComplaint.
const (
	repeatComplaint    = 10 * time.Second
	maxRepeatComplaint = 10 * time.Minute
)

// complaints keeps what happens again and again from flooding the log.
type complaints struct {
	mu    sync.Mutex
	last  string
	pause time.Duration
	until time.Time
}

// fresh says whether err is something else than what was told a while ago.
func (c *complaints) fresh(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch same := err.Error() == c.last; {
	case !same:
		c.pause = repeatComplaint
	case time.Now().Before(c.until):
		return false
	default:
		c.pause = min(2*c.pause, maxRepeatComplaint)
	}
	c.last, c.until = err.Error(), time.Now().Add(c.pause)
	return true
}

// over begins anew after all went well.
func (c *complaints) over() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = ""
}
