// Package tasks has what the blog does in the background.
package tasks

//go:generate go tool taskgen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/taskgen/taskgen/examples/blog/akismet"
	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/runtime/task"
)

// Spam is what the spam filter works with. The worker makes one, in setup.go.
type Spam struct {
	Store   *store.Store
	Akismet *akismet.Client
	// Site is the URL of the blog's front page, without a slash at its end.
	Site string
}

// filter asks Akismet about a comment, stores the verdict and says whether it is spam.
//
// It gets an id and fetches the comment, because a comment in the message would be as old as the
// message. It may run twice for one comment, and changes nothing the second time.
//
// If Akismet is down it tries again ten times, which takes up to half an hour. What is unchecked then comes again
// from the [Outbox].
//
//task:queue blog
//task:autoretry
//task:max_retries 10
//task:default_retry_delay 2s
//task:retry_backoff
//task:retry_jitter
//task:timeout 30s
func (s *Spam) filter(ctx context.Context, log *slog.Logger, commentID int64, remoteAddr string) (bool, error) {
	log = log.With("comment", commentID)
	comment, err := s.Store.Comment(ctx, commentID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		// It was saved before the task was sent: so it was deleted since.
		log.InfoContext(ctx, "the comment is gone")
		return false, nil
	case err != nil:
		return false, err
	case comment.Status != store.Checking:
		log.InfoContext(ctx, "the comment has its verdict", "status", comment.Status)
		return comment.Status == store.Held, nil
	}
	verdict, err := s.ask(ctx, comment, remoteAddr)
	if err != nil {
		return false, fmt.Errorf("comment %d: %w", commentID, err)
	}
	status := store.Published
	if verdict != akismet.Ham {
		status = store.Held // also what Akismet would discard: this blog shows its author what became of it
	}
	if err := s.Store.Decide(ctx, commentID, status); err != nil {
		return false, err
	}
	log.InfoContext(ctx, "the comment was checked", "verdict", verdict, "status", status)
	return status == store.Held, nil
}

// ask is Akismet's verdict.
func (s *Spam) ask(ctx context.Context, comment *store.Comment, remoteAddr string) (akismet.Verdict, error) {
	if err := s.Akismet.VerifyKey(ctx); errors.Is(err, akismet.ErrInvalidKey) {
		return 0, task.Permanent(fmt.Errorf("set AKISMET_KEY and start the worker again: %w", err))
	} else if err != nil {
		return 0, err
	}
	post, err := s.Store.PostOf(ctx, comment)
	if err != nil {
		return 0, err
	}
	return s.Akismet.Check(ctx, &akismet.Comment{
		UserIP: remoteAddr, UserAgent: comment.UserAgent, Referrer: comment.Referrer,
		Permalink: s.Site + "/posts/" + post.Slug,
		Author:    comment.Name, Email: comment.Email, Homepage: comment.Homepage,
		Content: comment.Body, Posted: comment.Posted,
	})
}
