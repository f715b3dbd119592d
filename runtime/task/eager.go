package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Eager makes a client that runs the tasks of r at once, in the process and the goroutine
// of the caller, through the real codec and with retries, whose delays it does not wait. It
// is for tests and for programs that need no worker. ETA and rate limits are ignored.
func Eager(r *Registry) *Client {
	t := &eagerTransport{results: map[string]*Result{}}
	config := WorkerConfig{Name: "eager"}
	problem := r.Err()
	if problem == nil {
		problem = config.complete(r)
	}
	accept, err := contentTypes(config.Accept)
	if problem == nil {
		problem = err
	}
	t.problem = problem
	c := NewClient(t, ClientConfig{})
	t.executor = &executor{
		registry: r, client: c, accept: accept,
		maxBody: config.MaxBody, maxDecompressed: int64(config.MaxDecompressed), maxResult: config.MaxResult,
		now: time.Now, name: config.Name, eager: true, logger: slog.Default(),
	}
	return c
}

// eagerTransport runs what is published. The results stay in memory.
type eagerTransport struct {
	executor *executor
	problem  error

	mu      sync.Mutex
	results map[string]*Result
}

func (t *eagerTransport) Publish(ctx context.Context, m *Message) error {
	if t.problem != nil {
		return t.problem
	}
	for m != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, ok := t.executor.registry.Lookup(m.Task); !ok {
			return errors.New("it is not registered with this eager client: add its package's RegisterTasks")
		}
		outcome := t.runOnce(ctx, m)
		if outcome.Result != nil {
			t.mu.Lock()
			t.results[m.ID] = outcome.Result
			t.mu.Unlock()
		}
		m = nil
		if len(outcome.Publish) > 0 {
			m = outcome.Publish[0]
		}
	}
	return nil
}

func (t *eagerTransport) runOnce(ctx context.Context, m *Message) Outcome {
	r, rejected := t.executor.read(&Delivery{Message: m})
	if rejected != nil {
		return t.executor.rejected(r, rejected)
	}
	if outcome, expired := t.executor.expired(r); expired {
		return outcome
	}
	var outcome Outcome
	t.executor.execute(ctx, r, func(o Outcome) { outcome = o })
	return outcome
}

func (t *eagerTransport) PublishMany(ctx context.Context, ms []*Message) []error {
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

func (t *eagerTransport) ReplyTo() string { return "" }

func (t *eagerTransport) Consume(ConsumeConfig) (Consumer, error) {
	return nil, errors.New("an eager client has no messages to consume: use runtime/memory for a worker in the same process")
}

func (t *eagerTransport) StoreResult(_ context.Context, r *Result) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.results[r.ID] = r
	return nil
}

func (t *eagerTransport) Result(_ context.Context, id string) (*Result, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.results[id], nil
}

// AwaitResult never waits: what was sent has run.
func (t *eagerTransport) AwaitResult(ctx context.Context, id string) (*Result, error) {
	r, err := t.Result(ctx, id)
	if err == nil && r == nil {
		err = fmt.Errorf("no task with id %s was run by this eager client", id)
	}
	return r, err
}

func (t *eagerTransport) DeleteExpiredResults(context.Context) (int, error) { return 0, nil }

func (t *eagerTransport) DeadLetters(context.Context, string, func(*DeadMessage) (DeadAction, error)) error {
	return nil
}

// Broadcast reaches nobody: nobody can listen.
func (t *eagerTransport) Broadcast(ctx context.Context, _ *Broadcast) error { return ctx.Err() }

func (t *eagerTransport) Listen(ListenConfig) (Listener, error) {
	return nil, errors.New("an eager client has no broadcasts to listen to: use runtime/memory for workers in the same process")
}

func (t *eagerTransport) Purge(context.Context, string) (int, error) { return 0, nil }
func (t *eagerTransport) Close() error                               { return nil }
func (t *eagerTransport) String() string                             { return "eager" }
