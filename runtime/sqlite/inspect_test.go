package sqlite_test

import (
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// path returns the database file of a test's URL.
func path(url string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(url, "sqlite:"), "?")
	return name
}

// connect opens the database as a stranger would, such as the sqlite3 shell.
func connect(t testing.TB, url string) *sqlite3.Conn {
	t.Helper()
	c, err := sqlite3.Open(path(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Exec(`PRAGMA busy_timeout = 5000`); err != nil {
		t.Fatal(err)
	}
	return c
}

// inspect runs a query and returns all columns as text.
func inspect(t testing.TB, url, query string, args ...string) [][]string {
	t.Helper()
	c := connect(t, url)
	s, _, err := c.Prepare(query)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, arg := range args {
		if err := s.BindText(i+1, arg); err != nil {
			t.Fatal(err)
		}
	}
	var rows [][]string
	for s.Step() {
		row := make([]string, s.ColumnCount())
		for i := range row {
			row[i] = s.ColumnText(i)
		}
		rows = append(rows, row)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
