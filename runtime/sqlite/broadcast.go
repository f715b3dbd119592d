package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/task"
)

// A herald is the goroutine that writes broadcasts: a copy for each listener that hears it, all that wait in one
// transaction. Where nobody listens it reads one small table and writes nothing. It begins with the first broadcast.
type herald struct {
	writer  *writer
	out     *bulletin.Outbox
	drops   bulletin.Drops
	begin   func()
	closing chan struct{}
	ended   chan struct{}
}

// heraldPatience is how long broadcasts wait for a database that can't be written, before they are dropped.
const heraldPatience = 2 * time.Second

func newHerald(w *writer) *herald {
	h := &herald{writer: w, out: bulletin.NewOutbox(), closing: make(chan struct{}), ended: make(chan struct{})}
	h.begin = sync.OnceFunc(func() { go h.run() })
	return h
}

// Broadcast implements [task.Broadcaster].
func (t *Transport) Broadcast(ctx context.Context, b *task.Broadcast) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := bulletin.Check(b); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if t.ctx.Err() != nil {
		return fmt.Errorf("sqlite: %w", task.ErrClosed)
	}
	t.herald.begin()
	if err := t.herald.out.Put(b); err != nil {
		t.herald.drop(1, err)
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

func (h *herald) drop(n int, reason error) { h.drops.Add(n, reason, h.writer.logger()) }

func (h *herald) run() {
	defer close(h.ended)
	for over := false; !over; {
		select {
		case <-h.out.Wake:
		case <-h.closing:
			over = true
		}
		all := h.out.Take()
		if len(all) == 0 {
			continue
		}
		if dropped, err := h.send(all); err != nil {
			h.drop(dropped, err)
		}
	}
}

// close sends what waits.
func (h *herald) close() {
	h.begin()
	close(h.closing)
	<-h.ended
}

// send writes broadcasts for those that hear them, and returns how many copies were dropped and why.
func (h *herald) send(all []*task.Broadcast) (dropped int, err error) {
	hearers, err := h.writer.hearers()
	if err != nil {
		return len(all), err
	}
	a := &announcement{}
	for _, x := range hearers {
		for _, b := range all {
			if bulletin.Leads(b.Exchange, b.RoutingKey, x.queue, x.exchange, x.keys) {
				x.copies = append(x.copies, b)
				x.size += len(b.Body)
			}
		}
		if len(x.copies) > 0 {
			a.hearers = append(a.hearers, x)
		}
	}
	if len(a.hearers) == 0 {
		return 0, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), heraldPatience)
	defer cancel()
	if err := h.writer.do(ctx, a); err != nil {
		return len(all), err
	}
	if a.dropped > 0 {
		err = errDeaf
	}
	return a.dropped, err
}

var errDeaf = errors.New("a listener does not take what it hears")

// A hearer is a listener of any process, and what is sent to it.
type hearer struct {
	id       int64
	queue    string
	exchange task.Bulletin
	keys     []string
	copies   []*task.Broadcast
	size     int
}

// hearers returns all listeners.
func (w *writer) hearers() ([]*hearer, error) {
	var all []*hearer
	err := w.read(func(c *conn) error {
		return c.query(`SELECT id, queue, exchange, type, keys FROM listener`, func(r row) error {
			x := &hearer{id: r.int(0), queue: r.text(1), exchange: task.Bulletin{Name: r.text(2), Type: r.text(3)}}
			all = append(all, x)
			return json.Unmarshal([]byte(r.text(4)), &x.keys)
		})
	})
	return all, err
}

// An announcement is broadcasts on their way into the database.
type announcement struct {
	hearers []*hearer
	dropped int // copies
}

const (
	sqlUnheard  = `SELECT count(*), coalesce(sum(length(body)), 0) FROM broadcast WHERE listener = ?`
	sqlAnnounce = `INSERT INTO broadcast (listener, expires, props, body) SELECT id, ttl + ?, ?, ? FROM listener WHERE id = ?`
)

// apply leaves out those for whom too much lies there already: the process may be stopped.
func (a *announcement) apply(t *tx) error {
	a.dropped = 0
	for _, x := range a.hearers {
		var count, bytes int64
		err := t.query(sqlUnheard, func(r row) error {
			count, bytes = r.int(0), r.int(1)
			return nil
		}, x.id)
		if err != nil {
			return err
		}
		if count+int64(len(x.copies)) > 2*bulletin.MaxWaiting || bytes+int64(x.size) > 2*bulletin.MaxWaitingBytes {
			a.dropped += len(x.copies)
			continue
		}
		for _, b := range x.copies {
			if err := announce(t, x.id, b); err != nil {
				return err
			}
		}
		t.ready[-x.id] = true
	}
	return nil
}

func announce(t *tx, listener int64, b *task.Broadcast) error {
	props, err := encodeProps(&task.Message{
		Exchange: b.Exchange.Name, RoutingKey: b.RoutingKey,
		ContentType: b.ContentType, ContentEncoding: b.ContentEncoding, Headers: b.Headers,
	})
	if err != nil {
		return err
	}
	body := b.Body
	if body == nil {
		body = []byte{}
	}
	_, err = t.exec(sqlAnnounce, t.now.UnixMilli(), props, body, listener)
	return err
}

// A fading deletes broadcasts that nobody has heard in time.
type fading struct{}

func (fading) apply(t *tx) error {
	_, err := t.exec(`DELETE FROM broadcast WHERE expires <= ?`, t.now)
	return err
}
