package sqlite

import (
	"path/filepath"
	"testing"
	"time"
)

// TestLiveOfOldDatabase brings a database up to date whose schema did not say of a message that it is live.
func TestLiveOfOldDatabase(t *testing.T) {
	t.Parallel()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "queue.db")
	old, err := openConn(path, time.Second)
	check(err)
	check(old.script(`PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL`))
	for v := range 3 {
		check(applyMigration(old, v))
	}
	// Three of one task have died, and a fourth waits.
	check(old.script(`INSERT INTO msg (id, queue, prio, state, at, task_id, task) VALUES
		(1, 7, 0, 3, 1, 'a', 'x'), (2, 7, 0, 3, 2, 'a', 'x'), (3, 7, 0, 3, 3, 'a', 'x'), (4, 7, 0, 0, 4, 'a', 'x'), (5, 7, 0, 2, 5, 'b', 'x')`))
	check(old.close())
	db, err := openDatabase(t.Context(), location{path: path, sync: syncNormal})
	check(err)
	defer db.close()
	live, err := db.writer.number(`SELECT group_concat(id, '') FROM msg WHERE live`)
	check(err)
	dead, err := db.writer.number(`SELECT group_concat(id, '') FROM msg WHERE NOT live`)
	check(err)
	if live != 45 || dead != 123 {
		t.Errorf("live are %d, dead %d", live, dead)
	}
	for id, want := range map[string]int{"a": 0, "b": 0, "c": 1} {
		added, err := db.writer.exec(sqlInsert, 7, 0, stateReady, 6, taskID(id), "x")
		check(err)
		if added != want {
			t.Errorf("%d messages of task %s are added, want %d", added, id, want)
		}
	}
}
