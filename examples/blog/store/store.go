// Package store keeps the blog's posts and comments in a SQLite database, which the web server and the
// worker open both. It has nothing to do with the broker, which may be SQLite too.
package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	_ "github.com/ncruces/go-sqlite3/driver" // registers "sqlite3"
)

//go:embed schema.sql
var schema string

// ErrNotFound says that there is no such post or comment.
var ErrNotFound = errors.New("not found")

// Store is the open database. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	changes *changes
}

// Open opens the database in the file at path. A new one gets the first posts.
func Open(ctx context.Context, path string) (*Store, error) {
	dsn, err := dataSource(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, err)
	}
	db.SetMaxOpenConns(8)
	s := &Store{db: db}
	if err = s.prepare(ctx); err == nil {
		s.changes, err = watch(ctx, db)
	}
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", path, errors.Join(err, db.Close()))
	}
	return s, nil
}

// dataSource names the file with how to treat it: a writer waits for the other process, a
// transaction that reads before it writes takes the lock first, and a commit is on the disk.
func dataSource(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(full), RawQuery: url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(wal)", "synchronous(full)", "foreign_keys(on)"},
	}.Encode()}
	return file.String(), nil
}

// prepare makes what is missing. The web server and the worker may both be the first.
func (s *Store) prepare(ctx context.Context) error {
	return s.transaction(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		return seed(ctx, tx)
	})
}

// transaction commits what do does, unless that fails.
func (s *Store) transaction(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Close closes the database.
func (s *Store) Close() error {
	s.changes.stop()
	return s.db.Close()
}
