// Package memory is a broker inside one process: for tests, and for trying things
// out. Nothing survives the process.
package memory

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// defaultResultTTL is how long results are kept that name no time.
const defaultResultTTL = 24 * time.Hour

// Transport is the broker, and every client's and worker's connection to it.
type Transport struct {
	name string

	mu      sync.Mutex
	changed *sync.Cond // a queue, a subscription or closed has changed
	queues  map[string]*queue
	exchanges
	listeners map[*listener]struct{}
	results   map[string]*result
	closed    bool
	tags      uint64
}

type result struct {
	*task.Result
	expires time.Time
	final   chan struct{} // closed once the result is final
}

func (r *result) expired(now time.Time) bool {
	return r.Result != nil && !r.expires.IsZero() && r.expires.Before(now)
}

// New makes a broker of its own.
func New() *Transport {
	t := &Transport{name: "memory:", queues: map[string]*queue{}, exchanges: exchanges{}, listeners: map[*listener]struct{}{}, results: map[string]*result{}}
	t.changed = sync.NewCond(&t.mu)
	return t
}

var shared = struct {
	sync.Mutex
	brokers map[string]*Transport
}{brokers: map[string]*Transport{}}

// Open returns the broker of that name, the same for everybody in this process until
// it is closed.
func Open(name string) *Transport {
	shared.Lock()
	defer shared.Unlock()
	if t, ok := shared.brokers[name]; ok && !t.isClosed() {
		return t
	}
	t := New()
	t.name = "memory:" + name
	shared.brokers[name] = t
	return t
}

func (t *Transport) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// String is the broker's URL.
func (t *Transport) String() string { return t.name }

// ReplyTo is empty: results are stored by task id.
func (t *Transport) ReplyTo() string { return "" }

// Publish puts the message into its queue, or those that its exchange leads it to.
func (t *Transport) Publish(ctx context.Context, m *task.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return task.ErrClosed
	}
	queues, err := t.route(m)
	if err != nil {
		return err
	}
	for _, queue := range queues {
		t.put(m, queue)
	}
	return nil
}

// PublishMany puts each message into its queue.
func (t *Transport) PublishMany(ctx context.Context, ms []*task.Message) []error {
	var errs []error
	for i, m := range ms {
		if err := t.Publish(ctx, m); err != nil {
			if errs == nil {
				errs = make([]error, len(ms))
			}
			errs[i] = err
		}
	}
	return errs
}

// put puts a copy of m into a queue, and wakes who waits for it. Locked.
func (t *Transport) put(m *task.Message, queue string) {
	t.tags++
	q := t.queue(queue)
	m = clone(m)
	m.Queue = queue
	q.add(&item{message: m, seq: t.tags}, time.Now())
	t.schedule(q)
	t.changed.Broadcast()
}

// schedule wakes everybody when the next delayed message is due. Locked.
func (t *Transport) schedule(q *queue) {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
	if next := q.nextDue(); !next.IsZero() {
		q.timer = time.AfterFunc(time.Until(next), func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			q.promote(time.Now())
			t.schedule(q)
			t.changed.Broadcast()
		})
	}
}

// queue finds or makes a queue. Locked.
func (t *Transport) queue(name string) *queue {
	q, ok := t.queues[name]
	if !ok {
		q = &queue{}
		t.queues[name] = q
	}
	return q
}

func clone(m *task.Message) *task.Message {
	c := *m
	c.Headers = maps.Clone(m.Headers)
	return &c
}

// DeleteExpiredResults deletes the results whose time is over.
func (t *Transport) DeleteExpiredResults(context.Context) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, now := 0, time.Now()
	for id, r := range t.results {
		if r.expired(now) {
			delete(t.results, id)
			n++
		}
	}
	return n, nil
}

// Purge deletes what waits in a queue.
func (t *Transport) Purge(_ context.Context, name string) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue(name)
	n := q.ready.Len() + q.delayed.Len()
	q.ready, q.delayed = nil, nil
	t.schedule(q)
	return n, nil
}

// StoreResult keeps a result.
func (t *Transport) StoreResult(_ context.Context, r *task.Result) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return task.ErrClosed
	}
	t.store(r)
	return nil
}

// store keeps r, unless a final result is there already. Locked.
func (t *Transport) store(r *task.Result) {
	now := time.Now()
	kept := t.result(r.ID, now)
	if kept.Result != nil && kept.State.Final() {
		return
	}
	kept.Result = r
	switch {
	case r.TTL == 0:
		kept.expires = now.Add(defaultResultTTL)
	case r.TTL > 0:
		kept.expires = now.Add(r.TTL)
	default:
		kept.expires = time.Time{}
	}
	if r.State.Final() {
		close(kept.final)
	}
}

// result finds what is kept for id, or makes room for it. Locked.
func (t *Transport) result(id string, now time.Time) *result {
	kept, ok := t.results[id]
	if !ok || kept.expired(now) {
		kept = &result{final: make(chan struct{})}
		t.results[id] = kept
	}
	return kept
}

// Result returns what is kept for a task.
func (t *Transport) Result(_ context.Context, id string) (*task.Result, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, task.ErrClosed
	}
	kept, ok := t.results[id]
	if !ok || kept.expired(time.Now()) {
		return nil, nil
	}
	return kept.Result, nil
}

// AwaitResult waits for the final result of a task.
func (t *Transport) AwaitResult(ctx context.Context, id string) (*task.Result, error) {
	t.mu.Lock()
	kept := t.result(id, time.Now())
	t.mu.Unlock()
	select {
	case <-kept.final:
		return kept.Result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends everything; what waits is gone.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	for _, q := range t.queues {
		if q.timer != nil {
			q.timer.Stop()
		}
	}
	t.changed.Broadcast()
	listeners := slices.Collect(maps.Keys(t.listeners))
	t.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	return nil
}
