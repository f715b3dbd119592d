//go:build !linux && !darwin

package sqlite

import "time"

// readBootID can't tell here.
func readBootID() string { return "" }

// bootTime can't tell here.
func bootTime() (time.Time, bool) { return time.Time{}, false }
