package tasks_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/blog/akismet"
	"github.com/taskgen/taskgen/examples/blog/akismet/akismettest"
	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/examples/blog/tasks"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// world is a blog whose tasks run at once.
type world struct {
	*store.Store

	client *task.Client
	checks atomic.Int32 // comments that Akismet was asked about
}

// newWorld makes one that asks the server h with this key.
func newWorld(t *testing.T, h http.Handler, key string) *world {
	t.Helper()
	w := &world{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "comment-check") {
			w.checks.Add(1)
		}
		h.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	asker, err := akismet.New(akismet.Config{Key: key, URL: server.URL, Site: "https://blog.example"})
	if err != nil {
		t.Fatal(err)
	}
	if w.Store, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "blog.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	registry := task.NewRegistry()
	tasks.RegisterTasks(registry, &tasks.Spam{Store: w.Store, Akismet: asker, Site: "https://blog.example"})
	w.client = task.Eager(registry)
	return w
}

// add saves a comment of somebody, who posted it at a time.
func (w *world) add(t *testing.T, name string, posted time.Time) *store.Comment {
	t.Helper()
	post, err := w.Post(t.Context(), "the-sorting-car")
	if err != nil {
		t.Fatal(err)
	}
	c := &store.Comment{
		Post: post.ID, Name: name, Email: "ada@example.com", Body: "How true.",
		RemoteAddr: "203.0.113.7", Author: "ada", Posted: posted,
	}
	if err := w.AddComment(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) status(t *testing.T, id int64) store.Status {
	t.Helper()
	c, err := w.Comment(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c.Status
}

// check runs the task as the web server would send it.
func (w *world) check(t *testing.T, id int64) (spam bool, err error) {
	t.Helper()
	call, err := tasks.SpamFilter.Delay(task.WithClient(t.Context(), w.client), id, "203.0.113.7")
	if err != nil {
		t.Fatal(err)
	}
	return call.Get(t.Context())
}

func TestFilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(akismettest.Handler), akismettest.Key)
	for name, want := range map[string]store.Status{"Ada": store.Published, akismettest.SpamAuthor: store.Held} {
		c := w.add(t, name, time.Now())
		asked := w.checks.Load()
		for range 2 { // the second run finds the verdict and asks nobody
			spam, err := w.check(t, c.ID)
			if err != nil || spam != (want == store.Held) {
				t.Errorf("%s: spam %v, %v", name, spam, err)
			}
		}
		if got := w.status(t, c.ID); got != want || w.checks.Load() != asked+1 {
			t.Errorf("%s: %s after %d checks, want %s after one", name, got, w.checks.Load()-asked, want)
		}
	}
}

func TestFilterDeletedComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(akismettest.Handler), akismettest.Key)
	if spam, err := w.check(t, 404); spam || err != nil {
		t.Errorf("spam %v, %v", spam, err)
	}
}

// While Akismet is down the task tries again; its errors are nothing final.
func TestFilterRetries(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	working := new(akismettest.Handler)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= 3 {
			http.Error(rw, "later", http.StatusServiceUnavailable)
			return
		}
		working.ServeHTTP(rw, r)
	}), akismettest.Key)
	c := w.add(t, "Ada", time.Now())
	if spam, err := w.check(t, c.ID); spam || err != nil || w.status(t, c.ID) != store.Published {
		t.Errorf("spam %v, %v, %s", spam, err, w.status(t, c.ID))
	}
}

// A wrong key is for somebody to mend: no retry, and the comment waits.
func TestFilterInvalidKey(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := new(akismettest.Handler)
	w := newWorld(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		server.ServeHTTP(rw, r)
	}), "s3cret")
	c := w.add(t, "Ada", time.Now())
	_, err := w.check(t, c.ID)
	if err == nil || !strings.Contains(err.Error(), "AKISMET_KEY") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error is %v", err)
	}
	if calls.Load() != 1 || w.status(t, c.ID) != store.Checking {
		t.Errorf("%d calls, want 1; the comment is %s", calls.Load(), w.status(t, c.ID))
	}
}

// What could not be sent when it was posted is sent by the sweep, once.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(akismettest.Handler), akismettest.Key)
	down, err := broker.Open(t.Context(), "memory:"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := down.Close(); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	broken, working := tasks.NewOutbox(w.Store, down, "", logger), tasks.NewOutbox(w.Store, w.client, "", logger)
	posted := time.Now()
	c := w.add(t, "Ada", posted)
	if err := broken.Send(t.Context(), c); err == nil {
		t.Fatal("a broker that is down took a task")
	}
	later := posted.Add(time.Minute)
	if err := broken.Sweep(t.Context(), later); err == nil {
		t.Error("the sweep has not noticed that the broker is down")
	}
	if err := working.Sweep(t.Context(), posted); err != nil || w.status(t, c.ID) != store.Checking {
		t.Errorf("a comment that has just arrived was swept: %v", err)
	}
	if err := working.Sweep(t.Context(), later); err != nil || w.status(t, c.ID) != store.Published {
		t.Errorf("the sweep: %v, the comment is %s", err, w.status(t, c.ID))
	}
	if err := working.Sweep(t.Context(), later.Add(24*time.Hour)); err != nil || w.checks.Load() != 1 {
		t.Errorf("the next sweep: %v, %d checks", err, w.checks.Load())
	}
}

// Run sweeps at once: what a crash has left does not wait for the first minute.
func TestRunSweepsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, new(akismettest.Handler), akismettest.Key)
	c := w.add(t, "Ada", time.Now().Add(-time.Hour))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	changed := w.Changed()
	go func() {
		defer close(done)
		tasks.NewOutbox(w.Store, w.client, "", slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	for w.status(t, c.ID) != store.Published {
		select {
		case <-changed:
			changed = w.Changed()
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was swept")
		}
	}
	cancel()
	<-done
}
