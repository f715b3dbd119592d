package worker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestParseQueues(t *testing.T) {
	t.Parallel()
	got, err := parseQueues([]string{"mail=2, default", "slow=1"})
	want := []task.QueueConfig{{Name: "mail", Concurrency: 2}, {Name: "default"}, {Name: "slow", Concurrency: 1}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err := parseQueues(nil); got != nil || err != nil {
		t.Errorf("no flag: got %v, %v", got, err)
	}
	for _, bad := range []string{"", "mail=", "mail=0", "mail=-1", "mail=x", "=2", "mail,,slow", "mail,mail=2", "mail=2=3"} {
		if got, err := parseQueues([]string{bad}); err == nil {
			t.Errorf("%q: got %v, want an error", bad, got)
		}
	}
}
