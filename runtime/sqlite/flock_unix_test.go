//go:build unix

package sqlite_test

import (
	"os"

	"golang.org/x/sys/unix"
)

func lockForever(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return unix.Flock(int(file.Fd()), unix.LOCK_EX)
}
