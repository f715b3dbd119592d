package sqlite

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// directoryName is the folder of the default database, at the module root.
	directoryName = ".taskgen"
	// databaseName is the database in a folder.
	databaseName = "queue.db"
)

// A location is what a URL says.
type location struct {
	// path is the database file, absolute, without symbolic links.
	path string
	// private says that the folder is ours alone: it was named, not the file.
	private bool
	// sync is what the database waits for before a message counts as accepted.
	sync syncMode
}

// A syncMode is a value of SQLite's synchronous pragma.
type syncMode string

const (
	// syncFull survives a power failure: each group of messages is on the disk
	// before its senders hear of it.
	syncFull syncMode = "FULL"
	// syncNormal survives the death of any process; a power failure can lose
	// the last messages. Several times faster on slow disks.
	syncNormal syncMode = "NORMAL"
)

// parseURL reads "sqlite:", "sqlite:path/to/folder-or-file.db" and
// "sqlite:///absolute/path.db?sync=normal".
func parseURL(rawURL string) (location, error) {
	rest, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return location{}, errors.New("the URL of an embedded broker begins with sqlite:")
	}
	name, rawQuery, _ := strings.Cut(rest, "?")
	if inURL, ok := strings.CutPrefix(name, "//"); ok {
		var err error
		if name, err = url.PathUnescape(inURL); err != nil {
			return location{}, fmt.Errorf("sqlite: the path of the URL: %w", err)
		}
		name = withoutDriveSlash(name)
	}
	if name == ":memory:" {
		return location{}, errors.New("sqlite: no other process would see a database in memory; use the broker memory: instead")
	}
	loc := location{sync: syncFull}
	if err := loc.parseQuery(rawQuery); err != nil {
		return location{}, err
	}
	if err := loc.resolve(name); err != nil {
		return location{}, err
	}
	return loc, nil
}

func (l *location) parseQuery(rawQuery string) error {
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return fmt.Errorf("sqlite: the options of the URL: %w", err)
	}
	for key, values := range query {
		if key != "sync" {
			return fmt.Errorf("sqlite: unknown option %q in the URL; there is sync=full and sync=normal", key)
		}
		switch mode := syncMode(strings.ToUpper(values[len(values)-1])); mode {
		case syncFull, syncNormal:
			l.sync = mode
		default:
			return fmt.Errorf("sqlite: sync=%s in the URL: it is full or normal", values[len(values)-1])
		}
	}
	return nil
}

// withoutDriveSlash turns /C:/x, as it stands in a URL, into C:/x.
func withoutDriveSlash(path string) string {
	if trimmed := strings.TrimPrefix(path, "/"); filepath.VolumeName(trimmed) != "" {
		return trimmed
	}
	return path
}

// resolve finds the database file that name means. All spellings of one file
// end in the same path, since the locks beside it are found by the path.
func (l *location) resolve(name string) error {
	var folder, file string
	switch info, err := os.Stat(name); {
	case name == "":
		root, err := projectRoot()
		if err != nil {
			return err
		}
		folder, file, l.private = filepath.Join(root, directoryName), databaseName, true
	case err == nil && info.IsDir(), err != nil && !looksLikeFile(name):
		folder, file, l.private = name, databaseName, true
	default:
		folder, file = filepath.Split(name)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	l.path = withoutSymlinks(filepath.Join(folder, file))
	return nil
}

func looksLikeFile(name string) bool {
	return slices.Contains([]string{".db", ".sqlite", ".sqlite3"}, strings.ToLower(filepath.Ext(name)))
}

// withoutSymlinks resolves the part of the path that exists.
func withoutSymlinks(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	folder, file := filepath.Split(filepath.Clean(path))
	if folder = filepath.Clean(folder); folder == path || file == "" {
		return path
	}
	return filepath.Join(withoutSymlinks(folder), file)
}

// projectRoot is where clients and workers of one project meet: the nearest
// folder upwards that has a database already or is the root of a module, else
// the current folder.
func projectRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		for _, mark := range []string{directoryName, "go.mod"} {
			if _, err := os.Stat(filepath.Join(folder, mark)); err == nil {
				return folder, nil
			}
		}
		if filepath.Dir(folder) == folder {
			return start, nil
		}
	}
}
