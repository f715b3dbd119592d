package rabbitmq

import (
	"sync"
	"time"
)

// repeatComplaint is how soon the log may say the same again.
const repeatComplaint = 10 * time.Second

// complaints keeps what happens again and again from flooding the log.
type complaints struct {
	mu    sync.Mutex
	last  string
	until time.Time
}

// fresh says whether err is something else than what was told a moment ago.
func (c *complaints) fresh(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err.Error() == c.last && time.Now().Before(c.until) {
		return false
	}
	c.last, c.until = err.Error(), time.Now().Add(repeatComplaint)
	return true
}
