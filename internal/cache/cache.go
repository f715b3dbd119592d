// Package cache remembers what was found in files that have not changed since.
//
// An entry holds the hash of every file and directory listing that went into its
// value, as they were when they were read. It counts only if all of them are
// the same now. So whoever computes a value has to read through a [Reader]
// and name what it read; there is nothing else to keep in step.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/taskgen/taskgen/internal/model"
)

// Reader reads files and directories once, and knows the hash of what it read.
// It is safe for concurrent use.
type Reader struct {
	mu    sync.Mutex
	files map[string]*file
	dirs  map[string]*listing
}

type file struct {
	once sync.Once
	data []byte
	err  error
	hash string
}

type listing struct {
	once  sync.Once
	names []string
	err   error
	hash  string
}

// absent is the hash of what doesn't exist or can't be read.
const absent = "-"

// NewReader returns an empty Reader.
func NewReader() *Reader {
	return &Reader{files: map[string]*file{}, dirs: map[string]*listing{}}
}

// File returns a file's content.
func (r *Reader) File(path string) ([]byte, error) {
	f := r.file(path)
	return f.data, f.err
}

func (r *Reader) file(path string) *file {
	r.mu.Lock()
	f := r.files[path]
	if f == nil {
		f = new(file)
		r.files[path] = f
	}
	r.mu.Unlock()
	f.once.Do(func() {
		if f.data, f.err = os.ReadFile(path); f.err != nil {
			f.hash = absent
			return
		}
		f.hash = Sum(f.data)
	})
	return f
}

// GoFiles returns the sorted names of a directory's Go files.
func (r *Reader) GoFiles(dir string) ([]string, error) {
	l := r.listing(dir)
	return l.names, l.err
}

func (r *Reader) listing(dir string) *listing {
	r.mu.Lock()
	l := r.dirs[dir]
	if l == nil {
		l = new(listing)
		r.dirs[dir] = l
	}
	r.mu.Unlock()
	l.once.Do(func() {
		entries, err := os.ReadDir(dir)
		if l.err = err; err != nil {
			l.hash = absent
			return
		}
		for _, entry := range entries {
			if !entry.IsDir() && strings.HasSuffix(entry.Name(), ".go") {
				l.names = append(l.names, entry.Name())
			}
		}
		slices.Sort(l.names)
		// The generated file is no input: it is what comes out.
		inputs := slices.DeleteFunc(slices.Clone(l.names), func(name string) bool { return name == model.FileName })
		l.hash = Sum([]byte(strings.Join(inputs, "\n")))
	})
	return l
}

// Inputs are the files and directories that a value depends on, those that were
// looked for and not found included.
type Inputs struct {
	Files []string
	Dirs  []string
}

// Add adds other inputs.
func (in *Inputs) Add(other Inputs) {
	in.Files = append(in.Files, other.Files...)
	in.Dirs = append(in.Dirs, other.Dirs...)
}

// Cache is a directory of entries. A nil Cache is empty and stays so.
type Cache struct {
	dir, identity string
	reader        *Reader
}

// Open returns the cache in dir for values that depend on identity besides their
// inputs. reader must be the one that inputs are read with.
func Open(dir, identity string, reader *Reader) *Cache {
	return &Cache{dir: dir, identity: identity, reader: reader}
}

// entry is the form on disk.
type entry struct {
	Files, Dirs map[string]string // path to hash
	Value       json.RawMessage
}

// Lookup fills value, a pointer, with what was stored for key, if nothing that
// it depends on has changed.
func (c *Cache) Lookup(key string, value any) bool {
	if c == nil {
		return false
	}
	data, err := os.ReadFile(c.path(key))
	if err != nil {
		return false
	}
	var e entry
	if json.Unmarshal(data, &e) != nil || len(e.Files) == 0 {
		return false
	}
	for dir, hash := range e.Dirs {
		if c.reader.listing(dir).hash != hash {
			return false
		}
	}
	for path, hash := range e.Files {
		if c.reader.file(path).hash != hash {
			return false
		}
	}
	return json.Unmarshal(e.Value, value) == nil
}

// Store remembers value, which depends on inputs.
func (c *Cache) Store(key string, inputs Inputs, value any) error {
	if c == nil {
		return nil
	}
	e := entry{Files: map[string]string{}, Dirs: map[string]string{}}
	for _, path := range inputs.Files {
		e.Files[path] = c.reader.file(path).hash
	}
	for _, dir := range inputs.Dirs {
		e.Dirs[dir] = c.reader.listing(dir).hash
	}
	var err error
	if e.Value, err = json.Marshal(value); err != nil {
		return fmt.Errorf("remember %s: %w", key, err)
	}
	data, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("remember %s: %w", key, err)
	}
	return write(c.path(key), data)
}

func (c *Cache) path(key string) string {
	return filepath.Join(c.dir, Sum([]byte(c.identity+"\x00"+key))+".json")
}

// write replaces a file in one step, so that nobody reads half an entry.
func write(path string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Dir is the directory of the user's caches for this program.
func Dir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "taskgen"), nil
}

// Sum is the hash that entries are made of, in hex.
func Sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
