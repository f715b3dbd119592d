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
