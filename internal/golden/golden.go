// Package golden runs tests that are txtar files: a module, and what is to
// come of it.
//
// A section named after a file is input. A section "want:file" is what the
// output of that name must be; go test -update rewrites those. A comment
//
//	// want "regexp" "another"
//
// stands on the very line that must be diagnosed, once for each regexp; "want:7"
// says column 7 too. Where a comment would be in the way, as behind a directive, "want+1" and
// "want-2" speak of another line. Every diagnostic must be wanted.
package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
	"golang.org/x/tools/txtar"

	"github.com/taskgen/taskgen/internal/diag"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Case is one test.
type Case struct {
	// Name is the file name without its extension.
	Name string
	// Dir holds the input files, in a directory of their own. A module
	// example.com/app that can import taskgen is around them unless the case
	// has a go.mod.
	Dir string
	// Comment is the text above the sections.
	Comment string

	path    string
	archive *txtar.Archive
}

// want is the prefix of sections with output.
const want = "want:"

// Run runs every txtar file that matches the pattern as a parallel subtest.
func Run(t *testing.T, pattern string, test func(t *testing.T, c *Case)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files match %s (%v)", pattern, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			test(t, &Case{Name: name, Dir: Write(t, archive), Comment: string(archive.Comment), path: path, archive: archive})
		})
	}
}

// Write puts the input files of an archive into a temporary directory, and a
// go.mod if there is none.
func Write(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if !strings.HasPrefix(f.Name, want) {
			writeFile(t, filepath.Join(dir, filepath.FromSlash(f.Name)), f.Data)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		Module(t, dir, "example.com/app")
	}
	return dir
}

// Module writes a go.mod and go.sum that let the module at dir import taskgen as
// it is in this repository.
func Module(t testing.TB, dir, path string) {
	t.Helper()
	root := Root()
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	own := mod.Module.Mod.Path
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(mod.AddModuleStmt(path))
	must(mod.AddRequire(own, "v0.0.0"))
	must(mod.AddReplace(own, "", root, ""))
	data, err = mod.Format()
	must(err)
	writeFile(t, filepath.Join(dir, "go.mod"), data)
	if sum, err := os.ReadFile(filepath.Join(root, "go.sum")); err == nil {
		writeFile(t, filepath.Join(dir, "go.sum"), sum)
	}
}

// Root is the directory of this repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Compare compares output, by file name relative to Dir, with the wanted sections; with
// -update it makes them the wanted ones.
func (c *Case) Compare(t *testing.T, output map[string][]byte) {
	t.Helper()
	if *update {
		c.rewrite(t, output)
		return
	}
	got, wanted := map[string]string{}, map[string]string{}
	for name, data := range output {
		got[name] = string(data)
	}
	for _, f := range c.archive.Files {
		if name, ok := strings.CutPrefix(f.Name, want); ok {
			wanted[name] = string(f.Data)
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("%s: output differs (-want +got; go test -update rewrites the file):\n%s", c.path, diff)
	}
}

func (c *Case) rewrite(t *testing.T, output map[string][]byte) {
	t.Helper()
	archive := &txtar.Archive{Comment: c.archive.Comment}
	for _, f := range c.archive.Files {
		if !strings.HasPrefix(f.Name, want) {
			archive.Files = append(archive.Files, f)
		}
	}
	for name, data := range output {
		archive.Files = append(archive.Files, txtar.File{Name: want + name, Data: data})
	}
	slices.SortStableFunc(archive.Files, func(a, b txtar.File) int {
		if x, y := strings.HasPrefix(a.Name, want), strings.HasPrefix(b.Name, want); !x || !y {
			return 0
		}
		return strings.Compare(a.Name, b.Name)
	})
	if err := os.WriteFile(c.path, txtar.Format(archive), 0o666); err != nil {
		t.Fatal(err)
	}
}

// expectation is one wanted diagnostic.
type expectation struct {
	file      string
	line, col int
	re        *regexp.Regexp
	met       bool
}

var wanted = regexp.MustCompile(`// want([+-][0-9]+)?(?::([0-9]+))? ("(?:[^"\\]|\\.)*"|` + "`[^`]*`" + `)((?: ".*| ` + "`" + `.*)?)$`)

// Diagnostics compares diagnostics with the want comments of the input.
func (c *Case) Diagnostics(t *testing.T, list diag.List) {
	t.Helper()
	expected, err := c.expectations()
	if err != nil {
		t.Fatal(err)
	}
next:
	for _, d := range list {
		text := strings.TrimPrefix(diag.Diagnostic{Message: d.Message, Severity: d.Severity}.Format(""), "-: ")
		for _, e := range expected {
			if !e.met && e.file == d.Pos.Filename && e.line == d.Pos.Line && (e.col == 0 || e.col == d.Pos.Column) && e.re.MatchString(text) {
				e.met = true
				continue next
			}
		}
		t.Errorf("not wanted: %s", d.Format(c.Dir))
	}
	for _, e := range expected {
		if !e.met {
			t.Errorf("missing: %s:%d:%d: %s", e.file, e.line, e.col, e.re)
		}
	}
}

func (c *Case) expectations() ([]*expectation, error) {
	var list []*expectation
	for _, f := range c.archive.Files {
		for i, line := range strings.Split(string(f.Data), "\n") {
			m := wanted.FindStringSubmatch(strings.TrimRight(line, "\r "))
			if m == nil {
				continue
			}
			offset, _ := strconv.Atoi(m[1])
			column, _ := strconv.Atoi(m[2])
			rest := m[3] + m[4]
			for rest != "" {
				quoted, err := strconv.QuotedPrefix(rest)
				if err != nil {
					return nil, fmt.Errorf("%s: %s:%d: %w", c.path, f.Name, i+1, err)
				}
				rest = strings.TrimSpace(rest[len(quoted):])
				text, _ := strconv.Unquote(quoted)
				re, err := regexp.Compile(text)
				if err != nil {
					return nil, fmt.Errorf("%s: %s:%d: %w", c.path, f.Name, i+1, err)
				}
				list = append(list, &expectation{
					file: filepath.Join(c.Dir, filepath.FromSlash(f.Name)),
					line: i + 1 + offset, col: column, re: re,
				})
			}
		}
	}
	return list, nil
}
