package sqlite_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestTidyingUp(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	for i := range 1200 {
		ttl := time.Millisecond
		if i%2 == 0 {
			ttl = -1
		}
		id := fmt.Sprint("task-", i)
		go func() {
			if err := transport.StoreResult(within(t), &task.Result{ID: id, State: task.Success, TTL: ttl}); err != nil {
				t.Error(err)
			}
		}()
	}
	results := func() string { return inspect(t, url, `SELECT count(*) FROM result`)[0][0] }
	await(t, "all results are stored", func() bool { return results() == "1200" })
	time.Sleep(10 * time.Millisecond) // until the last has expired
	transport.Tidy(within(t))
	if n := results(); n != "600" {
		t.Errorf("%s results are left, want those that don't expire", n)
	}
}

func TestFreeSpaceGoesBack(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	var ms []*task.Message
	for range 3000 {
		m := message("q")
		m.Body = make([]byte, 8<<10)
		ms = append(ms, m)
	}
	if errs := transport.PublishMany(within(t), ms); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	if _, err := transport.Purge(within(t), "q"); err != nil {
		t.Fatal(err)
	}
	transport.Tidy(within(t))
	for _, name := range []string{path(url), path(url) + "-wal"} {
		if info, err := os.Stat(name); err != nil || info.Size() > 16<<20 {
			t.Errorf("%s: %v %v", name, info.Size(), err)
		}
	}
	if free := inspect(t, url, `PRAGMA page_count`)[0][0]; len(free) > 4 {
		t.Errorf("the empty database has %s pages", free)
	}
}
