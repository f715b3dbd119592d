package sqlite

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(elem ...string) string { return filepath.Join(append([]string{root}, elem...)...) }
	for _, folder := range []string{in("module", "cmd", "deep"), in("used", ".taskgen"), in("used", "sub"), in("some.db")} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{in("module", "go.mod"), in("module", "store")} {
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		cwd, url, path string
		private        bool
		sync           syncMode
	}{
		{in("module", "cmd", "deep"), "sqlite:", in("module", ".taskgen", "queue.db"), true, syncFull},
		{in("used", "sub"), "sqlite:", in("used", ".taskgen", "queue.db"), true, syncFull},
		{in("module"), "sqlite:?sync=normal", in("module", ".taskgen", "queue.db"), true, syncNormal},
		{in("module"), "sqlite:data", in("module", "data", "queue.db"), true, syncFull},
		{in("module"), "sqlite:data/mine.db", in("module", "data", "mine.db"), false, syncFull},
		{in("module"), "sqlite:store", in("module", "store"), false, syncFull},
		{root, "sqlite:some.db", in("some.db", "queue.db"), true, syncFull},
		{root, "sqlite:100%.db", in("100%.db"), false, syncFull},
		{root, "sqlite://" + filepath.ToSlash(in("a%20b.db")) + "?sync=full", in("a b.db"), false, syncFull},
	} {
		if runtime.GOOS == "windows" && strings.Contains(test.url, "//") {
			continue
		}
		t.Chdir(test.cwd)
		got, err := parseURL(test.url)
		if want := (location{test.path, test.private, test.sync}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", test.url, got, err, want)
		}
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Parallel()
	for url, says := range map[string]string{
		"amqp://localhost":    "begins with sqlite:",
		"sqlite::memory:":     "memory:",
		"sqlite:x?sync=maybe": "full or normal",
		"sqlite:x?cache=big":  `"cache"`,
		"sqlite://%zz":        "path of the URL",
		"sqlite:x?%zz":        "options of the URL",
	} {
		if _, err := parseURL(url); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestSymlinksLeadToTheSameDatabase(t *testing.T) {
	t.Parallel()
	folder, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(folder, link); err != nil {
		t.Skip(err)
	}
	a, err := parseURL("sqlite:" + filepath.Join(folder, "x", "new.db"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := parseURL("sqlite:" + filepath.Join(link, "x", "new.db"))
	if err != nil || a != b {
		t.Errorf("%+v, %+v, %v", a, b, err)
	}
}

func TestOlderVersion(t *testing.T) {
	t.Parallel()
	for v, want := range map[string]bool{"3.51.2": true, "3.51.3": false, "3.53.4": false, "3.6.0": true, "4.0": false, "3.51": true} {
		if got := olderVersion(v, oldestSQLite); got != want {
			t.Errorf("%s: %v", v, got)
		}
	}
}
