package sqlite

import (
	"time"

	"golang.org/x/sys/unix"
)

// readBootID is the same for all processes of one run of a kernel, and never again.
func readBootID() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
}

// bootTime is when the kernel was started.
func bootTime() (time.Time, bool) {
	at, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return time.Time{}, false
	}
	return time.Unix(at.Unix()), true
}
