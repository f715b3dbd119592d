package sqlite_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// kill parks messages of queue q, one after the other.
func kill(t testing.TB, transport *sqlite.Transport, ms ...*task.Message) {
	t.Helper()
	w := consume(t, transport, 1, "q")
	at := time.Now().Add(-time.Hour)
	for _, m := range ms {
		publish(t, transport, m)
		d := w.next()
		at = at.Add(time.Millisecond)
		w.settle(d, task.Outcome{Dead: &task.DeadLetter{Reason: "panic", Error: "it broke", Stack: "main.go:1", Worker: "w@h", Time: at}})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// visitAll visits the dead letters of q, says action of each, and returns them.
func visitAll(t testing.TB, transport *sqlite.Transport, action task.DeadAction) []*task.DeadMessage {
	t.Helper()
	var all []*task.DeadMessage
	err := transport.DeadLetters(within(t), "q", func(d *task.DeadMessage) (task.DeadAction, error) {
		all = append(all, d)
		return action, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func ids(dead []*task.DeadMessage) []string {
	var all []string
	for _, d := range dead {
		all = append(all, d.Message.ID)
	}
	return all
}

// rows counts what is left in the tables of messages.
func rows(t testing.TB, url string) []string {
	return inspect(t, url, `SELECT (SELECT count(*) FROM msg), (SELECT count(*) FROM body), (SELECT count(*) FROM dead)`)[0]
}

func rich() *task.Message {
	m := message("q")
	m.ReplyTo, m.Priority, m.ContentEncoding = "somewhere", 7, "binary"
	m.Headers = map[string]any{"id": m.ID, "retries": int32(2), "eta": nil, "list": []any{"x", 0.5}}
	m.Body = []byte{0, 0xff, 'x'}
	return m
}

func TestADeadLetterSaysEverything(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	m := rich()
	kill(t, open(t, url), m)
	other := open(t, url)
	for range 2 { // it is kept
		dead := visitAll(t, other, task.KeepDead)
		if len(dead) != 1 {
			t.Fatalf("%d dead letters", len(dead))
		}
		if diff := cmp.Diff(m, dead[0].Message, cmpopts.IgnoreUnexported(task.Message{})); diff != "" {
			t.Error(diff)
		}
		age := time.Since(dead[0].Time)
		dead[0].Time = time.Time{}
		want := task.DeadLetter{Reason: "panic", Error: "it broke", Stack: "main.go:1", Worker: "w@h"}
		if dead[0].DeadLetter != want || age < 50*time.Minute || age > 70*time.Minute {
			t.Errorf("%+v, %s ago", dead[0].DeadLetter, age)
		}
	}
}

func TestAReplayIsDeliveredAsItWasSent(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	worker, other := open(t, url), open(t, url)
	m := rich()
	kill(t, worker, m)
	w := consume(t, worker, 1, "q") // it waits, and is woken by the other
	await(t, "the consumer is ready", w.Ready)
	visitAll(t, other, task.ReplayDead)
	d := w.next()
	if diff := cmp.Diff(m, d.Message, cmpopts.IgnoreUnexported(task.Message{})); diff != "" {
		t.Error(diff)
	}
	if d.Redelivered || d.Attempts != 0 {
		t.Errorf("%+v", d)
	}
	if dead := visitAll(t, other, task.KeepDead); len(dead) > 0 {
		t.Errorf("it is still dead: %v", ids(dead))
	}
	w.settle(d, task.Outcome{Dead: &task.DeadLetter{Reason: "again"}})
	if dead := visitAll(t, other, task.KeepDead); len(dead) != 1 || dead[0].Reason != "again" {
		t.Errorf("the second death: %v", ids(dead))
	}
}

// TestAReplayWakesTheConsumer tells a wake-up from the slow poll, which comes once a second.
func TestAReplayWakesTheConsumer(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	kill(t, transport, message("q"))
	w := consume(t, transport, 1, "q")
	await(t, "the consumer is ready", w.Ready)
	fastest := limit
	for range 5 {
		begin := time.Now()
		visitAll(t, transport, task.ReplayDead)
		d := w.next()
		fastest = min(fastest, time.Since(begin))
		w.settle(d, task.Outcome{Dead: &task.DeadLetter{Reason: "again"}})
	}
	if fastest > 500*time.Millisecond {
		t.Errorf("the fastest delivery took %s", fastest)
	}
}

func TestADroppedDeadLetterLeavesNothing(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	one, two, three := message("q"), message("q"), message("q")
	kill(t, transport, one, two, three)
	err := transport.DeadLetters(within(t), "q", func(d *task.DeadMessage) (task.DeadAction, error) {
		if d.Message.ID == two.ID {
			return task.KeepDead, nil
		}
		return task.DropDead, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if dead := ids(visitAll(t, transport, task.KeepDead)); !slices.Equal(dead, []string{two.ID}) {
		t.Errorf("left are %v", dead)
	}
	if got := rows(t, url); !slices.Equal(got, []string{"1", "1", "1"}) {
		t.Errorf("msg, body and dead have %v rows", got)
	}
}

func TestManyDeadLettersComeOldestFirst(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	kill(t, transport, message("q"))
	// Many have died in the same millisecond, in another order than they came.
	err := connect(t, url).Exec(`
		WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2499)
			INSERT INTO msg (id, queue, prio, state, at, task_id, task) SELECT id + i, queue, 0, 3, at + i * 7 % 4, 'task-' || i, task FROM msg, n;
		INSERT INTO body SELECT msg.id, props, body FROM msg, body WHERE msg.id > body.id;
		INSERT INTO dead SELECT msg.id, reason, error, stack, worker FROM msg, dead WHERE msg.id > dead.id;
		UPDATE msg SET task_id = 'task-0' WHERE typeof(task_id) = 'blob'`)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range inspect(t, url, `SELECT task_id FROM msg ORDER BY at, id`) {
		want = append(want, r[0])
	}
	if got := ids(visitAll(t, transport, task.KeepDead)); len(got) != 2500 || !slices.Equal(got, want) {
		t.Errorf("%d dead letters, or their order is another", len(got))
	}
	visitAll(t, transport, task.DropDead)
	if got := rows(t, url); !slices.Equal(got, []string{"0", "0", "0"}) {
		t.Errorf("msg, body and dead have %v rows", got)
	}
}

func TestWhatDiesDuringTheVisitIsNotVisited(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport, other := open(t, url), open(t, url)
	one, two, gone := message("q"), message("q"), message("q")
	kill(t, transport, one, two, gone)
	w := consume(t, other, 1, "q")
	var seen []string
	err := transport.DeadLetters(within(t), "q", func(d *task.DeadMessage) (task.DeadAction, error) {
		seen = append(seen, d.Message.ID)
		if len(seen) > 1 {
			w.settle(w.next(), task.Outcome{Dead: &task.DeadLetter{Reason: "again"}}) // the first
			return task.KeepDead, dropByID(t, other, gone.ID)
		}
		return task.ReplayDead, nil
	})
	if err != nil || !slices.Equal(seen, []string{one.ID, two.ID}) {
		t.Errorf("visited %v; %v", seen, err)
	}
	if dead := ids(visitAll(t, transport, task.KeepDead)); !slices.Equal(dead, []string{two.ID, one.ID}) {
		t.Errorf("then %v", dead)
	}
}

func dropByID(t testing.TB, transport *sqlite.Transport, id string) error {
	return transport.DeadLetters(within(t), "q", func(d *task.DeadMessage) (task.DeadAction, error) {
		if d.Message.ID == id {
			return task.DropDead, nil
		}
		return task.KeepDead, nil
	})
}

// TestADeadLetterThatSomebodyElseEnds has another transport replay or drop what this one visits.
func TestADeadLetterThatSomebodyElseEnds(t *testing.T) {
	t.Parallel()
	for _, theirs := range []task.DeadAction{task.ReplayDead, task.DropDead} {
		for _, ours := range []task.DeadAction{task.ReplayDead, task.DropDead} {
			url := newURL(t)
			transport, other := open(t, url), open(t, url)
			kill(t, transport, message("q"))
			err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) {
				visitAll(t, other, theirs)
				return ours, nil
			})
			want := 0
			if theirs == task.ReplayDead {
				want = 1 // waits, once
			}
			n, purged := transport.Purge(within(t), "q")
			if err != nil || purged != nil || n != want {
				t.Errorf("they %d, we %d: %d messages wait; %v %v", theirs, ours, n, err, purged)
			}
		}
	}
}

func TestADamagedDeadLetterDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	bad, bare, good := rich(), rich(), rich()
	kill(t, transport, bad, bare, good)
	db := connect(t, url)
	// The first string of the props can be read, the rest can't; the second has no props at all.
	if err := db.Exec(`UPDATE body SET props = x'96a178ff' WHERE id = (SELECT min(id) FROM msg)`); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(`DELETE FROM body WHERE id = (SELECT min(id) + 1 FROM msg)`); err != nil {
		t.Fatal(err)
	}
	dead := visitAll(t, transport, task.KeepDead)
	if len(dead) != 3 {
		t.Fatalf("%d dead letters", len(dead))
	}
	known := &task.Message{ID: bad.ID, Task: bad.Task, Queue: "q", Priority: bad.Priority, Body: bad.Body}
	if diff := cmp.Diff(known, dead[0].Message, cmpopts.IgnoreUnexported(task.Message{})); diff != "" {
		t.Error(diff)
	}
	for i, m := range []*task.Message{bad, bare, good} {
		if d := dead[i]; d.Message.ID != m.ID || d.Reason != "panic" || d.Error != "it broke" {
			t.Errorf("%+v %+v", d.DeadLetter, d.Message)
		}
	}
	visitAll(t, transport, task.DropDead)
	if got := rows(t, url); !slices.Equal(got, []string{"0", "0", "0"}) {
		t.Errorf("msg, body and dead have %v rows", got)
	}
}

func TestAReplayOfAnIDThatIsInTheQueue(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	m := message("q")
	kill(t, transport, m)
	expectClash := func(state string) {
		t.Helper()
		err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) { return task.ReplayDead, nil })
		for _, word := range []string{m.ID, "queue q", "waits or runs"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("it %s, and the error doesn't say %q: %v", state, word, err)
			}
		}
		if dead := ids(visitAll(t, transport, task.KeepDead)); !slices.Equal(dead, []string{m.ID}) {
			t.Errorf("it %s, and the dead letters are %v", state, dead)
		}
	}
	publish(t, transport, m)
	expectClash("waits")
	w := consume(t, transport, 1, "q")
	d := w.next()
	expectClash("runs")
	w.settle(d, task.Outcome{})
	visitAll(t, transport, task.ReplayDead)
	if d := w.next(); d.Message.ID != m.ID {
		t.Errorf("%+v", d.Message)
	}
}

func TestAReplayThatCannotBeHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	transport := open(t, newURL(t))
	one, two, three := message("q"), message("q"), message("q")
	kill(t, transport, one, two, three)
	publish(t, transport, two) // a second life
	err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) { return task.ReplayDead, nil })
	if err == nil || !strings.Contains(err.Error(), two.ID) || strings.Contains(err.Error(), one.ID) || strings.Contains(err.Error(), three.ID) {
		t.Errorf("got %v", err)
	}
	if dead := ids(visitAll(t, transport, task.KeepDead)); !slices.Equal(dead, []string{two.ID}) {
		t.Errorf("the dead letters are %v", dead)
	}
	w := consume(t, transport, 3, "q")
	for range 3 {
		w.next()
	}
}

func TestHowAVisitEnds(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	kill(t, transport, message("q"), message("q"))
	enough := errors.New("enough")
	visits := 0
	err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) {
		visits++
		return task.DropDead, enough
	})
	if err != enough || visits != 1 { //nolint:errorlint // it comes as it is, not wrapped
		t.Errorf("%d visits: %v", visits, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = transport.DeadLetters(ctx, "q", func(*task.DeadMessage) (task.DeadAction, error) {
		visits++
		cancel()
		return task.DropDead, nil
	})
	if !errors.Is(err, context.Canceled) || visits != 2 {
		t.Errorf("%d visits: %v", visits, err)
	}
	if dead := visitAll(t, transport, task.KeepDead); len(dead) != 2 {
		t.Errorf("%d dead letters are left", len(dead))
	}
	err = transport.DeadLetters(within(t), "unknown", func(*task.DeadMessage) (task.DeadAction, error) {
		t.Error("a visit")
		return task.KeepDead, nil
	})
	if made := inspect(t, url, `SELECT 1 FROM queue WHERE name = 'unknown'`); err != nil || len(made) > 0 {
		t.Errorf("a queue that is not there: %v, made: %v", err, made)
	}
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	if err := transport.DeadLetters(within(t), "q", nil); !errors.Is(err, task.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestAVisitHoldsNothing uses the queue from within a visit.
func TestAVisitHoldsNothing(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport, other := open(t, url), open(t, url)
	kill(t, transport, message("q"))
	err := transport.DeadLetters(within(t), "q", func(*task.DeadMessage) (task.DeadAction, error) {
		publish(t, transport, message("another"))
		publish(t, other, message("another"))
		_, err := transport.Result(within(t), "x")
		return task.KeepDead, err
	})
	if err != nil {
		t.Error(err)
	}
}
