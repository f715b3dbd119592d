package rabbitmq

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// maxResults and resultTTL bound what a process remembers of the results that it was sent.
	maxResults = 65536
	resultTTL  = 24 * time.Hour
	// replyPrefetch is how many results the broker sends ahead.
	replyPrefetch = 1024
)

// results are those that this process was sent, newest last.
type results struct {
	mu    sync.Mutex
	known map[string]*list.Element // of *received, by task id
	order *list.List
	wait  map[string][]chan struct{} // who waits for news of a task
}

type received struct {
	result *task.Result
	at     time.Time
}

func newResults() *results {
	return &results{
		known: make(map[string]*list.Element),
		order: list.New(),
		wait:  make(map[string][]chan struct{}),
	}
}

// add remembers a result and wakes who waits for it.
func (r *results) add(result *task.Result, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[result.ID]; e != nil {
		// A late copy of an earlier state changes nothing.
		if e.Value.(*received).result.State.Final() && !result.State.Final() {
			return
		}
		r.order.Remove(e)
	}
	r.known[result.ID] = r.order.PushBack(&received{result, now})
	for e := r.order.Front(); e != nil; e = r.order.Front() {
		old := e.Value.(*received)
		if r.order.Len() <= maxResults && now.Sub(old.at) < resultTTL {
			break
		}
		r.order.Remove(e)
		delete(r.known, old.result.ID)
	}
	for _, news := range r.wait[result.ID] {
		close(news)
	}
	delete(r.wait, result.ID)
}

// newest returns the newest result of a task, or nil.
func (r *results) newest(id string) *task.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.known[id]; e != nil {
		result := *e.Value.(*received).result
		return &result
	}
	return nil
}

// await waits for a final result of a task.
func (r *results) await(ctx context.Context, id string, closed <-chan struct{}) (*task.Result, error) {
	for {
		news := r.subscribe(id)
		if result := r.newest(id); result != nil && result.State.Final() {
			r.unsubscribe(id, news)
			return result, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			r.unsubscribe(id, news)
			return nil, context.Cause(ctx)
		case <-closed:
			r.unsubscribe(id, news)
			return nil, task.ErrClosed
		}
	}
}

func (r *results) subscribe(id string) chan struct{} {
	news := make(chan struct{})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait[id] = append(r.wait[id], news)
	return news
}

func (r *results) unsubscribe(id string, news chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.wait[id]
	for i, n := range waiting {
		if n == news {
			r.wait[id] = append(waiting[:i], waiting[i+1:]...)
			break
		}
	}
	if len(r.wait[id]) == 0 {
		delete(r.wait, id)
	}
}
