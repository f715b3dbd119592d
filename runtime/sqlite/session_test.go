package sqlite_test

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// A listener is a consumer whose deliveries and other news are taken from one
// channel, in the order in which they came: a *task.Delivery, a loss, or an error for Refused.
type listener struct {
	task.Consumer
	t    testing.TB
	news chan any
}

type loss struct {
	session uint64
	cause   error
}

func listen(t testing.TB, from *sqlite.Transport, prefetch int, queue string) *listener {
	t.Helper()
	l := &listener{t: t, news: make(chan any, 10_000)}
	var err error
	l.Consumer, err = from.Consume(task.ConsumeConfig{
		Worker: "listener@test", Subscriptions: []task.Subscription{{Queue: queue, Prefetch: prefetch}},
		Deliver: func(d *task.Delivery) { l.news <- d },
		Lost:    func(session uint64, cause error) { l.news <- loss{session, cause} },
		Refused: func(err error) { l.news <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func hear[T any](l *listener) T {
	l.t.Helper()
	select {
	case news := <-l.news:
		expected, ok := news.(T)
		if !ok {
			l.t.Fatalf("want a %T, got %+v", expected, news)
		}
		return expected
	case <-time.After(limit):
		l.t.Fatal("no news")
	}
	panic("unreachable")
}

func TestAWorkerThatIsTakenForDeadHearsOfIt(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	l := listen(t, transport, 4, "q")
	publish(t, transport, message("q"), message("q"))
	first, second := hear[*task.Delivery](l), hear[*task.Delivery](l)
	// What a process does that takes another for dead.
	if err := connect(t, url).Exec(`BEGIN IMMEDIATE;
		UPDATE msg SET state = 0, owner = NULL, lease = NULL WHERE state = 2;
		DELETE FROM proc; COMMIT`); err != nil {
		t.Fatal(err)
	}
	lost := hear[loss](l)
	if lost.session != first.Session || lost.session != second.Session || lost.cause == nil {
		t.Errorf("%+v was lost, the deliveries had %d", lost, first.Session)
	}
	for range 2 {
		d := hear[*task.Delivery](l)
		if d.Session <= lost.session || !d.Redelivered {
			t.Errorf("%+v after session %d was lost", d, lost.session)
		}
		if err := l.Settle(within(t), d, task.Outcome{}); err != nil {
			t.Error(err)
		}
	}
	for _, d := range []*task.Delivery{first, second} {
		if err := l.Settle(within(t), d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
			t.Errorf("an old delivery: %v", err)
		}
	}
	await(t, "the consumer is ready again", l.Ready)
	if got := rows(t, url); !slices.Equal(got, []string{"0", "0", "0"}) {
		t.Errorf("msg, body and dead have %v rows", got)
	}
}

func TestADatabaseThatIsReplacedWhileItIsUsed(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file can't be replaced there")
	}
	url, other := newURL(t), filled(t, 3)
	transport := open(t, url)
	l := listen(t, transport, 2, "q")
	publish(t, transport, message("q"), message("q"))
	old := hear[*task.Delivery](l)
	hear[*task.Delivery](l) // the prefetch is used up
	if err := os.Rename(path(other), path(url)); err != nil {
		t.Fatal(err)
	}
	if lost := hear[loss](l); lost.session != old.Session {
		t.Errorf("%+v, and the delivery had %d", lost, old.Session)
	}
	for range 3 {
		if err := l.Settle(within(t), hear[*task.Delivery](l), task.Outcome{}); err != nil {
			t.Error(err)
		}
	}
	if err := l.Settle(within(t), old, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("the old delivery: %v", err)
	}
}

func TestAConsumerHearsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	url := filled(t, 300)
	transport := open(t, url)
	if err := os.WriteFile(path(url), []byte(strings.Repeat("this is a text\n", 1000)), 0o666); err != nil {
		t.Fatal(err)
	}
	l := listen(t, transport, 1, "q")
	for range 2 { // and again with each try
		if err := hear[error](l); !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path(url)) {
			t.Errorf("got %v", err)
		}
	}
	if l.Ready() {
		t.Error("it is ready")
	}
}

func TestAConsumerThatHasBegunIsNotRefused(t *testing.T) {
	t.Parallel()
	url := filled(t, 300)
	transport := open(t, url)
	l := listen(t, transport, 1, "q")
	hear[*task.Delivery](l)
	newer(t, url)
	await(t, "the consumer is not ready", func() bool {
		_ = transport.Publish(within(t), message("q"))
		return !l.Ready()
	})
	if len(l.news) > 0 {
		t.Errorf("news: %+v", <-l.news)
	}
}

// newer makes the database one of a newer program.
func newer(t testing.TB, url string) {
	t.Helper()
	if err := connect(t, url).Exec(`PRAGMA user_version = 99`); err != nil {
		t.Fatal(err)
	}
}

// TestBrokenRowsStopNobody has rows that can't be read or are in the way, from a
// program with mistakes or a hand with a shell.
func TestBrokenRowsStopNobody(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"), message("q"), message("q"), message("q"))
	if err := connect(t, url).Exec(`
		UPDATE body SET props = x'96a0' WHERE id = 1;
		DELETE FROM body WHERE id = 2;
		INSERT INTO dead VALUES (1, 'left', 'behind', '', ''), (2, 'left', 'behind', '', '');
		UPDATE msg SET attempt = 'many', task = x'ff00' WHERE id = 3;
		UPDATE msg SET state = 2, owner = 4711, lease = 1 WHERE id < 4; -- of a process that has died
		INSERT INTO body VALUES (5, x'', x''), (6, 'props', 'body');`); err != nil {
		t.Fatal(err)
	}
	m := message("q")
	publish(t, transport, m) // where a body lies already
	w := consume(t, transport, 10, "q")
	var got []string
	for range 3 {
		got = append(got, w.next().Message.ID)
	}
	if !slices.Contains(got, m.ID) {
		t.Errorf("%v were delivered, without %s", got, m.ID)
	}
	var reasons []string
	await(t, "both are parked", func() bool {
		reasons = nil
		for _, d := range visitAll(t, transport, task.KeepDead) {
			reasons = append(reasons, d.Reason)
		}
		return len(reasons) == 2
	})
	if !slices.Equal(reasons, []string{"unreadable", "unreadable"}) {
		t.Errorf("%v", reasons)
	}
}
