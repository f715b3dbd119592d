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
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestTwentyProcessesOpenANewDatabaseAtOnce(t *testing.T) {
	t.Parallel()
	const processes = 20
	url := "sqlite:" + filepath.Join(t.TempDir(), "new", "folder")
	var all []*process
	for range processes {
		all = append(all, start(t, "open", url))
	}
	for _, p := range all {
		p.end()
	}
	n, err := open(t, url).Purge(within(t), "q")
	if n != processes || err != nil {
		t.Errorf("%d of %d messages were queued, %v", n, processes, err)
	}
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

// TestNothingIsLostWhenProcessesAreKilled kills senders and workers at random
// while they work, and counts: everything that was accepted must run. How long
// it goes on is TASKGEN_CRASH_SECONDS.
func TestNothingIsLostWhenProcessesAreKilled(t *testing.T) {
	seconds := 12
	if testing.Short() {
		seconds = 3
	}
	if s := os.Getenv("TASKGEN_CRASH_SECONDS"); s != "" {
		var err error
		if seconds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	url, folder := newURL(t), t.TempDir()
	roles := []string{"send", "send", "work", "work", "work"}
	all := make([]*process, len(roles))
	for i, role := range roles {
		all[i] = start(t, role, url, folder)
	}
	kills := 0
	for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); kills++ {
		time.Sleep(50*time.Millisecond + rand.N(250*time.Millisecond))
		i := rand.N(len(all))
		all[i].kill()
		if all[i].out.Len() > 0 {
			t.Errorf("a process said: %s", all[i].out)
		}
		all[i] = start(t, roles[i], url, folder)
	}
	for i, p := range all {
		if roles[i] == "send" {
			p.kill()
		}
	}
	accepted := readLedgers(t, folder, "accepted")
	await(t, "the queue is empty", func() bool {
		return inspect(t, url, `SELECT count(*) FROM msg`)[0][0] == "0"
	})
	for _, p := range all {
		p.kill()
	}
	checkLedgers(t, url, folder, accepted, kills)
}

func checkLedgers(t *testing.T, url, folder string, accepted map[string]int, kills int) {
	ran, settled := readLedgers(t, folder, "ran"), readLedgers(t, folder, "settled")
	results := map[string]bool{}
	client := open(t, url)
	lost, repeated, twice := 0, 0, 0
	for id := range accepted {
		if ran[id] == 0 {
			lost++
		}
		if ran[id] > 1 {
			repeated++
		}
		if settled[id] > 1 {
			twice++
		}
		r, err := client.Result(within(t), id)
		if err != nil {
			t.Fatal(err)
		}
		results[id] = r != nil
	}
	for id, stored := range results {
		if !stored {
			t.Errorf("task %s has no result", id)
		}
	}
	t.Logf("%d kills, %d accepted, %d lost, %d ran more than once", kills, len(accepted), lost, repeated)
	if len(accepted) == 0 || lost > 0 || twice > 0 {
		t.Errorf("of %d accepted %d were lost, %d settled twice", len(accepted), lost, twice)
	}
	if got := inspect(t, url, `PRAGMA integrity_check`); got[0][0] != "ok" {
		t.Errorf("integrity_check: %v", got)
	}
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
