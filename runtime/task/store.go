package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// ResultStore keeps results where every process can ask for them, apart from the broker. [WithResults] gives a
// transport one.
type ResultStore interface {
	// StoreResult, Result, AwaitResult and DeleteExpiredResults are those of [Transport].
	StoreResult(ctx context.Context, r *Result) error
	Result(ctx context.Context, id string) (*Result, error)
	AwaitResult(ctx context.Context, id string) (*Result, error)
	DeleteExpiredResults(ctx context.Context) (int, error)
	// Serializer is the only one that results are kept in, nil if each is kept as it comes. A result of another one is
	// translated, as well as that goes.
	Serializer() codec.Serializer
	ChordStore
	ClaimStore
	// Close ends all sessions.
	Close() error
	// String names the store for people, without password.
	String() string
}

// OutageWatcher is a [ResultStore] that can be out of reach while the broker is not.
type OutageWatcher interface {
	// WatchOutages tells the log when the store can't be used, and when it can again, until Close. It returns at once.
	WatchOutages(log *slog.Logger)
}

// ChordStore counts the parts of chords. A [Transport] that stores results implements it too.
type ChordStore interface {
	// StartChord notes how many parts the chord of a group has. It comes before the last part is sent.
	StartChord(ctx context.Context, group string, size int) error
	// EndChordPart notes how one part has ended; doing so again changes nothing. If that was the last one it returns all
	// parts, ordered by index, until ForgetChord; else nil. After any error but [ErrUnstorable] the task is run again.
	EndChordPart(ctx context.Context, group string, part ChordPart) ([]ChordPart, error)
	// ForgetChord deletes what is known of a chord, once its body is sent.
	ForgetChord(ctx context.Context, group string) error
}

// ChordPart is how one part of a chord has ended.
type ChordPart struct {
	ID string
	// Index is its place in the group, -1 if it is not known: behind all others.
	Index int
	// State is Success, Failure or Revoked.
	State State
	// ContentType and Body are the value (Success) or the exception map (docs/wire.md) alone, not a whole result message.
	ContentType string
	Body        []byte
}

// ResultStoreOpener opens the store of results at a URL. No error quotes a password.
type ResultStoreOpener func(ctx context.Context, url string) (ResultStore, error)

var resultStores = struct {
	sync.Mutex
	openers map[string]ResultStoreOpener
}{openers: map[string]ResultStoreOpener{}}

// RegisterResultStore makes a kind of stores known to [OpenResultStore], by the scheme of its URLs. The package of a store
// does so when it is imported.
func RegisterResultStore(scheme string, open ResultStoreOpener) {
	resultStores.Lock()
	defer resultStores.Unlock()
	resultStores.openers[scheme] = open
}

// OpenResultStore opens the store at url, by what is registered under its scheme.
func OpenResultStore(ctx context.Context, url string) (ResultStore, error) {
	scheme, _, found := strings.Cut(url, ":")
	resultStores.Lock()
	open, known := resultStores.openers[scheme]
	linked := strings.Join(slices.Sorted(maps.Keys(resultStores.openers)), ", ")
	resultStores.Unlock()
	switch {
	case !found:
		return nil, errors.New("not a URL: want one such as redis://host:6379/0")
	case known:
		return open(ctx, url)
	}
	return nil, fmt.Errorf("this program links no store of results for this scheme (linked: %s): "+
		`for redis, import _ "github.com/taskgen/taskgen/runtime/redis"; taskgen worker -link redis has a generated worker do so`, or(linked, "none"))
}

// WithResults returns a transport that is t, but keeps all results in s. Whoever sends a task and whoever runs it need the same
// store. Closing it closes both.
//
// When a delivery is settled its result is stored first, for which there are 30 s at most; then it is given up with
// [ErrResultLost], since running the task again would not bring it back.
func WithResults(t Transport, s ResultStore) Transport {
	return &storingTransport{Transport: t, store: s}
}

// storeTimeout bounds how long a result is offered to a store after its task is done.
const storeTimeout = 30 * time.Second

// storingTransport is a transport whose results are in a store.
type storingTransport struct {
	Transport
	store ResultStore
}

// ReplyTo is empty: results are stored by task id.
func (t *storingTransport) ReplyTo() string { return "" }

func (t *storingTransport) StoreResult(ctx context.Context, r *Result) error {
	return t.store.StoreResult(ctx, r)
}

func (t *storingTransport) Result(ctx context.Context, id string) (*Result, error) {
	return t.store.Result(ctx, id)
}

func (t *storingTransport) AwaitResult(ctx context.Context, id string) (*Result, error) {
	return t.store.AwaitResult(ctx, id)
}

func (t *storingTransport) DeleteExpiredResults(ctx context.Context) (int, error) {
	return t.store.DeleteExpiredResults(ctx)
}

func (t *storingTransport) StartChord(ctx context.Context, group string, size int) error {
	return t.store.StartChord(ctx, group, size)
}

func (t *storingTransport) EndChordPart(ctx context.Context, group string, part ChordPart) ([]ChordPart, error) {
	return t.store.EndChordPart(ctx, group, part)
}

func (t *storingTransport) ForgetChord(ctx context.Context, group string) error {
	return t.store.ForgetChord(ctx, group)
}

func (t *storingTransport) Claim(ctx context.Context, id, owner string, ttl time.Duration) (bool, error) {
	return t.store.Claim(ctx, id, owner, ttl)
}

func (t *storingTransport) Unclaim(ctx context.Context, id, owner string) error {
	return t.store.Unclaim(ctx, id, owner)
}

func (t *storingTransport) Close() error {
	return errors.Join(t.Transport.Close(), t.store.Close())
}

func (t *storingTransport) resultStore() ResultStore { return t.store }

// Unwrap is the transport without the store.
func (t *storingTransport) Unwrap() Transport { return t.Transport }

// StoreOf is the store that [WithResults] has given a transport; nil if the broker itself has the results, or sends them.
func StoreOf(t Transport) ResultStore {
	if t, ok := t.(interface{ resultStore() ResultStore }); ok {
		return t.resultStore()
	}
	return nil
}

func (t *storingTransport) Consume(config ConsumeConfig) (Consumer, error) {
	c, err := t.Transport.Consume(config)
	if err != nil {
		return nil, err
	}
	if s, ok := t.store.(OutageWatcher); ok && config.Logger != nil {
		s.WatchOutages(config.Logger)
	}
	return &storingConsumer{c, t.store}, nil
}

// storingConsumer stores results before it settles.
type storingConsumer struct {
	Consumer
	store ResultStore
}

func (c *storingConsumer) Settle(ctx context.Context, d *Delivery, o Outcome) error {
	results := o.Others
	if o.Result != nil {
		results = append([]*Result{o.Result}, results...)
	}
	if len(results) == 0 {
		return c.Consumer.Settle(ctx, d, o)
	}
	lost := c.keep(ctx, results)
	if lost != nil {
		// The time may have gone into the results, and the delivery must not come again for that.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
	}
	o.Result, o.Others = nil, nil
	if err := c.Consumer.Settle(ctx, d, o); err != nil {
		return err
	}
	return lost
}

// QueueAttributes implements [QueueInspector].
func (c *storingConsumer) QueueAttributes(queue string) *QueueAttributes {
	if inspector, ok := c.Consumer.(QueueInspector); ok {
		return inspector.QueueAttributes(queue)
	}
	return nil
}

func (c *storingConsumer) keep(ctx context.Context, results []*Result) (lost error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	for _, r := range results {
		if err := c.store.StoreResult(ctx, r); err != nil {
			lost = errors.Join(lost, fmt.Errorf("task %s: %w: %s: %w", r.ID, ErrResultLost, r.State, err))
		}
	}
	return lost
}
