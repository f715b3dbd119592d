package sqlite

import "golang.org/x/sys/unix"

// sharedFilesystem returns the name of the file system that holds folder if
// other machines may share it, else "".
func sharedFilesystem(folder string) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return "", err
	}
	if fs.Flags&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(fs.Fstypename[:]), nil
}

// mountedAlone is a matter of Linux's containers.
func mountedAlone(string) bool { return false }

// diskSpace returns how many bytes of the disk that holds folder are free for
// this user, and how many there are.
func diskSpace(folder string) (free, total uint64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return 0, 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), fs.Blocks * uint64(fs.Bsize), nil
}
