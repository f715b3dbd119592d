package main

import (
	"fmt"
	"os"
	"strings"
)

// page has the tables, between these marks.
const (
	page        = "../docs/performance.md"
	tableBegins = "<!-- tables: written by make bench -->"
	tableEnds   = "<!-- end of tables -->"
)

// publish puts the tables into a page.
func publish(path, tables string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), tableBegins)
	_, after, closed := strings.Cut(rest, tableEnds)
	if !found || !closed {
		return fmt.Errorf("%s has no place for the tables: want %q and %q", path, tableBegins, tableEnds)
	}
	return os.WriteFile(path, []byte(before+tableBegins+"\n\n"+tables+"\n"+tableEnds+after), 0o644) //nolint:gosec // the path is a constant
}
