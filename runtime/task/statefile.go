package task

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// stateHead is the first line of a state file; each other line is a time, in Unix seconds, and the id of a task that
	// was revoked then.
	stateHead = "taskgen-state 1"
	// maxStateFile is how large one may be, in bytes: the longest ids, as many as are remembered.
	maxStateFile = maxRevoked * (maxName + 32)
	// stateDelay is how long revocations are gathered before they are written.
	stateDelay = time.Second
)

// stateFile keeps the revocations of a worker over a restart.
type stateFile struct {
	path        string
	revocations *revocations
}

// openStateFile reads the file, if there is one.
func openStateFile(path string, v *revocations) (*stateFile, error) {
	s := &stateFile{path: path, revocations: v}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.write()
	}
	if err != nil {
		return nil, s.problem(err)
	}
	defer func() { _ = file.Close() }()
	all, err := readState(file)
	if err != nil {
		return nil, fmt.Errorf("the state file %s: %w; delete it to start without the revocations that it has", path, err)
	}
	v.add(all...)
	return s, nil
}

// readState reads the content of a state file.
func readState(file io.Reader) ([]Revocation, error) {
	lines := bufio.NewScanner(io.LimitReader(file, maxStateFile))
	lines.Buffer(nil, maxName+32)
	if !lines.Scan() || lines.Text() != stateHead {
		return nil, errors.Join(lines.Err(), fmt.Errorf("it does not begin with %q", stateHead))
	}
	var all []Revocation
	for lines.Scan() {
		seconds, id, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		at, err := strconv.ParseInt(string(seconds), 10, 64)
		if err != nil || at <= 0 || checkName(string(id)) != nil {
			return nil, fmt.Errorf("line %d is not a time and the id of a task", len(all)+2) //nolint:mnd // lines count from 1, and the head is one
		}
		if len(all) == maxRevoked {
			return nil, fmt.Errorf("it has more than %d ids", maxRevoked)
		}
		all = append(all, Revocation{ID: string(id), Time: time.Unix(at, 0)})
	}
	return all, lines.Err()
}

// write replaces the file.
func (s *stateFile) write() error {
	text := append([]byte(stateHead), '\n')
	for _, r := range s.revocations.list() {
		text = strconv.AppendInt(text, r.Time.Unix(), 10)
		text = append(append(append(text, ' '), r.ID...), '\n')
	}
	next, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*")
	if err != nil {
		return s.problem(err)
	}
	_, err = next.Write(text)
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), s.path)
	}
	if err != nil {
		return s.problem(errors.Join(err, os.Remove(next.Name())))
	}
	return nil
}

// problem names the file, and not that which takes its place.
func (s *stateFile) problem(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the state file %s: %w", s.path, err)
}

// keep writes the file whenever there is something new, until the function that it returns is called.
func (s *stateFile) keep(logger *slog.Logger) (end func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	save := func() {
		if err := s.write(); err != nil {
			logger.Error("revoked tasks are not kept for the next start", "error", err)
		}
	}
	go func() {
		defer close(ended)
		for {
			select {
			case <-s.revocations.changed:
			case <-ending:
				save()
				return
			}
			select {
			case <-time.After(stateDelay):
			case <-ending:
			}
			save()
		}
	}()
	return func() { close(ending); <-ended }
}
