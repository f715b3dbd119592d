package sqlite

import (
	"slices"

	"github.com/taskgen/taskgen/runtime/task"
)

// A lease is a message that this process has taken out of its queue.
type lease struct {
	sub    *subscription
	id     int64 // msg.id
	number int64 // msg.lease
	prio   int64
	// delivery is nil if the row can't be read.
	delivery *task.Delivery
	handed   bool // to Deliver
}

const (
	sqlPromote = `UPDATE msg SET state = 0 WHERE id IN (
		SELECT id FROM msg WHERE state = 1 AND at <= ? ORDER BY at LIMIT 1000) RETURNING queue`
	sqlNextDue = `SELECT min(at) FROM msg WHERE state = 1`
	// Looked at first, and leased then: what RETURNING returns is copied into a table of its own.
	sqlNext = `SELECT msg.id, prio, attempt, task_id, task, props, body FROM msg LEFT JOIN body ON body.id = msg.id
		WHERE state = 0 AND queue = ? ORDER BY prio DESC, msg.id LIMIT ?`
	sqlLease = `UPDATE msg SET state = 2, owner = ?, lease = ?, at = ?, attempt = attempt + 1 WHERE id IN (
		SELECT id FROM msg WHERE state = 0 AND queue = ? ORDER BY prio DESC, id LIMIT ?)`
	sqlPark = `UPDATE msg SET state = 3, live = 0, at = ?, owner = NULL, lease = NULL
		WHERE id = ? AND owner = ? AND lease = ? AND state = 2`
	// OR REPLACE: a row that lost its message long ago must not be in the way of another.
	sqlDead = `INSERT OR REPLACE INTO dead (id, reason, error, stack, worker) VALUES (?, ?, ?, ?, ?)`
)

// farFuture stands for no delayed message, in ms.
const farFuture = 1 << 53

// A wish is what a subscription can take.
type wish struct {
	sub    *subscription
	queue  int64
	room   int
	hungry bool
}

// wishes returns what the subscriptions can take now.
func (w *writer) wishes() []wish {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []wish
	for _, c := range w.consumers {
		if c.stopped {
			continue
		}
		for _, s := range c.subs {
			if s.id != 0 {
				all = append(all, wish{sub: s, queue: s.id, room: s.Prefetch - s.taken, hungry: s.hungry})
			}
		}
	}
	return all
}

// wantsLease says whether a transaction is worth its while without any change.
func (w *writer) wantsLease() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.consumers) == 0 {
		return false
	}
	if w.db.Load() == nil {
		return true // to open it again
	}
	if !w.doorbell.listed.Load() || w.elsewhere.Load() != nil {
		return false
	}
	due := w.dueAt <= w.now().UnixMilli()
	for _, c := range w.consumers {
		if c.stopped {
			continue
		}
		if due {
			return true
		}
		for _, s := range c.subs {
			if s.id != 0 && s.hungry && s.taken < s.Prefetch {
				return true
			}
		}
	}
	return false
}

const sqlIsReady = `SELECT EXISTS (SELECT 1 FROM msg WHERE state = 0 AND queue = ?)`

// seesWork looks whether there are messages to lease without the write lock if that is no more than a rumour, since
// of all the processes that a message wakes only one gets it. What is heard meanwhile isn't
// missed: what is looked for is taken as not there before the look.
func (w *writer) seesWork() bool {
	db := w.db.Load()
	if db == nil {
		return true
	}
	now := w.now().UnixMilli()
	rumours, due, sure := w.calm(now)
	if sure {
		return true
	}
	var next int64
	err := db.read(func(c *conn) error {
		for s, queue := range rumours {
			ready, err := c.number(sqlIsReady, queue)
			if err != nil {
				return err
			}
			if ready == 0 {
				delete(rumours, s)
			}
		}
		if !due {
			return nil
		}
		var err error
		if next, err = c.number(sqlNextDue); next == 0 {
			next = farFuture
		}
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range rumours { // those that are true, or all if nobody knows
		s.know(true)
	}
	if err != nil {
		w.dueAt = 0
		return true
	}
	w.hearDue(next)
	return len(rumours) > 0 || due && next <= now
}

// calm ends the rumours that there is something to lease, and returns whose they were, with their queues, and
// whether a delayed message may be due. It does nothing if there is more than rumours.
func (w *writer) calm(now int64) (rumours map[*subscription]int64, due, sure bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rumours = map[*subscription]int64{}
	for _, c := range w.consumers {
		for _, s := range c.subs {
			switch {
			case c.stopped || s.id == 0 || !s.hungry || s.taken >= s.Prefetch:
			case !s.rumour:
				return nil, false, true
			default:
				rumours[s] = s.id
			}
		}
	}
	for s := range rumours {
		s.know(false)
	}
	if due = w.dueAt <= now; due {
		w.dueAt = farFuture
	}
	return rumours, due, false
}

// takeLeases promotes the delayed messages that are due, then leases for the
// subscriptions that have room and whose queue may have messages.
func (w *writer) takeLeases(t *tx) ([]*lease, error) {
	if !w.doorbell.listed.Load() || w.elsewhere.Load() != nil {
		return nil, nil
	}
	wishes := w.wishes()
	if len(wishes) == 0 {
		return nil, nil
	}
	if err := w.promote(t); err != nil {
		return nil, err
	}
	w.lease++
	var leases []*lease
	for _, wish := range wishes {
		room := min(wish.room+t.freed[wish.sub], maxLease)
		if room <= 0 || !wish.hungry && !t.ready[wish.queue] {
			continue
		}
		some, drained, err := w.leaseFrom(t, wish.sub, wish.queue, room)
		if err != nil {
			return nil, err
		}
		leases = append(leases, some...)
		if drained {
			delete(t.ready, wish.queue) // nothing is left for anybody
			t.drained = append(t.drained, wish.sub)
		}
	}
	return leases, nil
}

// promote makes the delayed messages that are due ready, and finds out when
// the next one is.
func (w *writer) promote(t *tx) error {
	w.mu.Lock()
	due := w.dueAt
	w.mu.Unlock()
	now := t.now.UnixMilli()
	if due > now {
		return nil
	}
	err := t.query(sqlPromote, func(r row) error {
		t.ready[r.int(0)] = true
		return nil
	}, now)
	if err != nil {
		return err
	}
	next, err := t.number(sqlNextDue)
	if next == 0 {
		next = farFuture
	}
	t.nextDue = next
	return err
}

// leaseFrom leases up to room messages, and says whether the queue is empty then.
func (w *writer) leaseFrom(t *tx, sub *subscription, queue int64, room int) (leases []*lease, drained bool, err error) {
	var broken []*lease
	err = t.query(sqlNext, func(r row) error {
		l := &lease{sub: sub, id: r.int(0), number: w.lease, prio: r.int(1)}
		m := &task.Message{
			ID: string(r.taskID(3)), Task: r.text(4), Queue: sub.Queue, Priority: uint8(l.prio),
		}
		unreadable := r.null(5) || decodeProps(r.blob(5), m) != nil
		if unreadable {
			broken = append(broken, l)
			return nil
		}
		m.Body = r.blob(6)
		attempts := int(r.int(2))
		l.delivery = &task.Delivery{Message: m, Attempts: attempts, Redelivered: attempts > 0}
		leases = append(leases, l)
		return nil
	}, queue, room)
	if err != nil {
		return nil, false, err
	}
	if len(leases)+len(broken) == 0 {
		return nil, true, nil
	}
	if _, err := t.exec(sqlLease, t.owner, w.lease, t.now, queue, room); err != nil {
		return nil, false, err
	}
	for _, l := range broken {
		letter := &task.DeadLetter{Reason: "unreadable", Error: "the stored message is damaged", Worker: sub.consumer.config.Worker}
		if _, err := park(t, l, letter); err != nil {
			return nil, false, err
		}
	}
	return leases, len(leases)+len(broken) < room, nil
}

// park moves a leased message to the dead letters, if the lease still holds.
func park(t *tx, l *lease, letter *task.DeadLetter) (bool, error) {
	at := letter.Time
	if at.IsZero() {
		at = t.now
	}
	parked, err := t.exec(sqlPark, at, l.id, t.owner, l.number)
	if err != nil || parked == 0 {
		return false, err
	}
	if _, err := t.exec(sqlDead, l.id, letter.Reason, letter.Error, letter.Stack, letter.Worker); err != nil {
		return false, err
	}
	queue := letter.Queue
	if queue == "" && l.sub.Own {
		queue = l.sub.Heir
	}
	return true, l.parkIn(t, queue)
}

// parkIn moves a dead letter to another queue's.
func (l *lease) parkIn(t *tx, name string) error {
	if name == "" || name == l.sub.Queue {
		return nil
	}
	queue, err := t.queue(name)
	if err == nil {
		_, err = t.exec(`UPDATE msg SET queue = ? WHERE id = ?`, queue, l.id)
	}
	return err
}

// handOut gives the leased messages to their consumers after the commit. The
// caller holds w.mu.
func (w *writer) handOut(t *tx, leases []*lease) {
	if t.nextDue != 0 {
		w.dueAt = t.nextDue
	}
	w.hearDue(t.due)
	for _, c := range w.consumers {
		for _, s := range c.subs {
			if t.ready[s.id] {
				s.know(true)
			}
		}
	}
	for _, s := range t.drained {
		s.know(false)
	}
	for l := range w.listeners {
		if t.ready[-l.id] {
			l.wakeUp()
		}
	}
	for _, l := range leases {
		l.delivery.Tag, l.delivery.Session = w.number(), l.sub.consumer.session
		l.sub.consumer.accept(l)
	}
}

// heard takes a ring of the doorbell.
func (w *writer) heard(r ring) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.all {
		w.hearAll()
	}
	w.hearDue(r.due)
	w.notify(r.results)
	for _, c := range w.consumers {
		for _, s := range c.subs {
			if slices.Contains(r.queues, s.id) {
				s.hear()
			}
		}
	}
	for l := range w.listeners {
		if slices.Contains(r.queues, -l.id) {
			l.wakeUp()
		}
	}
	if len(r.queues) > 0 || r.due != 0 || r.all {
		w.wakeUp()
	}
}

// hearDue notes that a message is due at that time. The caller holds w.mu.
func (w *writer) hearDue(due int64) {
	if due != 0 && w.dueAt != 0 && due < w.dueAt {
		w.dueAt = due
	}
}

// hearAll makes everybody look, since anything may have happened. The caller holds w.mu.
func (w *writer) hearAll() {
	w.dueAt = 0
	for _, c := range w.consumers {
		for _, s := range c.subs {
			s.hear()
		}
	}
	for l := range w.listeners {
		l.wakeUp()
	}
	for _, same := range w.waiters {
		for _, waiter := range same {
			waiter.wakeUp()
		}
	}
	w.wakeUp()
}
