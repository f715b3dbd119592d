package celery

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables into docs/celery.md")

// The tables of docs/celery.md are those that the tests run.
func TestDocs(t *testing.T) {
	t.Parallel()
	const path = "../../docs/celery.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for name, table := range map[string]string{"Python": pyTable(), "Go": goTable()} {
		begins, ends := "<!-- values of "+name+": written by go test ./test/celery -run TestDocs -update -->\n\n", "\n<!-- end of table -->"
		before, rest, found := strings.Cut(text, begins)
		is, after, closed := strings.Cut(rest, ends)
		switch {
		case !found || !closed:
			t.Fatalf("%s has no place for the values of %s: want %q and %q", path, name, begins, ends)
		case is != table && !*update:
			t.Errorf("the values of %s in %s are not those that are tested; run: go test ./test/celery -run TestDocs -update", name, path)
		}
		text = before + begins + table + ends + after
	}
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
