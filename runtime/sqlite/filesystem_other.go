//go:build !linux && !darwin && !windows

package sqlite

import "errors"

// sharedFilesystem can't tell here.
func sharedFilesystem(string) (string, error) { return "", nil }

// mountedAlone is a matter of Linux's containers.
func mountedAlone(string) bool { return false }

// diskSpace can't tell here.
func diskSpace(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }
