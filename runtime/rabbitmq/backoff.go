package rabbitmq

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff spaces the attempts to connect: 100 ms doubling to 2 s, each with
// jitter, so that a hundred workers don't return to a restarted broker in step.
type backoff struct {
	next time.Duration
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 2 * time.Second
	// healthy is how long a session must have lived for the next loss to
	// start over with the first delay.
	healthy = 5 * time.Second
	// refusedBackoff follows a refused login: nothing heals it but a human.
	refusedBackoff = 5 * time.Second
)

// delay returns how long to wait before the next attempt: between half and all of the step.
func (b *backoff) delay() time.Duration {
	d := max(b.next, firstBackoff)
	b.next = min(2*d, lastBackoff)
	return jitter(d)
}

func (b *backoff) reset() { b.next = 0 }

func jitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}

// sleep returns false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
