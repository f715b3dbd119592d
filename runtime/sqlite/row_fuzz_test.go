package sqlite_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/taskgen/taskgen/runtime/task"
)

// stored are the statements of FuzzStoredRow. What is damaged has the odd ids; 2 is what must arrive.
var stored = []string{
	`INSERT OR IGNORE INTO msg (id, queue, prio, state, at, owner, lease, attempt, task_id, task) VALUES (1, 1, 9, ?1, ?2, ?3, ?3, ?4, ?5, ?6)`,
	`INSERT OR IGNORE INTO body (id, props, body) VALUES (1, ?5, ?6)`,
	`INSERT OR IGNORE INTO dead (id, reason, error, stack, worker) VALUES (1, ?5, ?6, ?6, ?5)`,
	`INSERT OR IGNORE INTO result (task_id, state, stored, expires, type, encoding, body) VALUES ('hurt', ?5, ?2, ?3, ?6, ?5, ?6)`,
	`INSERT OR IGNORE INTO proc (owner, pid, host, port, worker, started) VALUES (4711, ?1, replace(?5, '/', ''), ?2, ?6, ?4)`, // of no other machine: that stops the work
	`INSERT OR IGNORE INTO msg (id, queue, prio, state, at, task_id, task) VALUES (2, 1, 0, 0, 0, 'whole', 'demo.add')`,
	`INSERT OR IGNORE INTO body (id, props, body) VALUES (2, x'96a0a0a0a0a0c0', 'body')`,
}

// FuzzStoredRow puts any values into every column that a program with mistakes, or a
// hand with a shell, can write. Whatever becomes of that row, the one behind it is delivered.
func FuzzStoredRow(f *testing.F) {
	f.Add(int64(0), int64(0), int64(0), int64(0), []byte("\x96\xa0\xa0\xa0\xa0\xa0\xc0"), []byte("body"), byte(0))
	for state := int64(-1); state < 5; state++ {
		f.Add(state, int64(1), int64(4711), int64(3), []byte{0x96}, []byte{0xff, 0}, byte(state))
	}
	f.Add(int64(0), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64), []byte("\x96\xa0\xa0\xa0\xa0\xa0\xdd\xff\xff\xff\xff"), []byte("\x00"), byte(0))
	f.Add(int64(2), int64(math.MaxInt64), int64(math.MinInt64), int64(math.MinInt64), []byte("FAILURE"), bytes.Repeat([]byte("\x81"), 1000), byte(1))
	f.Add(int64(1), int64(1), int64(-1), int64(0), []byte(strings.Repeat("x", 10_000)), []byte("<script>\u2028\x1b"), byte(2))
	f.Add(int64(3), int64(7), int64(0), int64(0), []byte("whole"), []byte("demo.add"), byte(2))

	url := newURL(f) + "?sync=normal"
	transport := open(f, url)
	publish(f, transport, message("q")) // makes the queue
	w := consume(f, transport, 10, "q")
	w.settle(w.next(), task.Outcome{})
	stranger := connect(f, url)
	f.Fuzz(func(t *testing.T, state, at, owner, attempt int64, a, b []byte, kind byte) {
		insert(t, stranger, kind, state, at, owner, attempt, a, b)
		transport.Poll()
		for deadline := time.Now().Add(busy); ; {
			var d *task.Delivery
			select {
			case d = <-w.deliveries:
			case <-time.After(time.Until(deadline)):
				t.Fatal("the row behind was not delivered")
			}
			if err := w.Settle(within(t), d, task.Outcome{}); err != nil && !errors.Is(err, task.ErrStale) {
				t.Fatal(err)
			}
			if d.Message.Task == "demo.add" && string(d.Message.Body) == "body" && d.Message.Priority == 0 {
				break
			}
		}
		if _, err := transport.Result(within(t), "hurt"); err != nil {
			t.Error(err)
		}
		if err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) { return task.DropDead, nil }); err != nil {
			t.Error(err)
		}
		transport.Tidy(within(t))
		if !w.Ready() {
			t.Error("the consumer is not ready")
		}
		if err := stranger.Exec(`DELETE FROM msg; DELETE FROM body; DELETE FROM dead; DELETE FROM result; DELETE FROM proc WHERE owner = 4711`); err != nil {
			t.Fatal(err)
		}
	})
}

// insert binds the bytes as blob or text, and the numbers as numbers or text, by the bits of kind.
func insert(t *testing.T, c *sqlite3.Conn, kind byte, state, at, owner, attempt int64, a, b []byte) {
	t.Helper()
	if err := c.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range stored {
		s, _, err := c.Prepare(sql)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range []int64{state, at, owner, attempt} {
			if i >= s.BindCount() {
				break
			}
			if kind&(4<<i) != 0 {
				err = s.BindText(i+1, string(a))
			} else {
				err = s.BindInt64(i+1, n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, bytes := range [][]byte{a, b} {
			if 4+i >= s.BindCount() {
				break
			}
			if kind&(1<<i) != 0 {
				err = s.BindText(5+i, string(bytes))
			} else {
				err = s.BindBlob(5+i, append([]byte{}, bytes...))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		_ = s.Exec() // a constraint may have it otherwise
		if err := s.Close(); err != nil {
			t.Logf("%s: %v", sql, err)
		}
	}
	if err := c.Exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
}
