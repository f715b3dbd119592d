//go:build !linux && !darwin && !windows

package sqlite

// sharedFilesystem can't tell here.
func sharedFilesystem(string) (string, error) { return "", nil }
