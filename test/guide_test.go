package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each row of docs/celery-guide.md names the tests that prove it; they exist. And each test that was written for the
// guide is named there.
func TestGuide(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/celery-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	functions, suite := declaredTests(t)
	named := map[string]bool{}
	inTable := false
	for number, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(line, " | ")
		if strings.HasPrefix(line, "| in Celery") || line == "" {
			inTable = line != ""
			continue
		}
		if !inTable || strings.HasPrefix(line, "| ---") {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("line %d has %d cells, want 4: %s", number+1, len(cells), line)
			continue
		}
		tests := codeSpan.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("line %d names no test: %s", number+1, line)
		}
		for _, match := range tests {
			name := match[1]
			named[name] = true
			function, sub, _ := strings.Cut(name, "/")
			switch {
			case !functions[function]:
				t.Errorf("line %d: there is no %s", number+1, function)
			case function == "TestConformance" && !suite[strings.ReplaceAll(sub, "_", " ")]:
				t.Errorf("line %d: the conformance suite has no %s", number+1, sub)
			}
		}
	}
	for name := range suite {
		if group, _, _ := strings.Cut(name, "/"); group == "Guide" && !named["TestConformance/"+strings.ReplaceAll(name, " ", "_")] {
			t.Errorf("docs/celery-guide.md does not name the test %s", name)
		}
	}
}

var (
	codeSpan      = regexp.MustCompile("`([^`]+)`")
	testFunction  = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	conformance   = regexp.MustCompile(`(?s)var (\w+)Tests = map\[string\]func.*?\n}`)
	conformedName = regexp.MustCompile(`(?m)^\t"(.+)": +\w+,`)
)

// declaredTests are the test functions of the module, and the tests of the conformance suite as Group/name.
func declaredTests(t *testing.T) (functions, suite map[string]bool) {
	t.Helper()
	functions, suite = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		inSuite := filepath.Dir(path) == filepath.Join("..", "runtime", "tasktest")
		if err != nil || !strings.HasSuffix(path, ".go") || !inSuite && !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range testFunction.FindAllStringSubmatch(string(source), -1) {
			functions[match[1]] = true
		}
		if inSuite {
			for _, group := range conformance.FindAllStringSubmatch(string(source), -1) {
				for _, name := range conformedName.FindAllStringSubmatch(group[0], -1) {
					suite[strings.ToUpper(group[1][:1])+group[1][1:]+"/"+name[1]] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return functions, suite
}
