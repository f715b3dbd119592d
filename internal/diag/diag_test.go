package diag

import (
	"go/token"
	"path/filepath"
	"testing"
)

func at(file string, line, column int) token.Position {
	return token.Position{Filename: filepath.FromSlash(file), Line: line, Column: column}
}

func TestList(t *testing.T) {
	t.Parallel()
	var list List
	list.Errorf(at("/m/b.go", 1, 1), "last")
	list.Errorf(at("/m/a.go", 10, 1), "third")
	list.Errorf(at("/m/a.go", 2, 7), "second %d", 2)
	list.Warnf(at("/m/a.go", 2, 3), "first").Relatef(at("/elsewhere/c.go", 4, 5), "see %s", "here")
	list.Errorf(at("/m/a.go", 2, 7), "second 2")
	if !list.HasErrors() {
		t.Error("no errors")
	}
	list.Sort()
	want := "a.go:2:3: warning: first\n" +
		"\t/elsewhere/c.go:4:5: see here\n" +
		"a.go:2:7: second 2\n" +
		"a.go:10:1: third\n" +
		"b.go:1:1: last\n"
	if got := list.Format(filepath.FromSlash("/m")); filepath.ToSlash(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if list[:1].HasErrors() {
		t.Error("a warning counts as an error")
	}
}

func TestWithoutPlace(t *testing.T) {
	t.Parallel()
	if got := (Diagnostic{Message: "m"}).Format(""); got != "m" {
		t.Errorf("got %q", got)
	}
}
