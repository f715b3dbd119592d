package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
)

// maxHeader is how much of a header is kept for the spam filter, in bytes.
const maxHeader = 512

// addComment saves a comment, has it checked, and leads back to the post. The form is not sent
// again by a reload.
func (s *Site) addComment(w http.ResponseWriter, r *http.Request) {
	post, err := s.store.Post(r.Context(), r.PathValue("slug"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	f, err := readForm(w, r)
	if err != nil {
		s.badForm(w, r, err)
		return
	}
	if len(f.Problems) > 0 {
		s.showPost(w, r, http.StatusUnprocessableEntity, post, f)
		return
	}
	c := &store.Comment{
		Post: post.ID, Name: f.Name, Email: f.Email, Homepage: f.Homepage, Body: f.Comment,
		Posted: time.Now(), Author: knownAuthor(w, r), RemoteAddr: remoteAddr(r),
		UserAgent: head(r.UserAgent()), Referrer: head(r.Referer()),
	}
	if err := s.store.AddComment(r.Context(), c); err != nil {
		s.fail(w, r, err)
		return
	}
	// The comment is committed, and only now its task is sent. If that fails the visitor need not know: the
	// outbox sends it later, see there.
	if err := s.outbox.Send(r.Context(), c); err != nil {
		s.logger.WarnContext(r.Context(), "a task was not sent; the sweep sends it", "comment", c.ID, "error", err)
	}
	target := fmt.Sprintf("/posts/%s#comment-%d", post.Slug, c.ID)
	http.Redirect(w, r, target, http.StatusSeeOther) //nolint:gosec // the slug is the database's, which the visitor's has found
}

// badForm answers a request that is no form of ours.
func (s *Site) badForm(w http.ResponseWriter, r *http.Request, err error) {
	if errors.As(err, new(*http.MaxBytesError)) {
		s.message(w, r, http.StatusRequestEntityTooLarge, "Too heavy for this box", "The comment is too long. Go back, and make it shorter.")
		return
	}
	s.message(w, r, http.StatusBadRequest, "Illegible", "That was not sent by the form on the page.")
}

// remoteAddr is the visitor's address. X-Forwarded-For and its kind are not asked: anybody can write them.
// Behind a proxy, its module for the real address belongs here.
func remoteAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// head is the beginning of a header.
func head(s string) string { return s[:min(len(s), maxHeader)] }
