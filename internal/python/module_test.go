package python

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/internal/check"
	"github.com/taskgen/taskgen/internal/golden"
	"github.com/taskgen/taskgen/internal/model"
)

// TestModules makes a module of the tasks of a Go module, compares it, and has mypy look at how it is used: what is an
// error for mypy must say so in a comment.
func TestModules(t *testing.T) {
	t.Parallel()
	golden.Run(t, "../../testdata/python/*.txtar", func(t *testing.T, c *golden.Case) {
		r, err := check.Packages(t.Context(), check.Config{Dir: c.Dir, Patterns: []string{"./..."}})
		if err != nil {
			t.Fatal(err)
		}
		c.Diagnostics(t, r.Diagnostics)
		module := Module("tasks", r.Packages)
		if again := Module("tasks", r.Packages); !bytes.Equal(module, again) {
			t.Error("the second module of the same packages is another one")
		}
		c.Compare(t, map[string][]byte{"tasks.py": bytes.Replace(module, []byte(support), []byte("...\n"), 1)})
		write(t, filepath.Join(c.Dir, "tasks.py"), module)
		useTyped(t, c.Dir)
		run(t, c.Dir, interpreter(t), "-c", "import tasks")
	})
}

// TestSupport runs what support.py does to values.
func TestSupport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tasks.py"), []byte(support))
	write(t, filepath.Join(dir, "use.py"), []byte(`
from datetime import datetime, timedelta, timezone
import tasks as t

when = datetime(2026, 8, 20, 1, 2, 3, 456789, timezone(timedelta(hours=2)))
assert t.parse_timestamp(t.timestamp(when)) == when
assert t.parse_timestamp("2026-08-20T01:02:03.123456789Z") == datetime(2026, 8, 20, 1, 2, 3, 123456, timezone.utc)
assert t.parse_timestamp("2026-08-20T01:02:03-05:30").utcoffset() == timedelta(hours=-5.5)
for wrong in (lambda: t.timestamp(datetime.now()), lambda: t.parse_timestamp("yesterday"), lambda: t.decode_bytes("*")):
    try:
        wrong()
    except ValueError:
        pass
    else:
        raise AssertionError("no error")
assert t.decode_bytes(t.encode_bytes(b"\x00\xff")) == b"\x00\xff"
assert t.parse_nanoseconds(t.nanoseconds(timedelta(days=-1, microseconds=3))) == timedelta(days=-1, microseconds=3)
assert t.parse_seconds(1.5) == timedelta(seconds=1.5)
assert t.parse_seconds("1h2m3.000004s") == timedelta(hours=1, minutes=2, seconds=3, microseconds=4)
assert t.parse_seconds("-1.5ms") == timedelta(microseconds=-1500)
assert t._wire({"a": [b"x", (timedelta(seconds=90), when)], 1: "x", "n": None}) == {
    "a": ["eA==", [90.0, "2026-08-20T01:02:03.456789+02:00"]], 1: "x", "n": None}

task = t._Task("name", ["site", "token"], {"queue": "q.{site}", "priority": 9}, secret=["token"])
s = task._s({"site": True, "token": "x"})
assert dict(s.kwargs) == {"site": True, "token": "x"} and s.task == "name"
assert s.options["queue"] == "q.true" and s.options["serializer"] == "json" and s.options["declare"] == []
assert "'***'" in s.options["kwargsrepr"] and "'x'" not in s.options["kwargsrepr"]
try:
    task.apply_async(("eu",))
except TypeError as e:
    assert "site, token" in str(e)
else:
    raise AssertionError("no error")

import celery
mine = celery.Celery("mine", set_as_current=False)
t.bind(mine)
assert task._s({"site": "eu", "token": "x"}).app is mine
`))
	run(t, dir, interpreter(t), "use.py")
}

// TestHostile checks that nothing in a comment or a name gets out of where it belongs.
func TestHostile(t *testing.T) {
	t.Parallel()
	python := interpreter(t)
	dir := t.TempDir()
	var counts []string
	for _, doc := range []string{"plain", `"""`, `\"""`, `"`, `x"`, "a\"\"\"\nimport os\n\"\"\"", `ends with \`, `\N{x} \x \u`, "\u202e\x00\r", `""""""`} {
		p := &model.Package{Path: "example.com/app", Name: "app", Tasks: []*model.Task{{
			Name: "n" + doc, Func: "createUser", Stub: "CreateUser", Doc: strings.Split(doc, "\n"),
			Params:  []*model.Param{{Name: "x", Wire: doc, Type: &model.Type{Kind: model.String}}},
			Options: model.Options{Queue: doc, Secret: []string{doc}},
		}}}
		write(t, filepath.Join(dir, "tasks.py"), Module("tasks", []*model.Package{p}))
		cmd := exec.CommandContext(t.Context(), python, "-c", "import ast; print(len(ast.parse(open('tasks.py').read()).body))")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v\n%s", doc, err, out)
		}
		if counts = append(counts, string(out)); counts[0] != string(out) {
			t.Errorf("%q: %s statements, want %s", doc, out, counts[0])
		}
	}
}

// useTyped has mypy check use.py, and tasks.py with it.
func useTyped(t *testing.T, dir string) {
	t.Helper()
	mypy, err := exec.LookPath("mypy")
	if err != nil {
		t.Log("NOT TYPE-CHECKED: mypy is not installed (apt-get install mypy)")
		return
	}
	cmd := exec.CommandContext(t.Context(), mypy, "--strict", "--python-version", "3.9", "--no-color-output", "--no-error-summary", "--hide-error-context", "use.py")
	cmd.Dir = dir
	output, _ := cmd.CombinedOutput() // its exit code says that there are errors
	source, err := os.ReadFile(filepath.Join(dir, "use.py"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]string{}
	for i, line := range strings.Split(string(source), "\n") {
		if _, text, ok := strings.Cut(line, "# error: "); ok {
			wanted[fmt.Sprintf("use.py:%d", i+1)] = text
		}
	}
	for line := range strings.Lines(string(output)) {
		m := mypyError.FindStringSubmatch(line)
		switch {
		case m == nil:
		case wanted[m[1]] == "" || !strings.Contains(m[2], wanted[m[1]]):
			t.Errorf("mypy: %s", line)
		default:
			delete(wanted, m[1])
		}
	}
	for place, text := range wanted {
		t.Errorf("mypy does not say %s: %s\n%s", place, text, output)
	}
}

var mypyError = regexp.MustCompile(`^(\S+:\d+): error: (.*)`)

// interpreter is a Python that has Celery.
func interpreter(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("TASKGEN_TEST_PYTHON"), "python3", "/usr/bin/python3"} {
		if name != "" && exec.CommandContext(t.Context(), name, "-c", "import celery").Run() == nil {
			return name
		}
	}
	t.Skip("NOT RUN: no Python with Celery (apt-get install celery, or name one in TASKGEN_TEST_PYTHON)")
	return ""
}

func run(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, output)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
}
