package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/bulletin"
	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

var gazette = task.Bulletin{Name: "news", Type: task.Fanout}

// overhear listens to the news.
func overhear(t testing.TB, transport task.Transport) (task.Listener, chan string) {
	t.Helper()
	heard := make(chan string, 100_000)
	l, err := transport.Listen(task.ListenConfig{
		Queue: newID(), Exchange: gazette, Deliver: func(b *task.Broadcast) { heard <- string(b.Body) },
	})
	if err == nil {
		err = l.Ready(within(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, heard
}

func tell(t testing.TB, transport task.Transport, body string) {
	t.Helper()
	if err := transport.Broadcast(within(t), &task.Broadcast{Exchange: gazette, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
}

// listenRole prints what it hears until it is killed.
func listenRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	l, err := transport.Listen(task.ListenConfig{
		Queue: "other", Exchange: gazette, Deliver: func(b *task.Broadcast) { fmt.Println(string(b.Body)) },
	})
	if err != nil {
		return err
	}
	if err := l.Ready(context.Background()); err != nil {
		return err
	}
	fmt.Println("listening")
	select {}
}

func TestAListenerOfADeadProcessIsForgotten(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	p := start(t, "listen", url)
	p.line()
	tell(t, transport, "hello")
	if line := p.line(); line != "hello" {
		t.Errorf("the other process heard %q", line)
	}
	p.kill()
	tell(t, transport, "anybody there?")
	consume(t, transport, 1, "q") // it looks for dead processes
	await(t, "nothing is left of the dead listener", func() bool {
		return inspect(t, url, `SELECT (SELECT count(*) FROM listener) + (SELECT count(*) FROM broadcast)`)[0][0] == "0"
	})
}

func TestBroadcastsToNobodyAreNotWritten(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"))
	log := path(url) + "-wal"
	before, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	teller := open(t, url)
	for range 1000 {
		tell(t, teller, "anybody there?")
	}
	if err := teller.Close(); err != nil { // all have left then
		t.Fatal(err)
	}
	_, heard := overhear(t, transport)
	tell(t, transport, "last")
	if body := <-heard; body != "last" {
		t.Errorf("heard %q", body)
	}
	// The listener's rows are a few pages; the thousand would be more.
	after, err := os.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	if grown := after.Size() - before.Size(); grown > 200<<10 {
		t.Errorf("the log has grown by %d bytes", grown)
	}
	if n := inspect(t, url, `SELECT seq FROM sqlite_sequence WHERE name = 'broadcast'`)[0][0]; n != "1" {
		t.Errorf("%s broadcasts were written", n)
	}
}

// A listener whose process was taken for dead, as one that was stopped for long, is soon one again.
func TestAListenerThatWasTakenForDead(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	listening, telling := open(t, url), open(t, url)
	_, heard := overhear(t, listening)
	tell(t, telling, "1")
	if body := <-heard; body != "1" {
		t.Errorf("heard %q", body)
	}
	if err := connect(t, url).Exec(`DELETE FROM listener; DELETE FROM proc`); err != nil {
		t.Fatal(err)
	}
	await(t, "it hears again", func() bool {
		tell(t, telling, "2")
		select {
		case <-heard:
			return true
		case <-time.After(10 * time.Millisecond):
			return false
		}
	})
}

func TestAListenerThatTakesNothingIsBounded(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	err := connect(t, url).Exec(`INSERT INTO listener (owner, queue, exchange, type, keys, ttl) VALUES (1, 'stopped', 'news', 'fanout', '[]', 60000)`)
	if err != nil {
		t.Fatal(err)
	}
	err = connect(t, url).Exec(fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO broadcast (listener, expires, props, body) SELECT 1, 1 << 50, '', '' FROM n`, 2*bulletin.MaxWaiting))
	if err != nil {
		t.Fatal(err)
	}
	_, heard := overhear(t, transport)
	tell(t, transport, "x")
	if body := <-heard; body != "x" {
		t.Errorf("heard %q", body)
	}
	if n := inspect(t, url, `SELECT count(*) FROM broadcast WHERE listener = 1`)[0][0]; n != fmt.Sprint(2*bulletin.MaxWaiting) {
		t.Errorf("%s lie there, more than may", n)
	}
}

func TestAListenerEndsWithItsTransport(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	l, _ := overhear(t, transport)
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Ready(within(t)); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Ready: %v", err)
	}
	if err := transport.Broadcast(within(t), &task.Broadcast{RoutingKey: "x"}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Broadcast: %v", err)
	}
	if _, err := transport.Listen(task.ListenConfig{Queue: "x", Deliver: func(*task.Broadcast) {}}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Listen: %v", err)
	}
}
