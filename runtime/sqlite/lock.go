package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A fileLock is a lock that the kernel keeps on a file for one open file of
// one process, and drops when the process ends, however it ends.
type fileLock struct{ file *os.File }

// openLock opens the file of a lock, without locking it.
func openLock(path string) (*fileLock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return &fileLock{file}, nil
}

// lock waits for the lock. Nothing interrupts the wait.
func (l *fileLock) lock() error { return lockFile(l.file) }

// tryLock takes the lock if nobody has it.
func (l *fileLock) tryLock() (bool, error) { return tryLockFile(l.file) }

func (l *fileLock) unlock() error { return unlockFile(l.file) }

// close drops the lock with the file. A nil lock is closed already.
func (l *fileLock) close() {
	if l != nil {
		_ = l.file.Close()
	}
}

// holdNewLock creates a lock file and returns it locked. Whoever finds the
// file before it is locked may take it for a dead process's and remove it;
// then it is made again.
func holdNewLock(path string) (*fileLock, error) {
	const attempts = 100
	for range attempts {
		l, err := openLock(path)
		if err != nil {
			return nil, err
		}
		if err := l.lock(); err != nil {
			l.close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if l.isAt(path) {
			return l, nil
		}
		l.close()
	}
	return nil, fmt.Errorf("lock %s: somebody removes the file again and again", path)
}

// isAt says whether path still names the locked file.
func (l *fileLock) isAt(path string) bool {
	held, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(held, there)
}

// isHeld says whether a process that lives holds the lock at path.
func isHeld(path string) bool {
	l, dead, err := takeDeadLock(path)
	l.close()
	return err == nil && !dead
}

// takeDeadLock returns the lock at path if whoever held it is gone. It returns
// nil and false while the holder lives, and nil and true if there is no such file.
func takeDeadLock(path string) (l *fileLock, dead bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	l = &fileLock{file}
	if free, err := l.tryLock(); err != nil || !free {
		l.close()
		return nil, false, err
	}
	return l, true, nil
}

// A lockedError says that another process has kept a database locked.
type lockedError struct{ path string }

func (e *lockedError) Error() string { return "another process holds the write lock of " + e.path }

// lockWithin waits for the lock of the database at path until ctx ends. If it
// does, the lock is of no more use.
func (l *fileLock) lockWithin(ctx context.Context, path string) error {
	if free, err := l.tryLock(); err != nil || free {
		return err
	}
	got := make(chan error, 1)
	go func() { got <- l.lock() }()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		// Closing gives the lock back as soon as it is granted.
		l.close()
		return &lockedError{path}
	}
}
