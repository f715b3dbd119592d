package gen

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// Commit makes the disk what out says. Until every new file is complete beside
// its place, nothing changes; a file that is up to date keeps its time, one that
// is replaced keeps its mode.
func Commit(out Output) (err error) {
	if out.Diagnostics.HasErrors() {
		return errors.New("there are errors: nothing written")
	}
	targets, err := inspect(out.Files)
	defer closeAll(targets)
	if err != nil {
		return err
	}

	var written []*temp
	defer func() {
		for _, t := range written {
			t.discard()
		}
	}()
	for _, t := range targets {
		if t.Content == nil || !t.stale() {
			continue
		}
		tmp, err := write(t)
		if err != nil {
			return fmt.Errorf("%s: %w: nothing written", t.Path, err)
		}
		written = append(written, tmp)
	}

	for _, t := range written {
		if err := t.publish(); err != nil {
			return err
		}
	}
	for _, t := range targets {
		if t.Content != nil || !t.exists {
			continue
		}
		if err := t.root.Remove(t.name); err != nil {
			return err
		}
	}
	if out.remember != nil {
		out.remember()
	}
	return nil
}

// temp is the new content of a target under a name that go tools pass over.
type temp struct {
	*target
	tmp  string
	done bool
}

func write(t *target) (_ *temp, err error) {
	dir, base := filepath.Split(t.name)
	if err := t.root.MkdirAll(filepath.Clean(dir), 0o777); err != nil {
		return nil, err
	}
	tmp := &temp{target: t, tmp: filepath.Join(dir, "."+base+"."+strconv.FormatUint(rand.Uint64(), 36))}
	file, err := t.root.OpenFile(tmp.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			tmp.discard()
		}
	}()
	if t.exists {
		err = file.Chmod(t.mode)
	}
	if err == nil {
		_, err = file.Write(t.Content)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return tmp, err
}

// publish puts the file in its place.
func (t *temp) publish() error {
	if err := t.root.Rename(t.tmp, t.name); err != nil {
		return err
	}
	t.done = true
	return nil
}

// discard removes the file if it was not published.
func (t *temp) discard() {
	if t.done {
		return
	}
	if err := t.root.Remove(t.tmp); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.done = true
	}
}
