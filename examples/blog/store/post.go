package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Post is an article.
type Post struct {
	ID                         int64
	Slug, Title, Summary, Body string
	// Stamp names the picture on its stamp: loaf, envelope or train.
	Stamp     string
	Published time.Time
	// Comments is how many are published.
	Comments int
}

const selectPosts = `
	SELECT id, slug, stamp, title, summary, body, published,
		(SELECT count(*) FROM comments WHERE comments.post = posts.id AND status = 'published')
	FROM posts `

// Posts are all posts, the newest first.
func (s *Store) Posts(ctx context.Context) (posts []Post, err error) {
	rows, err := s.db.QueryContext(ctx, selectPosts+`ORDER BY published DESC`)
	if err != nil {
		return nil, fmt.Errorf("posts: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		post, err := scanPost(rows)
		if err != nil {
			return nil, fmt.Errorf("posts: %w", err)
		}
		posts = append(posts, *post)
	}
	return posts, rows.Err()
}

// Post finds a post by its slug, or [ErrNotFound].
func (s *Store) Post(ctx context.Context, slug string) (*Post, error) {
	post, err := scanPost(s.db.QueryRowContext(ctx, selectPosts+`WHERE slug = ?`, slug))
	if err != nil {
		return nil, fmt.Errorf("post %q: %w", slug, notFound(err))
	}
	return post, nil
}

// PostOf finds the post that a comment is on, or [ErrNotFound].
func (s *Store) PostOf(ctx context.Context, comment *Comment) (*Post, error) {
	post, err := scanPost(s.db.QueryRowContext(ctx, selectPosts+`WHERE id = ?`, comment.Post))
	if err != nil {
		return nil, fmt.Errorf("post of comment %d: %w", comment.ID, notFound(err))
	}
	return post, nil
}

// row is what sql.Row and sql.Rows have in common.
type row interface{ Scan(into ...any) error }

func scanPost(r row) (*Post, error) {
	var p Post
	var published int64
	err := r.Scan(&p.ID, &p.Slug, &p.Stamp, &p.Title, &p.Summary, &p.Body, &published, &p.Comments)
	p.Published = time.UnixMilli(published).UTC()
	return &p, err
}

// notFound says in our words that there was no row.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
