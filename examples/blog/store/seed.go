package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

//go:embed posts/*.txt
var posts embed.FS

// seed fills an empty database with the posts of posts/ and a few words about them.
func seed(ctx context.Context, tx *sql.Tx) error {
	var filled bool
	if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM posts)`).Scan(&filled); err != nil || filled {
		return err
	}
	files, err := fs.Glob(posts, "posts/*.txt")
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := seedPost(ctx, tx, file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, c := range firstComments {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO comments (post, name, email, homepage, body, posted, author, remote_addr, user_agent, referrer, status)
			VALUES ((SELECT id FROM posts WHERE slug = ?), ?, '', ?, ?, ?, '', '', '', '', 'published')`,
			c.post, c.name, c.homepage, c.body, c.posted.UnixMilli())
		if err != nil {
			return err
		}
	}
	return nil
}

// seedPost reads a file of four lines (day, picture on the stamp, title, summary) and, after an empty one, the text.
func seedPost(ctx context.Context, tx *sql.Tx, file string) error {
	text, err := posts.ReadFile(file)
	if err != nil {
		return err
	}
	head, body, _ := strings.Cut(string(text), "\n\n")
	lines := strings.Split(head, "\n")
	if len(lines) != 4 {
		return fmt.Errorf("%d lines before the text, want 4: day, stamp, title, summary", len(lines))
	}
	published, err := time.Parse(time.DateOnly, lines[0])
	if err != nil {
		return err
	}
	slug := strings.TrimSuffix(strings.TrimPrefix(file, "posts/"), ".txt")
	_, err = tx.ExecContext(ctx, `INSERT INTO posts (slug, stamp, title, summary, body, published) VALUES (?, ?, ?, ?, ?, ?)`,
		slug, lines[1], lines[2], lines[3], body, published.UnixMilli())
	return err
}

var firstComments = []struct {
	post, name, homepage, body string
	posted                     time.Time
}{
	{
		"the-bakery-with-one-line", "Hanneke", "",
		"We had numbers on paper slips when I was a child. You took one and went to look at the canal. I still think that is the best queue there is.",
		time.Date(2026, time.April, 15, 7, 42, 0, 0, time.UTC),
	},
	{
		"the-bakery-with-one-line", "Oluwaseun", "https://example.org/",
		"Now do supermarkets. I have never once picked the right line.\n\nNot once.",
		time.Date(2026, time.April, 15, 18, 5, 0, 0, time.UTC),
	},
	{
		"the-sorting-car", "Marguerite", "",
		"My grandfather sorted on the Lyon train for thirty years. He could read an address upside down, in a curve, by a lamp that was mostly smoke.",
		time.Date(2026, time.May, 21, 20, 13, 0, 0, time.UTC),
	},
}
