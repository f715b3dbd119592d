package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/task"
)

// A listener is a row in the table of the same name, and a goroutine that reads what is written for it.
type listener struct {
	transport *Transport
	config    task.ListenConfig
	keys      string // JSON
	inbox     *bulletin.Inbox
	wake      chan struct{}
	ctx       context.Context
	cancel    context.CancelFunc
	ended     chan struct{}

	// Under the writer's mutex:
	id         int64         // 0: not in the table
	registered chan struct{} // closed while it is in the table
	underWay   bool          // a registration is
}

const (
	// What was heard is deleted after heardInterval, or when it is as much as this.
	heardInterval = 500 * time.Millisecond
	maxHeard      = 1000
	maxHeardBytes = 4 << 20
)

// Listen implements [task.Broadcaster].
func (t *Transport) Listen(config task.ListenConfig) (task.Listener, error) {
	if err := bulletin.Complete(&config); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if config.Keys == nil {
		config.Keys = []string{}
	}
	keys, err := json.Marshal(config.Keys)
	if err != nil {
		return nil, fmt.Errorf("sqlite: listener %s: %w", config.Queue, err)
	}
	if err := t.appear(""); err != nil {
		return nil, err
	}
	l := &listener{
		transport: t, config: config, keys: string(keys), inbox: bulletin.NewInbox(config),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), registered: make(chan struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	w := t.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		l.inbox.Close()
		return nil, task.ErrClosed
	}
	w.listeners[l] = struct{}{}
	w.register(l)
	go l.run()
	return l, nil
}

func (l *listener) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// register puts a listener into the table, unless it is there or on its way. The caller holds w.mu.
func (w *writer) register(l *listener) {
	if l.id == 0 && !l.underWay {
		l.underWay = true
		w.postLocked(&registration{listener: l})
	}
}

// unregister notes that no listener is in the table any more. The next arrival puts them there again. The
// caller holds w.mu.
func (w *writer) unregister() {
	for l := range w.listeners {
		if l.id != 0 {
			l.id, l.registered = 0, make(chan struct{})
		}
	}
}

// A registration puts a listener into the table.
type registration struct {
	listener *listener
	id       int64
}

func (r *registration) apply(t *tx) error {
	c := r.listener.config
	_, err := t.exec(`INSERT INTO listener (owner, queue, exchange, type, keys, ttl) VALUES (?, ?, ?, ?, ?, ?)`,
		t.owner, c.Queue, c.Exchange.Name, c.Exchange.Type, r.listener.keys, c.TTL.Milliseconds())
	r.id = t.lastID()
	return err
}

func (r *registration) settled(w *writer, err error) {
	l := r.listener
	l.underWay = false
	if err != nil {
		if !errors.Is(err, task.ErrClosed) {
			w.logger().Error("broadcasts are not heard", "listener", l.config.Queue, "error", err)
		}
		return
	}
	l.id = r.id
	close(l.registered)
	if _, listens := w.listeners[l]; !listens { // closed meanwhile
		w.postLocked(&leaving{l.id})
	}
}

// run reads what is written for the listener, and deletes what it has read.
func (l *listener) run() {
	defer close(l.ended)
	var heard hearing
	var forget <-chan time.Time
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
			if !l.read(&heard) {
				break
			}
			if heard.count > 0 && forget == nil {
				forget = time.After(heardInterval)
			}
			if heard.count < maxHeard && heard.bytes < maxHeardBytes {
				continue
			}
			l.wakeUp() // there may be more
		case <-forget:
		}
		if heard.count > 0 && l.transport.writer.do(l.ctx, &heard) == nil {
			heard.count, heard.bytes = 0, 0
		}
		forget = nil
	}
}

const sqlHear = `SELECT id, expires, props, body FROM broadcast WHERE listener = ? AND id > ? AND length(body) <= ? ORDER BY id LIMIT ?`

// read hands on what is new, and says whether it could.
func (l *listener) read(heard *hearing) bool {
	w := l.transport.writer
	w.mu.Lock()
	id := l.id
	w.mu.Unlock()
	if id == 0 {
		return false
	}
	if id != heard.listener {
		*heard = hearing{listener: id}
	}
	err := w.read(func(c *conn) error {
		return c.query(sqlHear, func(r row) error {
			heard.upTo = r.int(0)
			heard.count++
			var m task.Message
			if decodeProps(r.blob(2), &m) != nil || r.int(1) <= w.now().UnixMilli() {
				return nil //nolint:nilerr // what can't be read, or is too old, is as good as not there
			}
			b := &task.Broadcast{
				Exchange: task.Bulletin{Name: m.Exchange}, RoutingKey: m.RoutingKey,
				ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Headers: m.Headers, Body: r.blob(3),
			}
			heard.bytes += len(b.Body)
			l.inbox.Put(b)
			return nil
		}, id, heard.upTo, bulletin.MaxBody, maxHeard)
	})
	return err == nil
}

// A hearing is what a listener has read and not deleted.
type hearing struct {
	listener, upTo int64
	count, bytes   int
}

func (h *hearing) apply(t *tx) error {
	_, err := t.exec(`DELETE FROM broadcast WHERE listener = ? AND id <= ?`, h.listener, h.upTo)
	return err
}

const (
	sqlSilence = `DELETE FROM broadcast WHERE listener IN (SELECT id FROM listener WHERE owner = ?)`
	sqlDeafen  = `DELETE FROM listener WHERE owner = ?`
)

// A leaving takes a listener out of the table.
type leaving struct{ listener int64 }

func (g *leaving) apply(t *tx) error {
	for _, sql := range []string{`DELETE FROM broadcast WHERE listener = ?`, `DELETE FROM listener WHERE id = ?`} {
		if _, err := t.exec(sql, g.listener); err != nil {
			return err
		}
	}
	return nil
}

// Ready implements [task.Listener].
func (l *listener) Ready(ctx context.Context) error {
	w := l.transport.writer
	w.mu.Lock()
	registered := l.registered
	w.mu.Unlock()
	if l.ctx.Err() != nil {
		return fmt.Errorf("sqlite: %w", task.ErrClosed)
	}
	select {
	case <-l.ctx.Done():
		return fmt.Errorf("sqlite: %w", task.ErrClosed)
	case <-registered:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sqlite: listener %s: %w", l.config.Queue, w.whyWaiting(ctx))
	}
}

// Close implements [task.Listener].
func (l *listener) Close() error {
	w := l.transport.writer
	w.mu.Lock()
	if _, listens := w.listeners[l]; listens {
		delete(w.listeners, l)
		if l.id != 0 && !w.closed {
			w.postLocked(&leaving{l.id})
		}
	}
	w.mu.Unlock()
	l.cancel()
	<-l.ended
	l.inbox.Close()
	return nil
}
