package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestQueryPlans keeps the statements that run all the time on their indexes:
// none may look at rows that it doesn't need, or sort.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	db, err := openDatabase(t.Context(), location{path: filepath.Join(t.TempDir(), "queue.db"), sync: syncNormal})
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	for _, test := range []struct {
		sql  string
		args int
		want []string
	}{
		{sqlNext, 2, []string{"SEARCH msg USING INDEX msg_ready (queue=?)", "SEARCH body USING INTEGER PRIMARY KEY"}},
		{sqlLease, 5, []string{"SEARCH msg USING COVERING INDEX msg_ready (queue=?)", "SEARCH msg USING INTEGER PRIMARY KEY"}},
		{sqlIsReady, 1, []string{"SEARCH msg USING COVERING INDEX msg_ready (queue=?)"}},
		{sqlPromote, 1, []string{"SEARCH msg USING COVERING INDEX msg_delayed (at<?)"}},
		{sqlNextDue, 0, []string{"SEARCH msg USING COVERING INDEX msg_delayed"}},
		{sqlAck, 3, []string{"SEARCH msg USING INTEGER PRIMARY KEY"}},
		{sqlAckBody, 1, []string{"SEARCH body USING INTEGER PRIMARY KEY"}},
		{sqlGiveBack, 5, []string{"SEARCH msg USING INTEGER PRIMARY KEY"}},
		{sqlPark, 4, []string{"SEARCH msg USING INTEGER PRIMARY KEY"}},
		{sqlBury, 2, []string{"SEARCH msg USING COVERING INDEX msg_leased (owner=?)"}},
		{sqlOwners, 0, []string{"SCAN proc", "SCAN msg USING COVERING INDEX msg_leased", "SEARCH queue USING COVERING INDEX queue_owner"}},
		{sqlResult, 2, []string{"SEARCH result USING PRIMARY KEY (task_id=?)"}},
		{sqlExpire, 2, []string{"SEARCH result USING COVERING INDEX result_expires (expires<?)", "SEARCH result USING PRIMARY KEY"}},
		{sqlTouchChord, 2, nil},
		{sqlSizeChord, 2, []string{"SEARCH chord USING PRIMARY KEY (name=?)"}},
		{sqlComplete, 1, []string{"SEARCH chord USING PRIMARY KEY (name=?)"}},
		{sqlParts, 1, []string{"SEARCH chord_part USING PRIMARY KEY (chord=?)"}},
		{sqlForgetPart, 1, []string{"SEARCH chord_part USING PRIMARY KEY (chord=?)"}},
		{sqlOldChords, 2, []string{"SEARCH chord USING COVERING INDEX chord_expires (expires<?)"}},
		{sqlPurge, 3, []string{"SEARCH msg USING COVERING INDEX msg_ready (queue=?)"}},
		{sqlPurgeDelayed, 3, nil},
		{sqlInsert, 6, nil},
		{sqlQueue, 1, []string{"SEARCH queue USING INDEX sqlite_autoindex_queue_1 (name=?)"}},
		{sqlOwnQueue, 2, []string{"SEARCH queue USING INDEX"}},
		{sqlOwnQueues, 1, []string{"SEARCH queue USING INDEX queue_owner (owner=?)"}},
		{sqlExchange, 1, []string{"SEARCH exchange USING INDEX sqlite_autoindex_exchange_1 (name=?)"}},
		{sqlBindings, 1, []string{"SEARCH binding USING PRIMARY KEY (exchange=?)"}},
		{sqlUnbind, 1, []string{"SEARCH binding USING COVERING INDEX binding_queue (queue=?)"}},
		{sqlInherit, 3, []string{"SEARCH msg USING INDEX msg_live (queue=?)"}},
		{sqlInheritDead, 2, []string{"SEARCH msg USING INDEX msg_dead (queue=?)"}},
		{sqlEmpty, 1, []string{"SEARCH msg USING INDEX msg_live (queue=?)"}},
		{sqlEmptyDead, 1, []string{"SEARCH msg USING COVERING INDEX msg_dead (queue=?)"}},
		{sqlGraves, 4, []string{"SEARCH msg USING COVERING INDEX msg_dead (queue=? AND "}},
		{sqlExhume, 3, []string{"SEARCH msg USING", "SEARCH dead USING INTEGER PRIMARY KEY", "SEARCH body USING INTEGER PRIMARY KEY"}},
		{sqlReplay, 4, []string{"SEARCH msg USING"}},
		{sqlDrop, 3, []string{"SEARCH msg USING"}},
		{sqlUnheard, 1, []string{"SEARCH broadcast USING INDEX broadcast_listener (listener=?)"}},
		{sqlAnnounce, 4, []string{"SEARCH listener USING INTEGER PRIMARY KEY"}},
		{sqlHear, 4, []string{"SEARCH broadcast USING INDEX broadcast_listener (listener=? AND rowid>?)"}},
		{sqlIsDead, 3, []string{"SEARCH msg USING"}},
	} {
		var plan strings.Builder
		err := db.writer.query("EXPLAIN QUERY PLAN "+test.sql, func(r row) error {
			plan.WriteString(r.text(3) + "\n")
			return nil
		}, make([]any, test.args)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.want {
			if !strings.Contains(plan.String(), want) {
				t.Errorf("%s\nhas the plan\n%s\nwithout %q", test.sql, &plan, want)
			}
		}
		for _, bad := range []string{"SCAN msg\n", "SCAN body\n", "SCAN result\n", "SCAN queue\n", "SCAN binding\n", "USE TEMP B-TREE FOR ORDER BY"} {
			if strings.Contains(plan.String(), bad) {
				t.Errorf("%s\nhas the plan\n%s", test.sql, &plan)
			}
		}
	}
}
