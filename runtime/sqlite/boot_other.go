//go:build !linux && !darwin

package sqlite

import "time"

// bootID can't tell here.
func bootID() string { return "" }

// bootTime can't tell here.
func bootTime() (time.Time, bool) { return time.Time{}, false }
