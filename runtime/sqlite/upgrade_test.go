package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// upgradeVariable makes the processes of these tests those of a newer program.
const upgradeVariable = "TASKGEN_SQLITE_TEST_UPGRADE"

// upgrade is the migration of the newer program. It takes long enough to be killed over it: the
// recursive query counts, once for each row.
const upgrade = `ALTER TABLE msg ADD COLUMN label TEXT NOT NULL DEFAULT '';
	UPDATE msg SET label = 'row ' || id || (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT max(i) FROM n WHERE msg.id > 0);
	CREATE INDEX msg_label ON msg (label);`

func init() {
	if os.Getenv(upgradeVariable) != "" {
		sqlite.AddMigration(upgrade)
	}
}

// newerSchema is the newer program's version of the schema.
var newerSchema = strconv.Itoa(sqlite.Schema() + 1)

// startNewer is start for a process of the newer program.
func startNewer(t testing.TB, role string, args ...string) *process {
	t.Helper()
	p := prepare(t, role, args...)
	p.Env = append(p.Env, upgradeVariable+"=yes")
	p.start()
	return p
}

func version(t testing.TB, url string) string { return inspect(t, url, `PRAGMA user_version`)[0][0] }

// old returns the URL of a database with something of everything, which nobody has open, and what is in it.
func old(t *testing.T) (url string, content [][]string) {
	t.Helper()
	url = filled(t, 300)
	transport := open(t, url)
	later := message("later")
	later.ETA = time.Now().Add(time.Hour)
	publish(t, transport, later)
	kill(t, transport, message("q"))
	if err := transport.StoreResult(within(t), &task.Result{ID: newID(), State: task.Success, Body: []byte("3")}); err != nil {
		t.Fatal(err)
	}
	if err := transport.Close(); err != nil {
		t.Fatal(err)
	}
	return url, everything(t, url)
}

func everything(t testing.TB, url string) [][]string {
	t.Helper()
	var all [][]string
	for _, query := range []string{
		`SELECT id, queue, prio, state, at, attempt, hex(task_id), task FROM msg ORDER BY id`,
		`SELECT id, hex(props), hex(body) FROM body ORDER BY id`, `SELECT * FROM dead ORDER BY id`,
		`SELECT hex(task_id), state, hex(body) FROM result`, `SELECT id, name FROM queue ORDER BY id`,
	} {
		all = append(all, inspect(t, url, query)...)
	}
	return all
}

func TestManyProcessesUpgradeADatabaseAtOnce(t *testing.T) {
	t.Parallel()
	url, before := old(t)
	var all []*process
	for range 10 {
		all = append(all, startNewer(t, "open", url))
	}
	for _, p := range all {
		p.end()
	}
	if v := version(t, url); v != newerSchema {
		t.Errorf("version %s", v)
	}
	if after := everything(t, url); !slices.EqualFunc(before, after, slices.Equal) {
		t.Errorf("%d rows became %d, or others", len(before), len(after))
	}
	if n := inspect(t, url, `SELECT count(*) FROM msg WHERE label LIKE 'row %50'`)[0][0]; n != "302" {
		t.Errorf("%s messages have what the upgrade gave them", n)
	}
	expectRefusal(t, url, "newer taskgen", "schema "+newerSchema, "update this program")
}

func TestAnOldProgramStopsWhenTheDatabaseIsUpgraded(t *testing.T) {
	t.Parallel()
	url := filled(t, 10)
	transport := open(t, url)
	w := consume(t, transport, 2, "q")
	w.next()
	d := w.next()
	startNewer(t, "open", url).end()
	err := transport.Publish(within(t), message("q"))
	if err == nil || !strings.Contains(err.Error(), "newer taskgen") || !strings.Contains(err.Error(), path(url)) {
		t.Errorf("got %v", err)
	}
	if err := w.Settle(within(t), d, task.Outcome{}); err == nil || !strings.Contains(err.Error(), "newer taskgen") {
		t.Errorf("settle: %v", err)
	}
	if w.Ready() {
		t.Error("the consumer says it is ready")
	}
	if n := inspect(t, url, `SELECT count(*) FROM msg`)[0][0]; n != "10" {
		t.Errorf("%s messages", n)
	}
}

func TestAnUpgradeThatIsKilled(t *testing.T) {
	t.Parallel()
	url, before := old(t)
	const upgrades = 6
	outcomes := map[string]int{}
	var took time.Duration // one upgrade
	for range upgrades {
		p := startNewer(t, "open", url)
		p.line() // it begins
		begin := time.Now()
		if took == 0 {
			p.end()
			took = time.Since(begin)
		} else {
			time.Sleep(rand.N(took + took/4))
			p.kill()
		}
		v := version(t, url)
		outcomes[v]++
		if labels := inspect(t, url, `SELECT count(*) FROM pragma_table_info('msg') WHERE name = 'label'`)[0][0]; strconv.Itoa(sqlite.Schema()+len(strings.Trim(labels, "0"))) != v {
			t.Fatalf("version %s, and %s new columns", v, labels)
		}
		if got := inspect(t, url, `PRAGMA integrity_check`)[0][0]; got != "ok" {
			t.Fatal(got)
		}
		if after := everything(t, url); !slices.EqualFunc(before, after, slices.Equal) {
			t.Fatalf("%d rows became %d, or others", len(before), len(after))
		}
		if v == newerSchema { // back to the old one, for the next
			back := fmt.Sprintf(`BEGIN; DROP INDEX msg_label; ALTER TABLE msg DROP COLUMN label; PRAGMA user_version = %d; COMMIT`, sqlite.Schema())
			if err := connect(t, url).Exec(back); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("upgrades=%d left_old=%d left_new=%d", upgrades, outcomes[strconv.Itoa(sqlite.Schema())], outcomes[newerSchema])
	if outcomes[strconv.Itoa(sqlite.Schema())]+outcomes[newerSchema] != upgrades {
		t.Error(fmt.Sprint(outcomes))
	}
}

// openRole opens the database, and closes it.
func openRole(args []string) error {
	fmt.Println("opening")
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	return transport.Close()
}
