package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// busyTimeout is how long a statement waits for a lock of SQLite's own. Our
	// processes take turns by the write lock, so only a stranger (a shell, a
	// backup) ever holds one for long. The writer tries again after that.
	busyTimeout = 500 * time.Millisecond
	// checkedSize is up to which size of the database opening it reads all of
	// it to find damage.
	checkedSize = 16 << 20
	// diskReserve is how much of the disk stays free for settling; of a small
	// disk it is a quarter.
	diskReserve = 32 << 20
	// logLimit is how long the write-ahead log gets before it is emptied into the file, and how much of it
	// one transaction may take, unless a single message is larger; of a small disk it is a sixteenth.
	// Emptying it can take as much room again: a longer log could fill the disk so that it never is.
	logLimit = 4 << 20
)

// A database is the open files: the database itself with a connection to write
// and one to read, and the lock files beside it, in a folder named after it.
type database struct {
	path     string
	identity os.FileInfo // of path, when it was opened
	log      os.FileInfo // of the write-ahead log beside it; nil: unknown
	logLimit int         // in bytes

	writeLock *fileLock
	writer    *conn    // for whoever holds writeLock
	sync      syncMode // of what callers rely on
	syncNow   syncMode // of the writer

	readMu sync.Mutex
	reader *conn // under readMu; nil until it is needed
}

// openDatabase opens the database at loc, and makes it if it is missing. While
// others keep it locked, or the disk is full, it waits, until ctx ends.
func openDatabase(ctx context.Context, loc location) (*database, error) {
	for {
		db, err := tryOpenDatabase(ctx, loc)
		if err == nil {
			return db, nil
		}
		if !noSpace(loc.path, err) || !sleep(ctx, busyTimeout) {
			return nil, explainOpen(loc.path, err)
		}
	}
}

// noSpace says whether the database can't be opened since its disk is full.
func noSpace(path string, err error) bool {
	if errors.Is(err, syscall.ENOSPC) {
		return true
	}
	free, total, unknown := diskSpace(existing(filepath.Dir(path)))
	return isFull(err) && unknown == nil && free < min(diskReserve, total/4)
}

func tryOpenDatabase(ctx context.Context, loc location) (_ *database, err error) {
	if err := prepareFolder(loc); err != nil {
		return nil, err
	}
	db := &database{path: loc.path, logLimit: logLimit, sync: loc.sync, syncNow: loc.sync}
	if _, total, err := diskSpace(filepath.Dir(loc.path)); err == nil {
		db.logLimit = int(min(logLimit, total/16))
	}
	if db.writeLock, err = openLock(db.lockPath("write.lock")); err != nil {
		return nil, err
	}
	// Concurrent first opens would get in each other's way without the lock.
	if err := db.writeLock.lockWithin(ctx, db.path); err != nil {
		db.writeLock.close()
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.writer.close()
			db.writeLock.close()
		}
	}()
	if err := checkLog(db.path); err != nil {
		return nil, err
	}
	for {
		err := db.openWriter(loc.sync)
		if err == nil {
			break
		}
		if !isLocked(err) || !sleep(ctx, busyTimeout/10) {
			return nil, err
		}
		_ = db.writer.close()
	}
	if db.identity, err = os.Stat(db.path); err != nil {
		return nil, err
	}
	if log, err := os.Stat(db.path + "-wal"); err == nil {
		db.log = log
	}
	syncFolder(filepath.Dir(db.path))
	return db, db.writeLock.unlock()
}

func prepareFolder(loc location) error {
	folder := filepath.Dir(loc.path)
	there := existing(folder)
	name, err := sharedFilesystem(there)
	if err != nil {
		return err
	}
	if name != "" {
		return &refusalError{fmt.Errorf("it lies on a file system that other machines may share (%s), where locks don't reach every process: choose a folder on a local disk", name)}
	}
	if mountedAlone(loc.path) {
		return &refusalError{errors.New("the file is mounted without its folder, which has the rest of the database: mount the folder")}
	}
	if up := filepath.Dir(folder); there != folder && there != up {
		return &refusalError{fmt.Errorf("the folder %s does not exist: make it, if the path is what you mean", up)}
	}
	if err := os.MkdirAll(filepath.Join(locksFolder(loc.path), "w"), 0o777); err != nil {
		return err
	}
	if loc.private && there != folder {
		return os.WriteFile(filepath.Join(folder, ".gitignore"), []byte("*\n"), 0o666)
	}
	return nil
}

// syncFolder makes sure that the new files are found again after a power
// failure. Not every system can.
func syncFolder(folder string) {
	if f, err := os.Open(folder); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}

// existing returns the nearest folder upwards that exists.
func existing(folder string) string {
	for {
		_, err := os.Stat(folder)
		up := filepath.Dir(folder)
		if !errors.Is(err, fs.ErrNotExist) || up == folder {
			return folder
		}
		folder = up
	}
}

// locksSuffix is what the folder of a database's lock files ends in. Tests have another.
var locksSuffix = "-locks"

func locksFolder(path string) string { return path + locksSuffix }

// lockPath returns where a lock file is.
func (db *database) lockPath(elem ...string) string {
	return filepath.Join(append([]string{locksFolder(db.path)}, elem...)...)
}

func (db *database) openWriter(sync syncMode) (err error) {
	if db.writer, err = openConn(db.path, busyTimeout); err != nil {
		return err
	}
	if err := migrate(db.writer); err != nil {
		return err
	}
	if err := checkDamage(db.writer, db.path); err != nil {
		return err
	}
	page, err := db.writer.pragma("page_size")
	if err != nil {
		return err
	}
	return db.writer.script(`
		PRAGMA wal_autocheckpoint=` + strconv.FormatInt(max(int64(db.logLimit)/page, 1), 10) + `;
		PRAGMA synchronous=` + string(sync) + `;
		PRAGMA cache_size=-2000;
		PRAGMA temp_store=MEMORY;
		PRAGMA journal_size_limit=67108864;
		PRAGMA trusted_schema=OFF;
		PRAGMA busy_timeout=` + strconv.FormatInt(busyTimeout.Milliseconds(), 10))
}

// setSync has the next transaction wait for the disk, or not. What doesn't is in the operating system's hands all the same, and reaches the disk
// before what comes after it does.
func (db *database) setSync(durable bool) error {
	mode := syncNormal
	if durable {
		mode = db.sync
	}
	db.writer.syncsLog(mode != syncNormal)
	if mode == db.syncNow {
		return nil
	}
	if err := db.writer.script(`PRAGMA synchronous=` + string(mode)); err != nil {
		return err
	}
	db.syncNow = mode
	return nil
}

// checkDamage reads a database that is not too large for it.
func checkDamage(c *conn, path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() > checkedSize {
		return err
	}
	var finding string
	err = c.query(`PRAGMA quick_check(1)`, func(r row) error {
		finding = r.text(0)
		return nil
	})
	if err == nil && finding != "ok" {
		err = &damageError{finding}
	}
	return err
}

// A damageError is what SQLite found wrong in the file.
type damageError struct{ finding string }

func (e *damageError) Error() string { return e.finding }

var errMoved = errors.New("the database file was removed or replaced")

// read runs do with the connection to read, which it opens if needed.
func (db *database) read(do func(*conn) error) error {
	db.readMu.Lock()
	defer db.readMu.Unlock()
	if db.reader == nil {
		c, err := openConn(db.path, busyTimeout)
		if err != nil {
			return err
		}
		// Another file at this place, read through the log of this one, would be destroyed.
		if db.moved() {
			return errors.Join(errMoved, c.close())
		}
		if err := c.script(`PRAGMA query_only=ON; PRAGMA cache_size=-2000; PRAGMA trusted_schema=OFF`); err != nil {
			return errors.Join(err, c.close())
		}
		db.reader = c
	}
	return do(db.reader)
}

// moved says whether the file was removed or replaced under us: what we write
// then nobody else would ever see.
func (db *database) moved() bool {
	there, err := os.Stat(db.path)
	return err != nil || !os.SameFile(db.identity, there)
}

// setLogAside keeps the log of a database whose file was replaced from being
// taken for that of the new one, which it would destroy.
func (db *database) setLogAside() {
	path := db.path + "-wal"
	if there, err := os.Stat(path); err == nil && db.log != nil && os.SameFile(there, db.log) {
		_ = os.Rename(path, path+".replaced")
		_ = os.Remove(db.path + "-shm")
	}
}

// lacksSpace says whether so little of the disk is left that no message may
// come in any more, so that the workers can still take messages out: that
// needs room for the write-ahead log. scarce says that it will soon be so.
func (db *database) lacksSpace() (lacks, scarce bool) {
	free, total, err := diskSpace(filepath.Dir(db.path))
	reserve := min(diskReserve, total/4)
	if err != nil || free >= reserve {
		return false, err == nil && free < 4*reserve
	}
	// What was taken out leaves room in the file, which counts as well while
	// there is some left for the log.
	return free < reserve/2 || free+db.unused() < reserve, true
}

// unused returns how many bytes of the file hold nothing.
func (db *database) unused() uint64 {
	var pages, size int64
	err := db.read(func(c *conn) (err error) {
		if pages, err = c.pragma("freelist_count"); err == nil {
			size, err = c.pragma("page_size")
		}
		return err
	})
	if err != nil {
		return 0
	}
	return uint64(pages * size)
}

// close closes the connections and drops the write lock. The caller holds the
// write lock if it could get it: the last connection tidies up the log.
func (db *database) close() error {
	db.readMu.Lock()
	err := db.reader.close()
	db.reader = nil
	db.readMu.Unlock()
	err = errors.Join(err, db.writer.close())
	db.writeLock.close()
	return err
}

// A refusalError is a reason not to use a database that no waiting removes.
type refusalError struct{ reason error }

func (e *refusalError) Error() string { return e.reason.Error() }
func (e *refusalError) Unwrap() error { return e.reason }

func isDamage(err error) bool { return isCorrupt(err) || errors.As(err, new(*damageError)) }

// isPermanent says whether the error stays until somebody does something about it.
func isPermanent(err error) bool {
	return isDamage(err) || errors.As(err, new(*refusalError)) || isReadOnly(err) || errors.Is(err, fs.ErrPermission)
}

// explainOpen says which database can't be opened, why, and what to do.
func explainOpen(path string, err error) error {
	switch {
	case isDamage(err):
		return fmt.Errorf("sqlite: %s is damaged or is no SQLite database: %w (nothing was changed; restore it from a backup, or move it away to start afresh)", path, err)
	case errors.Is(err, fs.ErrPermission), isReadOnly(err):
		return fmt.Errorf("sqlite: can't write to %s: %w (every sender and worker writes to the folder of the database)", path, err)
	case isLocked(err):
		return fmt.Errorf("sqlite: another process keeps %s locked: %w", path, err)
	case noSpace(path, err):
		return fmt.Errorf("sqlite: the disk of %s is full: %w (make room; what is in the database is kept)", path, err)
	default:
		return fmt.Errorf("sqlite: can't open %s: %w", path, err)
	}
}
