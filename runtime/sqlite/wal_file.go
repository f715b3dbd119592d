package sqlite

import (
	"errors"
	"net/url"
	"path/filepath"
	"syscall"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// walFiles opens the files of a database as they are, but for the write-ahead log.
type walFiles struct{ vfs.VFSFilename }

const walFilesName = "taskgen"

func init() {
	vfs.Register(walFilesName, walFiles{vfs.Find("").(vfs.VFSFilename)})
}

// databaseURI is what opens a database file through [walFiles].
func databaseURI(path string) string {
	return (&url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: "vfs=" + walFilesName}).String()
}

func (w walFiles) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := w.VFSFilename.OpenFilename(name, flags)
	if err == nil && flags&vfs.OPEN_WAL != 0 {
		f = &walFile{File: f}
	}
	return f, flags, err
}

// walFile is a write-ahead log. SQLite writes each page of a transaction to it in two parts, with a system call for each. So the first part waits for the
// second; and all pages of a transaction wait until they are synced, if they are before anybody hears of them.
type walFile struct {
	vfs.File
	syncs   bool  // every transaction is
	at      int64 // where what waits belongs
	waiting []byte
}

// maxWaiting bounds what waits, in bytes.
const maxWaiting = 1 << 20

func (f *walFile) WriteAt(p []byte, at int64) (int, error) {
	if at != f.at+int64(len(f.waiting)) || len(f.waiting)+len(p) > maxWaiting {
		if err := f.flush(); err != nil {
			return 0, err
		}
		f.at = at
	}
	f.waiting = append(f.waiting, p...)
	if f.syncs || len(p) == frameHeaderSize {
		return len(p), nil
	}
	return len(p), f.flush()
}

// flush writes what waits. If it can't be written the transaction fails, and SQLite writes that again with the next one.
func (f *walFile) flush() error {
	if len(f.waiting) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.waiting, f.at)
	f.at += int64(len(f.waiting))
	f.waiting = f.waiting[:0]
	// Whatever SQLite asked for, nothing was committed. A full disk has its code already.
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return vfs.SystemError(errno, sqlite3.IOERR_WRITE)
	}
	return err
}

func (f *walFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

func (f *walFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

func (f *walFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *walFile) Close() error {
	err := f.flush()
	if closed := f.File.Close(); err == nil {
		err = closed
	}
	return err
}
