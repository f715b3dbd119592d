// Package articles shows why a task is given the id of a row, and not the row.
//
// Between the call of a task and its run anything can happen to the row. [EditorExpandRow] carries an article as it was
// at the call, and what somebody writes meanwhile is lost. [EditorExpand] carries the id, and changes the article
// as it is at the run. The test of this package loses an edit by the one, and keeps it by the other.
package articles

//go:generate go tool taskgen

import (
	"fmt"
	"strings"
	"sync"
)

// Article is a row of the table articles.
type Article struct {
	ID    int64  `db:"id"`
	Title string `db:"title"`
	Body  string `db:"body"`
}

// Store stands for the table.
type Store struct {
	mu   sync.Mutex
	rows map[int64]Article
}

// NewStore makes a store with some articles.
func NewStore(articles ...Article) *Store {
	s := &Store{rows: map[int64]Article{}}
	for _, a := range articles {
		s.Save(a)
	}
	return s
}

// Load returns an article as it is now.
func (s *Store) Load(id int64) (Article, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.rows[id]
	if !ok {
		return Article{}, fmt.Errorf("there is no article %d", id)
	}
	return a, nil
}

// Save makes the article what a says, whatever it was.
func (s *Store) Save(a Article) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[a.ID] = a
}

// Edit changes an article as it is now, as one transaction.
func (s *Store) Edit(id int64, change func(*Article)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.rows[id]
	if !ok {
		return fmt.Errorf("there is no article %d", id)
	}
	change(&a)
	s.rows[id] = a
	return nil
}

// Editor writes out in articles what authors have abbreviated.
type Editor struct{ Store *Store }

var abbreviations = strings.NewReplacer("approx.", "approximately", "dept.", "department")

// expandRow is how not to do it. The generator says so:
//
//	warning: task expandRow: parameter article: Article is a database model (field ID has a db tag): by the time the
//	task runs it may have changed, and saving it would undo that; pass its id and fetch it again in the task
//	(docs/directives.md, Rows of a database)
//
//task:queue articles
func (e *Editor) expandRow(article Article) {
	article.Body = abbreviations.Replace(article.Body)
	e.Store.Save(article)
}

// expand is how to do it: what it changes is what is there. The transaction keeps out even who
// writes at the same moment.
//
//task:queue articles
func (e *Editor) expand(articleID int64) error {
	return e.Store.Edit(articleID, func(a *Article) { a.Body = abbreviations.Replace(a.Body) })
}
