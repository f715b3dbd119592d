package sqlite

import (
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// sharedFilesystem returns the name of the file system that holds folder if
// other machines may share it, else "".
func sharedFilesystem(folder string) (string, error) {
	volume := filepath.VolumeName(folder)
	if strings.HasPrefix(volume, `\\`) {
		return "a network share", nil
	}
	root, err := windows.UTF16PtrFromString(volume + `\`)
	if err != nil {
		return "", err
	}
	if windows.GetDriveType(root) == windows.DRIVE_REMOTE {
		return "a network drive", nil
	}
	return "", nil
}

// mountedAlone is a matter of Linux's containers.
func mountedAlone(string) bool { return false }

// diskSpace returns how many bytes of the disk that holds folder are free for
// this user, and how many there are.
func diskSpace(folder string) (free, total uint64, err error) {
	name, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, 0, err
	}
	err = windows.GetDiskFreeSpaceEx(name, &free, &total, nil)
	return free, total, err
}
