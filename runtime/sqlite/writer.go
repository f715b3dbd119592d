package sqlite

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

const (
	// maxBatch is how many changes share a transaction.
	maxBatch = 1000
	// maxLease is how many messages one transaction leases for a subscription.
	maxLease = 256
	// pollInterval is the longest that a process which has missed a ring of
	// the doorbell stays behind, and the longest that the timer for delayed
	// messages sleeps, since the clock may be set meanwhile.
	pollInterval = time.Second
	// patience is how long to wait for the write lock before the wait counts
	// as an obstacle, and how long Close waits for it.
	patience = time.Second
	// minBackoff and maxBackoff bound the pause before a blocked transaction
	// is tried again.
	minBackoff = 20 * time.Millisecond
	maxBackoff = time.Second
	// spaceInterval is how often the free space of the disk is looked up while there is much.
	spaceInterval = 50 * time.Millisecond
)

// A writer is the goroutine of a process that writes to the database. Changes
// that arrive while a transaction runs share the next one, and so the price of
// its fsync. Leases for the consumers of this process are taken at the end of
// each transaction.
type writer struct {
	location location
	owner    int64
	doorbell *doorbell
	// now is the wall clock. Only what is in the database goes by it.
	now func() time.Time
	// obstacle is why nothing can be written now, nil if nothing is known of any.
	obstacle atomic.Pointer[error]
	stuck    atomic.Bool // the last transaction failed
	// elsewhere is the error that processes of another machine use, or may use, the database; nil: none do.
	elsewhere atomic.Pointer[error]
	db        atomic.Pointer[database] // nil while broken
	log       atomic.Pointer[slog.Logger]

	mu        sync.Mutex // guards what follows, and the consumers' fields
	queue     []*pending
	consumers []*consumer
	listeners map[*listener]struct{}
	waiters   map[uint32][]*waiter
	closed    bool
	dueAt     int64 // when the next delayed message is due in ms; 0: unknown
	nextTag   uint64
	// onReopen runs in the goroutine after the database was opened anew.
	onReopen func(*database)

	wake    chan struct{}
	closing chan struct{}
	ended   chan struct{}

	// The rest belongs to the goroutine.
	queues   map[string]int64 // ids by name, of those that stay
	topology *topology
	lease    int64         // the number of the last lease
	backoff  time.Duration // before a blocked transaction is tried again
	retryAt  time.Time
	full     bool // the disk, when it was measured
	scarce   bool // room on it
	measured time.Time
	ruin     *ruin // nil: no damage was found
}

func newWriter(loc location, db *database, owner int64, bell *doorbell, now func() time.Time) *writer {
	w := &writer{
		location:  loc,
		owner:     owner,
		doorbell:  bell,
		now:       now,
		listeners: map[*listener]struct{}{},
		waiters:   map[uint32][]*waiter{},
		onReopen:  func(*database) {},
		wake:      make(chan struct{}, 1),
		closing:   make(chan struct{}),
		ended:     make(chan struct{}),
		queues:    map[string]int64{},
	}
	w.db.Store(db)
	w.log.Store(slog.New(slog.DiscardHandler))
	return w
}

// logger is the first consumer's.
func (w *writer) logger() *slog.Logger { return w.log.Load() }

// read runs do with a connection that only reads.
func (w *writer) read(do func(*conn) error) error {
	db := w.db.Load()
	if db == nil {
		if obstacle := w.obstacle.Load(); obstacle != nil {
			return *obstacle
		}
		return task.ErrClosed
	}
	return db.read(do)
}

// number returns a tag, or the number of a session. The caller holds w.mu.
func (w *writer) number() uint64 {
	w.nextTag++
	return w.nextTag
}

func (w *writer) hasConsumers() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.consumers) > 0
}

// wakeUp makes the writer look for work.
func (w *writer) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine. It ends after shut.
func (w *writer) run() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.closing:
			w.finish()
			return
		case <-w.wake:
		case <-timer.C:
		}
		for w.turn() {
			if w.isClosing() {
				break
			}
		}
		timer.Reset(w.pause())
	}
}

func (w *writer) isClosing() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// pause is how long nothing needs to be done unless somebody wakes the writer.
func (w *writer) pause() time.Duration {
	if rest := time.Until(w.retryAt); rest > 0 {
		return rest
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.consumers) == 0 || w.dueAt == 0 {
		return pollInterval
	}
	return min(max(time.UnixMilli(w.dueAt).Sub(w.now()), 0), pollInterval)
}

// turn runs one transaction, and says whether there is more to do at once.
func (w *writer) turn() bool {
	if time.Now().Before(w.retryAt) {
		return false
	}
	w.checkSpace()
	if !w.hasChanges() && (!w.wantsLease() || !w.seesWork()) {
		return false
	}
	// The changes are taken once the lock is: until then their callers may
	// still leave, and know that nothing was written.
	db, err := w.acquire()
	batch := w.take(db)
	if err == nil {
		err = w.process(db, batch)
		w.release(db)
	}
	switch {
	case err == nil:
		w.clear()
		return true
	case errors.Is(err, task.ErrClosed):
		w.failAll(batch, err)
	case classify(err) == blocked:
		w.putBack(batch)
		w.block(err)
	default:
		w.breakDown(batch, err)
	}
	return false
}

func (w *writer) hasChanges() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.queue, w.mayEnter)
}

// take moves the changes of the next transaction out of the queue. db is nil if
// it can't be written.
func (w *writer) take(db *database) []*pending {
	room := logLimit
	if db != nil {
		room = db.logLimit
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	if w.shuts() {
		n = len(w.queue) // to find those behind the messages
	}
	batch := make([]*pending, 0, min(n, maxBatch))
	var kept []*pending
	for _, p := range w.queue[:n] {
		switch {
		case len(batch) == maxBatch || room <= 0 || !w.mayEnter(p):
			if p.state.Load() == waiting {
				kept = append(kept, p)
			}
		case p.enter():
			batch = append(batch, p)
			room -= sizeOf(p.change)
		}
	}
	clear(w.queue[:n])
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	if kept != nil {
		w.queue = append(kept, w.queue...)
	}
	return batch
}

// putBack returns changes to the head of the queue.
func (w *writer) putBack(batch []*pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kept []*pending
	for _, p := range batch {
		if p.state.Load() != finished && p.back() {
			kept = append(kept, p)
		}
	}
	w.queue = append(kept, w.queue...)
}

// finish ends the writer: the changes that wait are refused, and everything
// that this process holds in the database is given back.
func (w *writer) finish() {
	w.mu.Lock()
	rest := w.queue
	w.queue = nil
	w.mu.Unlock()
	w.failAll(rest, task.ErrClosed)
	db := w.db.Load()
	if db == nil {
		return
	}
	if w.lockFor(db) == nil {
		if w.doorbell.listed.Load() && !db.moved() {
			_ = w.transact(db, newPendings([]change{&departure{}}), false)
		}
	}
	w.discard(db)
}

// shut makes the goroutine end, and waits for that.
func (w *writer) shut() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.closing)
	<-w.ended
}
