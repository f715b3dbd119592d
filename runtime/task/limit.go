package task

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits holds back tasks that would start more often than their rate limit allows. A task that waits keeps
// its message; so that it never keeps other tasks of its queue waiting too, at
// most half of a queue's prefetch may wait here, and the broker holds the rest.
type limits struct {
	fallback Rate
	prefetch func(queue string) int
	start    func(*request)
	postpone func(*request, time.Time)

	mu      sync.Mutex
	tasks   map[string]*limit
	waiting map[string]int // queue → requests waiting here
}

// limit is that of one task.
type limit struct {
	limiter *rate.Limiter
	line    []*request
	// timer and turn are those of the head of the line.
	timer *time.Timer
	turn  *rate.Reservation
	// horizon is about when the last of the postponed requests will have its turn.
	horizon time.Time
}

const (
	// A postponed request is away for at least a second, the grain of RabbitMQ's delays, and not
	// much longer than it takes to notice a changed limit.
	minPostponed = time.Second
	maxPostponed = 10 * time.Minute
)

func newLimits(fallback Rate, prefetch func(queue string) int, start func(*request), postpone func(*request, time.Time)) *limits {
	return &limits{
		fallback: fallback, prefetch: prefetch, start: start, postpone: postpone,
		tasks: map[string]*limit{}, waiting: map[string]int{},
	}
}

// admit starts the request now, when its turn comes, or has the broker bring it again.
func (l *limits) admit(r *request) {
	l.mu.Lock()
	t := l.limit(r)
	if t == nil {
		l.mu.Unlock()
		l.start(r)
		return
	}
	now := time.Now()
	if len(t.line) == 0 && t.limiter.AllowN(now, 1) {
		l.mu.Unlock()
		l.start(r)
		return
	}
	queue := r.message.Queue
	if l.waiting[queue] >= max(1, l.prefetch(queue)/2) {
		until := t.postponeUntil(now)
		l.mu.Unlock()
		l.postpone(r, until)
		return
	}
	l.waiting[queue]++
	t.line = append(t.line, r)
	if len(t.line) == 1 {
		l.wait(t, now)
	}
	l.mu.Unlock()
}

// take says whether the request may start now, and counts it if so.
func (l *limits) take(r *request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.limit(r)
	return t == nil || len(t.line) == 0 && t.limiter.Allow()
}

// wait reserves the next turn for the head of the line.
func (l *limits) wait(t *limit, now time.Time) {
	turn := t.limiter.ReserveN(now, 1)
	var timer *time.Timer
	timer = time.AfterFunc(turn.DelayFrom(now), func() {
		l.mu.Lock()
		if t.timer != timer { // the limit has changed meanwhile
			l.mu.Unlock()
			return
		}
		r := t.line[0]
		t.line = t.line[1:]
		l.waiting[r.message.Queue]--
		if len(t.line) > 0 {
			l.wait(t, time.Now())
		}
		l.mu.Unlock()
		l.start(r)
	})
	t.timer, t.turn = timer, turn
}

// current is the limit of a task, Unlimited if it has none.
func (l *limits) current(e *Entry) Rate {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.limit(&request{name: e.Name(), entry: e})
	if t == nil || t.limiter.Limit() == rate.Inf {
		return Unlimited
	}
	return Rate(t.limiter.Limit())
}

// turns are about when the requests that wait here may start.
func (l *limits) turns() map[*request]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, out := time.Now(), map[*request]time.Time{}
	for _, t := range l.tasks {
		if t == nil || len(t.line) == 0 {
			continue
		}
		at := now.Add(t.turn.DelayFrom(now))
		for _, r := range t.line {
			out[r] = at
			at = at.Add(t.interval())
		}
	}
	return out
}

// interval is the time between two starts, 0 if there is no limit any more.
func (t *limit) interval() time.Duration {
	return time.Duration(float64(time.Second) / float64(t.limiter.Limit()))
}

// limit is that of the request's task, nil if there is none.
func (l *limits) limit(r *request) *limit {
	t, known := l.tasks[r.name]
	if !known {
		per := r.entry.spec.RateLimit
		if per == 0 {
			per = l.fallback
		}
		if per.limits() {
			t = newLimit(per)
		}
		l.tasks[r.name] = t
	}
	return t
}

// newLimit allows evenly spaced starts: a burst of one, as Celery has it.
func newLimit(per Rate) *limit { return &limit{limiter: rate.NewLimiter(rate.Limit(per), 1)} }

// set changes the limit of a task, also for those that wait here already.
func (l *limits) set(name string, per Rate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[name]
	if t == nil {
		l.tasks[name] = nil
		if per.limits() {
			l.tasks[name] = newLimit(per)
		}
		return
	}
	now := time.Now()
	if len(t.line) > 0 {
		t.timer.Stop()
		t.turn.CancelAt(now)
	}
	limit := rate.Inf
	if per.limits() {
		limit = rate.Limit(per)
	}
	t.limiter.SetLimitAt(now, limit)
	t.horizon = time.Time{}
	if len(t.line) > 0 {
		l.wait(t, now)
	}
}

// postponeUntil guesses when a request that finds the line full should come again: when those before
// it have had their turn.
func (t *limit) postponeUntil(now time.Time) time.Time {
	interval := t.interval()
	if earliest := now.Add(time.Duration(len(t.line)) * interval); t.horizon.Before(earliest) {
		t.horizon = earliest
	}
	t.horizon = t.horizon.Add(interval)
	return now.Add(min(max(t.horizon.Sub(now), minPostponed), maxPostponed))
}
