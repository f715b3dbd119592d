package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
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
	// spaceInterval is how often the free space of the disk is looked up.
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
	// obstacle is why nothing can be written now, nil if nothing is known of any.
	obstacle atomic.Pointer[error]
	stuck    atomic.Bool              // the last transaction failed
	db       atomic.Pointer[database] // nil while broken
	log      atomic.Pointer[slog.Logger]

	mu        sync.Mutex // guards what follows, and the consumers' fields
	queue     []*pending
	consumers []*consumer
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
	queues   map[string]int64 // ids by name
	lease    int64            // the number of the last lease
	backoff  time.Duration    // before a blocked transaction is tried again
	retryAt  time.Time
	full     bool // the disk, when it was measured
	measured time.Time
}

func newWriter(loc location, db *database, owner int64, bell *doorbell) *writer {
	w := &writer{
		location: loc,
		owner:    owner,
		doorbell: bell,
		waiters:  map[uint32][]*waiter{},
		onReopen: func(*database) {},
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		queues:   map[string]int64{},
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
	return min(max(time.Until(time.UnixMilli(w.dueAt)), 0), pollInterval)
}

// turn runs one transaction, and says whether there is more to do at once.
func (w *writer) turn() bool {
	if time.Now().Before(w.retryAt) {
		return false
	}
	w.checkSpace()
	if !w.hasChanges() && !w.wantsLease() {
		return false
	}
	// The changes are taken once the lock is: until then their callers may
	// still leave, and know that nothing was written.
	db, err := w.acquire()
	batch := w.take()
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

// checkSpace finds out, now and then, whether messages may come in.
func (w *writer) checkSpace() {
	if time.Since(w.measured) < spaceInterval {
		return
	}
	w.measured = time.Now()
	db := w.db.Load()
	if w.full = db != nil && db.lacksSpace(); w.full {
		w.hinder(fmt.Errorf("the disk of %s is full", db.path))
	}
}

func (w *writer) hasChanges() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.queue, w.mayEnter)
}

// mayEnter says whether a change can be written now. On a full disk no message
// comes in.
func (w *writer) mayEnter(p *pending) bool {
	if !w.full {
		return true
	}
	_, isMessage := p.change.(*insertion)
	return !isMessage
}

// take moves the changes of the next transaction out of the queue.
func (w *writer) take() []*pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.queue), maxBatch)
	if w.full {
		n = len(w.queue) // to find those behind the messages
	}
	batch := make([]*pending, 0, min(n, maxBatch))
	var kept []*pending
	for _, p := range w.queue[:n] {
		switch {
		case len(batch) == maxBatch || !w.mayEnter(p):
			if p.state.Load() == waiting {
				kept = append(kept, p)
			}
		case p.enter():
			batch = append(batch, p)
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

// acquire returns the open database with its write lock held.
func (w *writer) acquire() (*database, error) {
	db := w.db.Load()
	for {
		if db == nil {
			var err error
			if db, err = w.reopen(); err != nil {
				return nil, err
			}
		}
		if err := w.lockFor(db); err != nil {
			return nil, err
		}
		if !db.moved() {
			return db, nil
		}
		w.logger().Warn("the database file was removed or replaced; a new one is used now", "path", db.path)
		w.discard(db)
		db = nil
	}
}

// lockFor takes the write lock of db, unless the transport is closed meanwhile.
func (w *writer) lockFor(db *database) error {
	if free, err := db.writeLock.tryLock(); err != nil || free {
		return err
	}
	got := make(chan error, 1)
	go func() { got <- db.writeLock.lock() }()
	slow := time.NewTimer(patience)
	defer slow.Stop()
	closing, closeBy := w.closing, (<-chan time.Time)(nil)
	for {
		select {
		case err := <-got:
			return err
		case <-slow.C:
			w.hinder(errors.New("another process holds the write lock of " + db.path))
		case <-closing:
			closing, closeBy = nil, time.After(patience)
		case <-closeBy:
			// The lock file is closed with the database: that gives the lock
			// back as soon as it is granted.
			return fmt.Errorf("%w while another process held the write lock of %s", task.ErrClosed, db.path)
		}
	}
}

func (w *writer) release(db *database) {
	if w.db.Load() == db {
		_ = db.writeLock.unlock()
	}
}

// reopen opens the database after it broke or was moved away.
func (w *writer) reopen() (*database, error) {
	db, err := openDatabase(w.location)
	if err != nil {
		return nil, err
	}
	clear(w.queues)
	w.db.Store(db)
	w.mu.Lock()
	w.dueAt = 0
	onReopen := w.onReopen
	w.mu.Unlock()
	onReopen(db)
	return db, nil
}

// discard closes a database that is of no more use.
func (w *writer) discard(db *database) {
	w.db.Store(nil)
	_ = db.close()
}

// clear notes that the database works.
func (w *writer) clear() {
	w.backoff, w.retryAt = 0, time.Time{}
	w.stuck.Store(false)
	if !w.full && w.obstacle.Swap(nil) != nil {
		w.logger().Info("the database can be written again", "path", w.location.path)
	}
}

// hinder notes why nothing can be written.
func (w *writer) hinder(err error) {
	if w.obstacle.Swap(&err) == nil {
		w.logger().Error("the database can't be written now", "path", w.location.path, "error", err)
	}
}

// block makes the writer wait before it tries again.
func (w *writer) block(err error) {
	w.stuck.Store(true)
	w.hinder(w.explainBlocked(err))
	w.backoff = min(max(2*w.backoff, minBackoff), maxBackoff)
	w.retryAt = time.Now().Add(w.backoff)
}

func (w *writer) explainBlocked(err error) error {
	path := w.location.path
	db := w.db.Load()
	switch {
	case isFull(err) && db != nil && db.lacksSpace():
		return fmt.Errorf("the disk of %s is full: %w", path, err)
	case isLocked(err):
		return fmt.Errorf("another program keeps %s locked: %w", path, err)
	}
	return fmt.Errorf("%s can't be written: %w", path, err)
}

// breakDown fails the changes and closes the database; the next change, or a
// consumer after a while, opens it again.
func (w *writer) breakDown(batch []*pending, err error) {
	if db := w.db.Load(); db != nil {
		err = explainOpen(w.location.path, err)
		w.discard(db)
	}
	w.stuck.Store(true)
	w.hinder(err)
	w.failAll(batch, err)
	w.retryAt = time.Now().Add(maxBackoff)
}

func (w *writer) failAll(batch []*pending, err error) {
	w.mu.Lock()
	for _, p := range batch {
		if s, ok := p.change.(settler); ok && p.state.Load() != finished {
			s.settled(w, err)
		}
	}
	w.mu.Unlock()
	for _, p := range batch {
		if p.state.Load() != finished {
			p.finish(err)
		}
	}
}

// process carries out the changes, and leases. On an error nothing of what is
// not finished was written.
func (w *writer) process(db *database, batch []*pending) error {
	err := w.transact(db, batch, false)
	if err == nil || len(batch) == 0 {
		return err
	}
	if classify(err) == refused {
		// One change can't be carried out. Find out which, and spare the others.
		err = w.transact(db, batch, true)
	}
	if !isFull(err) {
		return err
	}
	// Shorter logs leave room; and what settles a delivery, or is small, may
	// fit where the whole does not.
	_ = db.writer.query(`PRAGMA wal_checkpoint(TRUNCATE)`, func(row) error { return nil })
	for _, p := range batch {
		if one := w.transact(db, []*pending{p}, true); one != nil && classify(one) != blocked {
			return one
		}
	}
	for _, p := range batch {
		if p.state.Load() != finished {
			return err
		}
	}
	return nil
}

// transact tries to carry out changes in one transaction. A careful one gives
// each change a savepoint, so that one that is refused does not fail the rest.
func (w *writer) transact(db *database, batch []*pending, careful bool) (err error) {
	t := w.begin(db)
	if _, err := t.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	defer func() {
		if err != nil && t.inTransaction() {
			_, failed := t.exec(`ROLLBACK`)
			err = errors.Join(err, failed)
		}
	}()
	outcomes := make([]error, len(batch))
	for i, p := range batch {
		outcomes[i], err = applyOne(t, p.change, careful)
		if err != nil {
			return err
		}
	}
	leases, err := w.takeLeases(t)
	if err != nil {
		return err
	}
	news, ports, err := w.news(t)
	if err != nil {
		return err
	}
	if _, err := t.exec(`COMMIT`); err != nil {
		if isUncertain(err) { // the log may hold the commit all the same
			for _, p := range batch {
				p.uncertain.Store(&err)
			}
		}
		return err
	}
	w.doorbell.ring(news, ports)
	w.committed(t, batch, outcomes, leases)
	return nil
}

func (w *writer) begin(db *database) *tx {
	return &tx{
		conn: db.writer, owner: w.owner, now: time.Now(),
		queues: w.queues, made: map[string]int64{}, ready: map[int64]bool{}, freed: map[*subscription]int{},
	}
}

// applyOne returns the outcome for the caller of the change, and the error that
// ends the transaction.
func applyOne(t *tx, c change, careful bool) (outcome, err error) {
	if !careful {
		err := c.apply(t)
		if isStale(err) {
			return err, nil
		}
		return nil, err
	}
	if _, err := t.exec(`SAVEPOINT one`); err != nil {
		return nil, err
	}
	outcome = c.apply(t)
	if outcome != nil && !isStale(outcome) {
		if classify(outcome) != refused || !t.inTransaction() {
			return nil, outcome
		}
		if _, err := t.exec(`ROLLBACK TO one`); err != nil {
			return nil, err
		}
	}
	_, err = t.exec(`RELEASE one`)
	return outcome, err
}

// committed spreads the news of a transaction.
func (w *writer) committed(t *tx, batch []*pending, outcomes []error, leases []*lease) {
	maps.Copy(w.queues, t.made)
	if t.checkpoint {
		_ = t.query(`PRAGMA wal_checkpoint(TRUNCATE)`, func(row) error { return nil })
	}
	w.mu.Lock()
	for i, p := range batch {
		if s, ok := p.change.(settler); ok {
			s.settled(w, outcomes[i])
		}
	}
	w.handOut(t, leases)
	w.notify(t.results)
	w.mu.Unlock()
	for i, p := range batch {
		p.finish(outcomes[i])
	}
}

// news returns what other processes must hear of the transaction, and where.
func (w *writer) news(t *tx) (ring, []uint16, error) {
	r := ring{due: t.due, results: t.results}
	for queue := range t.ready {
		r.queues = append(r.queues, queue)
	}
	if r.empty() {
		return r, nil, nil
	}
	var ports []uint16
	err := t.query(`SELECT port FROM proc WHERE owner <> ? AND host = ? AND port BETWEEN 1 AND 65535`, func(row row) error {
		ports = append(ports, uint16(row.int(0)))
		return nil
	}, t.owner, w.doorbell.host)
	return r, ports, err
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
