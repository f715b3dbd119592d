//go:build !linux

package worker

// hideArguments can't do here what it does on Linux: the URL of a broker with a password belongs in a file or in the
// environment.
func hideArguments() {}
