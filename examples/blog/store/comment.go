package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Status is how far a comment has come.
type Status string

// The statuses.
const (
	Checking  Status = "checking"  // the spam filter has not said anything yet
	Published Status = "published" // for all to see
	Held      Status = "held"      // taken for spam
)

// Comment is what a visitor has to say about a post.
type Comment struct {
	ID, Post int64
	// Name, Email, Homepage ("" if there is none) and Body are what was typed in.
	Name, Email, Homepage, Body string
	Posted                      time.Time
	// Author tells visitors apart: each has a secret token, and this is its hash.
	Author string
	// RemoteAddr, UserAgent and Referrer are for the spam filter.
	RemoteAddr, UserAgent, Referrer string
	Status                          Status
}

const selectComments = `
	SELECT id, post, name, email, homepage, body, posted, author, remote_addr, user_agent, referrer, status
	FROM comments `

// AddComment saves a comment, which is to be checked, and sets its ID. When it returns nil, the comment
// is committed.
func (s *Store) AddComment(ctx context.Context, c *Comment) error {
	result, err := s.db.ExecContext(ctx, `
		INSERT INTO comments (post, name, email, homepage, body, posted, author, remote_addr, user_agent, referrer)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.Post, c.Name, c.Email, c.Homepage, c.Body, c.Posted.UnixMilli(), c.Author, c.RemoteAddr, c.UserAgent, c.Referrer)
	if err != nil {
		return fmt.Errorf("saving a comment: %w", err)
	}
	c.Status = Checking
	c.ID, err = result.LastInsertId()
	return err
}

// Comment finds a comment by its id, or [ErrNotFound].
func (s *Store) Comment(ctx context.Context, id int64) (*Comment, error) {
	c, err := scanComment(s.db.QueryRowContext(ctx, selectComments+`WHERE id = ?`, id))
	if err != nil {
		return nil, fmt.Errorf("comment %d: %w", id, notFound(err))
	}
	return c, nil
}

// Comments are those of a post that an author may see, the oldest first: what is published, and what is
// the author's own.
func (s *Store) Comments(ctx context.Context, post int64, author string) ([]Comment, error) {
	comments, err := s.comments(ctx, `WHERE post = ? AND (status = 'published' OR author = ? AND author <> '')
		ORDER BY posted, id`, post, author)
	if err != nil {
		return nil, fmt.Errorf("comments of post %d: %w", post, err)
	}
	return comments, nil
}

// Unchecked are up to limit comments that have been without a verdict since before posted and whose task
// was never taken by the broker, or that was so before queued; the oldest first.
func (s *Store) Unchecked(ctx context.Context, posted, queued time.Time, limit int) ([]Comment, error) {
	comments, err := s.comments(ctx, `WHERE status = 'checking'
		AND (queued IS NULL AND posted < ? OR queued < ?) ORDER BY posted LIMIT ?`,
		posted.UnixMilli(), queued.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("unchecked comments: %w", err)
	}
	return comments, nil
}

// Decide gives a comment its status, if it has no verdict yet: a task that runs twice changes nothing.
func (s *Store) Decide(ctx context.Context, id int64, status Status) error {
	_, err := s.db.ExecContext(ctx, `UPDATE comments SET status = ? WHERE id = ? AND status = 'checking'`, status, id)
	if err != nil {
		return fmt.Errorf("comment %d: %w", id, err)
	}
	return nil
}

// Queued notes when the broker took the task that checks a comment.
func (s *Store) Queued(ctx context.Context, id int64, at time.Time) error {
	_, err := s.db.ExecContext(ctx, `UPDATE comments SET queued = ? WHERE id = ?`, at.UnixMilli(), id)
	if err != nil {
		return fmt.Errorf("comment %d: %w", id, err)
	}
	return nil
}

func (s *Store) comments(ctx context.Context, where string, args ...any) (comments []Comment, err error) {
	rows, err := s.db.QueryContext(ctx, selectComments+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		c, err := scanComment(rows)
		if err != nil {
			return nil, err
		}
		comments = append(comments, *c)
	}
	return comments, rows.Err()
}

func scanComment(r row) (*Comment, error) {
	var c Comment
	var posted int64
	err := r.Scan(&c.ID, &c.Post, &c.Name, &c.Email, &c.Homepage, &c.Body, &posted, &c.Author,
		&c.RemoteAddr, &c.UserAgent, &c.Referrer, &c.Status)
	c.Posted = time.UnixMilli(posted).UTC()
	return &c, err
}
