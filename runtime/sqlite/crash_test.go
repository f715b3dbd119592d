package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// TestManyProcessesAtOnce has processes open a new database at the same moment,
// publish, and work off what all have published: 25 of them, and 100 with TASKGEN_FAULTS=long.
func TestManyProcessesAtOnce(t *testing.T) {
	const each = 10
	processes := 25
	if long {
		processes = 100
	}
	url, folder := "sqlite:"+filepath.Join(t.TempDir(), "folder"), t.TempDir()
	begin := time.Now()
	var all []*process
	for range processes {
		all = append(all, start(t, "join", url, folder, strconv.Itoa(each)))
	}
	for _, p := range all {
		if got := p.line(); got != "sent" {
			t.Fatal(got)
		}
	}
	sent := time.Since(begin)
	await(t, "the queue is empty", func() bool {
		return inspect(t, strings.Replace(url, "folder", "folder/queue.db", 1), `SELECT count(*) FROM msg`)[0][0] == "0"
	})
	for _, p := range all {
		_ = p.stdin.Close()
	}
	for _, p := range all {
		p.end()
	}
	accepted, started := readLedgers(t, folder, "accepted"), readLedgers(t, folder, "started")
	for id := range accepted {
		if started[id].times != 1 {
			t.Errorf("task %s started %d times", id, started[id].times)
		}
	}
	if len(accepted) != processes*each || len(started) != processes*each {
		t.Errorf("%d were accepted and %d started, of %d", len(accepted), len(started), processes*each)
	}
	t.Logf("processes=%d accepted=%d all_sent=%s all_ended=%s", processes, len(accepted), sent, time.Since(begin))
}

func TestAnotherProcessAnswersAtOnce(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	echo := start(t, "echo", url)
	if got := echo.line(); got != "ready" {
		t.Fatal(got)
	}
	client := open(t, url)
	var times []time.Duration
	for range 30 {
		begin := time.Now()
		m := message("q")
		publish(t, client, m)
		r, err := client.AwaitResult(within(t), m.ID)
		if err != nil || string(r.Body) != string(m.Body) || r.ContentType != m.ContentType {
			t.Fatalf("%+v %v", r, err)
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	// Without the doorbell each way would take half a second on average.
	if median := times[len(times)/2]; median > 200*time.Millisecond {
		t.Errorf("the median answer took %s", median)
	}
}

func TestTheMessagesOfADeadProcessComeBack(t *testing.T) {
	t.Parallel()
	const held = 5
	url := newURL(t)
	client := open(t, url)
	for range held {
		publish(t, client, message("q"))
	}
	holder := start(t, "hold", url, strconv.Itoa(held))
	want := map[string]bool{}
	for range held {
		want[holder.line()] = true
	}
	w := consume(t, client, held, "q")
	holder.kill()
	died := time.Now()
	for range held {
		d := w.next()
		if !want[d.Message.ID] || !d.Redelivered || d.Attempts != 1 {
			t.Errorf("delivered again: %+v of %s", d, d.Message.ID)
		}
		w.settle(d, task.Outcome{})
	}
	if took := time.Since(died); took > 5*time.Second {
		t.Errorf("the messages came back after %s", took)
	}
	if rows := inspect(t, url, `SELECT owner FROM proc`); len(rows) != 1 {
		t.Errorf("%d processes are known", len(rows))
	}
}

// long asks for the long form of some tests.
var long = os.Getenv("TASKGEN_FAULTS") == "long"

// stormWorkers is how many processes work in TestKillStorm, and stormSlots how many tasks each runs at a time.
const stormWorkers, stormSlots = 3, 8

// TestKillStorm kills senders and workers at random while they work, 40 times, or 1,000 times with
// TASKGEN_FAULTS=long, and counts. Everything that was accepted must run, and be settled once.
func TestKillStorm(t *testing.T) {
	kills := 40
	if long {
		kills = 1000
	}
	url, folder := newURL(t), t.TempDir()
	all := []*process{start(t, "send", url, folder), start(t, "send", url, folder)}
	for range stormWorkers {
		all = append(all, start(t, "work", url, folder))
	}
	workersKilled := 0
	for range kills {
		time.Sleep(20*time.Millisecond + rand.N(200*time.Millisecond))
		i := rand.N(len(all))
		role := all[i].role
		if role == "work" {
			workersKilled++
		}
		all[i].kill()
		if all[i].out.String() != "" {
			t.Errorf("a process said: %s", all[i].out)
		}
		all[i] = start(t, role, url, folder)
	}
	for _, p := range all[:2] {
		p.kill()
	}
	await(t, "the queue is empty", func() bool {
		return inspect(t, url, `SELECT count(*) FROM msg`)[0][0] == "0"
	})
	for _, p := range all {
		p.kill()
	}
	c := takeCensus(t, url, folder)
	t.Logf("kills=%d of_workers=%d %s", kills, workersKilled, c)
	if c.accepted == 0 || c.lost > 0 || c.without > 0 || c.settledTwice > 0 || c.integrity != "ok" {
		t.Error("see the figures")
	}
	if most := workersKilled * stormSlots; c.startedTwice > most || c.completedTwice > most {
		t.Errorf("no more than %d can have been in flight", most)
	}
}

// A census is what the ledgers and the database say in the end.
type census struct {
	accepted, lost, startedTwice, completedTwice, settledTwice int
	// without is how many were accepted and have no result.
	without int
	// again is how long it took from the first start of a task to its last: the median, and the longest.
	again     [2]time.Duration
	integrity string
}

func (c census) String() string {
	return fmt.Sprintf("accepted=%d lost=%d started_twice=%d completed_twice=%d settled_twice=%d without_result=%d again_after_median=%s again_after_max=%s integrity=%s",
		c.accepted, c.lost, c.startedTwice, c.completedTwice, c.settledTwice, c.without,
		c.again[0].Round(time.Millisecond), c.again[1].Round(time.Millisecond), c.integrity)
}

func takeCensus(t testing.TB, url, folder string) census {
	t.Helper()
	accepted, started := readLedgers(t, folder, "accepted"), readLedgers(t, folder, "started")
	completed, settled := readLedgers(t, folder, "completed"), readLedgers(t, folder, "settled")
	c := census{accepted: len(accepted), integrity: inspect(t, url, `PRAGMA integrity_check`)[0][0]}
	var again []time.Duration
	for id, s := range started {
		if s.times > 1 {
			c.startedTwice++
			again = append(again, s.last.Sub(s.first))
		}
		if completed[id].times > 1 {
			c.completedTwice++
		}
		if settled[id].times > 1 {
			c.settledTwice++
		}
	}
	if slices.Sort(again); len(again) > 0 {
		c.again = [2]time.Duration{again[len(again)/2], again[len(again)-1]}
	}
	client := open(t, url)
	for id := range accepted {
		if completed[id].times == 0 {
			c.lost++
		}
		r, err := client.Result(within(t), id)
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			c.without++
		}
	}
	return c
}

// await waits until ok is true.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// lockerRole takes the write lock and keeps it until it is killed.
func lockerRole(args []string) error {
	if err := lockForever(args[0]); err != nil {
		return err
	}
	fmt.Println("locked")
	select {}
}

func TestAProcessThatKeepsTheWriteLock(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	client, other := open(t, url), open(t, url)
	w := consume(t, other, 1, "q")
	locker := start(t, "locker", filepath.Join(path(url)+"-locks", "write.lock"))
	locker.line()

	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	m := message("q")
	err := client.Publish(ctx, m)
	if !errors.Is(err, task.ErrBlocked) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	begin := time.Now()
	if err := client.Close(); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("close took %s: %v", time.Since(begin), err)
	}
	locker.kill()
	m = message("q")
	publish(t, other, m)
	if d := w.next(); d.Message.ID != m.ID {
		t.Error("a message that surely was not queued was delivered")
	}
}
