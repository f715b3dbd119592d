package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/taskgen/taskgen/internal/model"
)

// marker matches what may be a directive, right or wrong. It looks at text, so it
// finds too much, never too little.
var marker = regexp.MustCompile(`(?i)/[/*][ \t]*task(gen|s)?[ \t]*:`)

// beginnings of a directive that nobody has finished, as written and as gofmt writes them.
var beginnings = [][]byte{[]byte("//task"), []byte("// task\n"), []byte("// task\r")}

// marked says whether a file may hold directives. The plain searches rule nearly
// every file out at the speed of memory.
func marked(src []byte) bool {
	if !bytes.Contains(src, []byte("ask")) && !bytes.Contains(src, []byte("ASK")) {
		return false
	}
	return marker.Match(src) || slices.ContainsFunc(beginnings, func(b []byte) bool { return bytes.Contains(src, b) })
}

// Find returns the directories that match the patterns and may declare tasks or
// hold a generated file, sorted. It looks at the text of all files, and is all
// that has to be done in a directory that the cache knows.
func (w *Workspace) Find(patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		patterns = []string{"."}
	}
	s := &walker{slots: make(chan struct{}, 4*runtime.GOMAXPROCS(0)), found: map[string]bool{}}
	for _, pattern := range patterns {
		dir, tree, err := w.directory(pattern)
		if err != nil {
			return nil, err
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("pattern %q: %s is no directory", pattern, dir)
		}
		if tree {
			var ignore []string
			if m, err := w.module(dir); err == nil {
				for _, path := range m.ignore {
					ignore = append(ignore, filepath.Join(m.dir, path))
				}
			}
			s.group.Add(1)
			go s.walk(dir, ignore)
		} else {
			s.visit(dir)
		}
	}
	s.group.Wait()
	var dirs []string
	for dir := range s.found {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs, errors.Join(s.errs...)
}

// directory is where a pattern points, and whether it means all below as well.
func (w *Workspace) directory(pattern string) (dir string, tree bool, err error) {
	base, tree := strings.CutSuffix(pattern, "...")
	if tree && base != "" && !strings.HasSuffix(base, "/") && !strings.HasSuffix(base, string(filepath.Separator)) {
		return "", false, fmt.Errorf("pattern %q: write /... for a directory and all below it", pattern)
	}
	if strings.Contains(base, "...") {
		return "", false, fmt.Errorf("pattern %q: ... can only be the end of a pattern", pattern)
	}
	if strings.HasSuffix(base, ".go") {
		return "", false, fmt.Errorf("pattern %q is a file: name its directory", pattern)
	}
	local := filepath.FromSlash(base)
	switch {
	case filepath.IsAbs(local):
		return filepath.Clean(local), tree, nil
	case base == "." || base == ".." || strings.HasPrefix(base, "./") || strings.HasPrefix(base, "../"),
		tree && base == "",
		strings.HasPrefix(local, "."+string(filepath.Separator)), strings.HasPrefix(local, ".."+string(filepath.Separator)):
		return filepath.Join(w.dir, local), tree, nil
	}
	m, err := w.module(w.dir)
	if err != nil {
		return "", false, err
	}
	importPath := strings.TrimSuffix(base, "/")
	for _, l := range m.locals {
		if under(importPath, l.path) && m.sourceDir(importPath) != "" {
			return m.sourceDir(importPath), tree, nil
		}
	}
	if exists(filepath.Join(w.dir, local)) {
		return "", false, fmt.Errorf("pattern %q is no package of this module; for the directory write ./%s", pattern, pattern)
	}
	return "", false, fmt.Errorf("pattern %q is no package of module %s", pattern, m.path)
}

// walker searches directory trees in parallel.
type walker struct {
	group sync.WaitGroup
	slots chan struct{} // bounds the open files
	mu    sync.Mutex
	found map[string]bool
	errs  []error
}

// walk visits a directory and all below it but those that the go command leaves out too.
func (s *walker) walk(dir string, ignore []string) {
	defer s.group.Done()
	for _, entry := range s.visit(dir) {
		name := entry.Name()
		if !entry.IsDir() || name[0] == '.' || name[0] == '_' || name == "testdata" || name == "vendor" {
			continue
		}
		sub := filepath.Join(dir, name)
		if slices.Contains(ignore, sub) || exists(filepath.Join(sub, "go.mod")) {
			continue
		}
		s.group.Add(1)
		go s.walk(sub, ignore)
	}
}

// visit looks for directives in the files of a directory, and returns what else is in it.
func (s *walker) visit(dir string) []fs.DirEntry {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.report(err)
		return nil
	}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || name[0] == '.' || name[0] == '_' {
			continue
		}
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			s.report(err)
			continue
		}
		if marked(src) || name == model.FileName && generated(src) {
			s.mu.Lock()
			s.found[dir] = true
			s.mu.Unlock()
			break
		}
	}
	return entries
}

func (s *walker) report(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errs = append(s.errs, err)
}

// generated says whether a file is ours.
func generated(src []byte) bool { return bytes.HasPrefix(src, []byte(model.Header)) }
