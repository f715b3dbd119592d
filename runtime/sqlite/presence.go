package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sweepInterval is how often a worker process looks for processes that have
// died, with a quarter of jitter either way.
const (
	sweepInterval = 200 * time.Millisecond
	// Beyond manySweepers they look less often, but not less often than maxSweepInterval.
	manySweepers     = 8
	maxSweepInterval = 2 * time.Second
)

// A presence is what makes a process known to the others: a lock file that the
// kernel unlocks when the process dies, and a row in proc. A process needs one
// to lease messages, and to be woken for results. One that only sends has none.
type presence struct {
	transport *Transport
	owner     int64

	arriving atomic.Bool            // an arrival is on its way
	known    atomic.Bool            // it was in proc once
	worker   atomic.Pointer[string] // the node name, nil: none
	ended    sync.WaitGroup

	asked map[int64]time.Time // strangers that were asked for an answer, and when; only for sweep

	mu       sync.Mutex
	lock     *fileLock
	watching bool
}

// appear makes the process present. It returns at once; the row follows.
func (p *presence) appear(worker string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if worker != "" && p.worker.Swap(&worker) == nil && p.watching {
		p.arrive() // for the name
	}
	if p.watching {
		return nil
	}
	w := p.transport.writer
	db := w.db.Load()
	if db != nil { // else reopening brings the lock
		if err := p.hold(db); err != nil {
			return err
		}
	}
	w.mu.Lock()
	w.onReopen = p.reappear
	w.mu.Unlock()
	p.watching = true
	p.ended.Go(func() { p.transport.writer.doorbell.listen(w.heard) })
	p.ended.Go(p.watch)
	p.arrive()
	return nil
}

// hold makes sure that the lock file of this process is where others look. The
// caller holds p.mu.
func (p *presence) hold(db *database) error {
	path := ownerPath(db, p.owner)
	if p.lock != nil && p.lock.isAt(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	lock, err := holdNewLock(path)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	p.lock.close()
	p.lock = lock
	return nil
}

// reappear makes the process present in a database that was opened anew.
func (p *presence) reappear(db *database) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.transport.writer
	w.doorbell.listed.Store(false)
	if err := p.hold(db); err != nil {
		w.logger().Error("this process can't be made known to the others", "error", err)
		return
	}
	p.arrive()
}

// vanish takes the presence back. The row is gone already.
func (p *presence) vanish() {
	p.ended.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lock != nil {
		removeLocked(p.lock, p.lock.file.Name())
		p.lock = nil
	}
}

// arrive has the writer put this process into proc.
func (p *presence) arrive() {
	w := p.transport.writer
	if !p.arriving.CompareAndSwap(false, true) {
		return
	}
	w.post(&arrival{presence: p, machine: w.doorbell.machine, port: w.doorbell.port()})
}

func ownerPath(db *database, owner int64) string {
	return db.lockPath("w", strconv.FormatInt(owner, 10)+".lock")
}

// An arrival puts this process into proc.
type arrival struct {
	presence *presence
	machine  machine
	port     int

	lost      bool   // the row was there once, and has gone
	elsewhere string // the host of another machine's process
}

// errLost is why a session has ended.
var errLost = errors.New("sqlite: other processes took this one for dead, or its database was replaced; what it had taken was given to others")

const (
	sqlSelf    = `SELECT port FROM proc WHERE owner = ?`
	sqlMachine = `SELECT DISTINCT host FROM proc WHERE owner <> ?`
	sqlArrive  = `INSERT OR REPLACE INTO proc (owner, pid, host, port, worker, started) VALUES (?, ?, ?, ?, ?, ?)`
)

func (a *arrival) apply(t *tx) error {
	a.lost, a.elsewhere = false, ""
	if a.presence.known.Load() {
		listed, err := t.number(`SELECT count(*) FROM proc WHERE owner = ?`, t.owner)
		if err != nil {
			return err
		}
		if a.lost = listed == 0; a.lost {
			// What was leased since then starts anew as well, with the new session.
			if _, err := buryOwner(t, t.owner); err != nil {
				return err
			}
		}
	}
	err := t.query(sqlMachine, func(r row) error {
		if other := parseMachine(r.text(0)); a.machine.isAnother(other) {
			a.elsewhere = other.host
		}
		return nil
	}, t.owner)
	if err != nil {
		return err
	}
	worker := "" // looked up now: who appeared before it has a name is still on its way when it gets one
	if name := a.presence.worker.Load(); name != nil {
		worker = *name
	}
	_, err = t.exec(sqlArrive, t.owner, os.Getpid(), a.machine.String(), a.port, worker, t.now)
	return err
}

func (a *arrival) settled(w *writer, err error) {
	a.presence.arriving.Store(false)
	if err != nil {
		return
	}
	if a.lost {
		w.logger().Warn("this process was taken for dead, or the database was replaced; what it had taken is delivered again", "path", w.location.path)
		for _, c := range w.consumers {
			c.lose(errLost)
		}
		w.unregister()
	}
	if a.elsewhere != "" && w.elsewhere.Load() == nil {
		w.suspect(a.elsewhere)
	}
	a.presence.known.Store(true)
	w.doorbell.listed.Store(true)
	w.hearAll() // what happened before rang nobody here
	for _, c := range w.consumers {
		w.declare(c)
	}
	for l := range w.listeners {
		w.register(l)
	}
}

// A departure gives back all that this process has leased, its own queues and its row.
type departure struct{}

func (departure) apply(t *tx) error {
	_, err := buryOwner(t, t.owner)
	return err
}

// A burial does the same for a process that has died.
type burial struct {
	owner int64
	// What the log says of it.
	pid      int64
	worker   string
	messages int
}

func (b *burial) apply(t *tx) error {
	err := t.query(sqlProcess, func(r row) error {
		b.pid, b.worker = r.int(0), r.text(1)
		return nil
	}, b.owner)
	if err != nil {
		return err
	}
	b.messages, err = buryOwner(t, b.owner)
	return err
}

func (b *burial) log(log *slog.Logger) {
	level, text := slog.LevelInfo, "a process has died, which had no messages"
	if b.messages > 0 {
		level, text = slog.LevelWarn, "a process has died: the messages that it had are delivered again"
	}
	log.Log(context.Background(), level, text, "pid", b.pid, "worker", b.worker, "messages", b.messages)
}

// buryOwner gives back what an owner had, and returns how many messages that were.
func buryOwner(t *tx, owner int64) (messages int, err error) {
	err = t.query(sqlBury, func(r row) error {
		t.ready[r.int(0)] = true
		messages++
		return nil
	}, t.now, owner)
	if err != nil {
		return 0, err
	}
	estates, err := t.estates(sqlOwnQueues, owner)
	if err != nil {
		return 0, err
	}
	for _, e := range estates {
		if err := e.settle(t); err != nil {
			return 0, err
		}
	}
	for _, sql := range []string{sqlSilence, sqlDeafen, `DELETE FROM proc WHERE owner = ?`} {
		if _, err := t.exec(sql, owner); err != nil {
			return 0, err
		}
	}
	return messages, nil
}

// watch is the goroutine that looks at the others: it finds the dead, and polls
// for what the doorbell has missed.
func (p *presence) watch() {
	ctx := p.transport.ctx
	var version int64
	var interval time.Duration // between sweeps
	polled, tidied, swept := time.Now(), time.Now(), time.Now()
	for sleep(ctx, sweepInterval*3/4+rand.N(sweepInterval/2)) {
		if time.Since(polled) >= pollInterval {
			version, polled = p.poll(version), time.Now()
		}
		if !p.transport.writer.hasConsumers() {
			continue
		}
		if time.Since(swept) >= interval {
			others, err := p.sweep(ctx)
			if err != nil && ctx.Err() == nil {
				p.transport.writer.logger().Warn("can't look for dead processes", "error", err)
			}
			// Many look as often as a few: each of them looks at all.
			interval, swept = min(time.Duration(others/manySweepers)*sweepInterval, maxSweepInterval), time.Now()
		}
		if time.Since(tidied) >= tidyInterval {
			p.transport.tidy(ctx)
			tidied = time.Now()
		}
	}
}

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

// poll wakes everybody if another connection has written since version.
func (p *presence) poll(version int64) int64 {
	w := p.transport.writer
	now := version
	err := w.read(func(c *conn) (err error) {
		now, err = c.pragma("data_version")
		return err
	})
	if err == nil {
		err = p.checkSelf()
	}
	if err != nil || now != version {
		w.mu.Lock()
		w.hearAll()
		w.mu.Unlock()
		w.wakeUp()
	}
	return now
}

// checkSelf makes sure that this process is in proc, as one that lives.
func (p *presence) checkSelf() error {
	w := p.transport.writer
	if db := w.db.Load(); db != nil && db.moved() {
		p.arrive() // in the one that is there now
		return nil
	}
	port := int64(questioned)
	err := w.read(func(c *conn) error {
		return c.query(sqlSelf, func(r row) error {
			port = r.int(0)
			return nil
		}, p.owner)
	})
	if err == nil && (port == questioned || !w.doorbell.listed.Load()) {
		p.arrive()
	}
	return err
}

// sweep gives the messages of dead processes back to their queues. A process
// is dead if nobody holds the lock on its file, or if it has none. One that is
// only stopped or asleep keeps its lock, and so its messages. It returns how many processes are known.
func (p *presence) sweep(ctx context.Context) (others int, err error) {
	w := p.transport.writer
	db := w.db.Load()
	if db == nil || !w.doorbell.listed.Load() {
		return 0, nil
	}
	p.mu.Lock()
	err = p.hold(db)
	p.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if err := p.checkSelf(); err != nil {
		return 0, err
	}
	known, err := w.owners()
	if err != nil {
		return len(known), err
	}
	if err := p.lookElsewhere(ctx, db, known); err != nil {
		return len(known), err
	}
	for owner := range known {
		if err := p.examine(ctx, db, owner, true); err != nil {
			return len(known), err
		}
	}
	files, err := os.ReadDir(db.lockPath("w"))
	if err != nil {
		return len(known), err
	}
	for _, file := range files {
		name, _ := strings.CutSuffix(file.Name(), ".lock")
		owner, err := strconv.ParseInt(name, 10, 64)
		if _, seen := known[owner]; err != nil || seen {
			continue
		}
		if err := p.examine(ctx, db, owner, false); err != nil {
			return len(known), err
		}
	}
	return len(known), nil
}

// examine buries the owner if it is dead.
func (p *presence) examine(ctx context.Context, db *database, owner int64, listed bool) error {
	if owner == p.owner || p.mayAnswer(owner) {
		return nil
	}
	path := ownerPath(db, owner)
	lock, dead, err := takeDeadLock(path)
	if err != nil || !dead {
		return err
	}
	if listed {
		dead := &burial{owner: owner}
		if err = p.transport.writer.do(ctx, dead); err == nil {
			dead.log(p.transport.writer.logger())
		}
	}
	if lock == nil {
		return err
	}
	if err != nil {
		lock.close()
		return err
	}
	removeLocked(lock, path)
	return nil
}

// An owner is what proc says of a process.
type owner struct {
	machine machine
	port    int64
}

// owners returns the processes that hold messages, have queues of their own, listen or are in proc.
func (w *writer) owners() (map[int64]owner, error) {
	owners := map[int64]owner{}
	err := w.read(func(c *conn) error {
		return c.query(sqlOwners, func(r row) error {
			if id, some := r.int(0), (owner{parseMachine(r.text(1)), r.int(2)}); some.machine.host != "" || owners[id] == (owner{}) {
				owners[id] = some
			}
			return nil
		})
	})
	return owners, err
}

const (
	sqlProcess = `SELECT pid, worker FROM proc WHERE owner = ?`
	sqlBury    = `UPDATE msg SET state = 0, at = ?, owner = NULL, lease = NULL WHERE state = 2 AND owner = ? RETURNING queue`
	sqlOwners  = `SELECT owner, host, port FROM proc UNION SELECT DISTINCT owner, '', 0 FROM msg WHERE state = 2
		UNION SELECT owner, '', 0 FROM queue WHERE owner IS NOT NULL UNION SELECT owner, '', 0 FROM listener`
)
