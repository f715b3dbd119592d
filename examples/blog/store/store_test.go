package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
)

func open(t *testing.T, path string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// add saves a comment of an author on the first post.
func add(t *testing.T, s *store.Store, author string, posted time.Time) *store.Comment {
	t.Helper()
	posts, err := s.Posts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := &store.Comment{Post: posts[0].ID, Name: "Ada", Email: "ada@example.com", Body: "How true.", Author: author, Posted: posted}
	if err := s.AddComment(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A new database has posts; opening it again adds none.
func TestSeed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b%?#.db") // what a URL would take amiss
	for range 2 {
		s := open(t, path)
		posts, err := s.Posts(t.Context())
		if err != nil || len(posts) != 3 {
			t.Fatalf("%d posts, %v; want 3", len(posts), err)
		}
		for _, p := range posts {
			found, err := s.Post(t.Context(), p.Slug)
			if err != nil || *found != p {
				t.Errorf("%s: %+v, %v", p.Slug, found, err)
			}
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error("the file has another name:", err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "blog.db"))
	if _, err := s.Post(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a post: %v", err)
	}
	if _, err := s.Comment(t.Context(), 404); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a comment: %v", err)
	}
}

// Only authors see what has no verdict or was held.
func TestVisibility(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "blog.db"))
	c := add(t, s, "ada", time.Now())
	sees := func(author string) bool {
		comments, err := s.Comments(t.Context(), c.Post, author)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range comments {
			if other.ID == c.ID {
				return true
			}
		}
		return false
	}
	if !sees("ada") || sees("bob") || sees("") {
		t.Errorf("while it is checked: author %v, another %v, nobody %v", sees("ada"), sees("bob"), sees(""))
	}
	if err := s.Decide(t.Context(), c.ID, store.Held); err != nil {
		t.Fatal(err)
	}
	if !sees("ada") || sees("bob") || sees("") {
		t.Errorf("when it is held: author %v, another %v, nobody %v", sees("ada"), sees("bob"), sees(""))
	}
	other := add(t, s, "", time.Now())
	c = other
	if sees("") {
		t.Error("no cookie is an author too")
	}
	if err := s.Decide(t.Context(), c.ID, store.Published); err != nil {
		t.Fatal(err)
	}
	if !sees("bob") || !sees("") {
		t.Error("a published comment is hidden")
	}
}

// The first verdict stands.
func TestDecideOnce(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "blog.db"))
	c := add(t, s, "ada", time.Now())
	for _, status := range []store.Status{store.Held, store.Published} {
		if err := s.Decide(t.Context(), c.ID, status); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Comment(t.Context(), c.ID); err != nil || got.Status != store.Held {
		t.Errorf("%+v, %v; want %s", got, err, store.Held)
	}
}

func TestUnchecked(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "blog.db"))
	now := time.Now()
	unsent := add(t, s, "ada", now.Add(-time.Minute))
	lost := add(t, s, "ada", now.Add(-3*time.Hour))
	onItsWay := add(t, s, "ada", now.Add(-3*time.Hour))
	checked := add(t, s, "ada", now.Add(-3*time.Hour))
	add(t, s, "ada", now) // just arrived
	for _, err := range []error{
		s.Queued(t.Context(), lost.ID, now.Add(-2*time.Hour)),
		s.Queued(t.Context(), onItsWay.ID, now.Add(-time.Minute)),
		s.Decide(t.Context(), checked.ID, store.Published),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []int64
	comments, err := s.Unchecked(t.Context(), now.Add(-30*time.Second), now.Add(-time.Hour), 10)
	for _, c := range comments {
		got = append(got, c.ID)
	}
	if err != nil || len(got) != 2 || got[0] != lost.ID || got[1] != unsent.ID {
		t.Errorf("%v, %v; want %d and %d", got, err, lost.ID, unsent.ID)
	}
}

// What one process writes wakes the other.
func TestChanged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "blog.db")
	web, worker := open(t, path), open(t, path)
	c := add(t, web, "ada", time.Now())
	for {
		changed := web.Changed()
		got, err := web.Comment(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status == store.Published {
			return
		}
		if err := worker.Decide(t.Context(), c.ID, store.Published); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody noticed")
		}
	}
}
