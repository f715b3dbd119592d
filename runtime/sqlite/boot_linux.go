package sqlite

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// readBootID is the same for all processes of one run of a kernel, in whatever
// container, and never again.
func readBootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// bootTime is when the kernel was started.
func bootTime() (time.Time, bool) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return time.Time{}, false
	}
	return time.Now().Add(-time.Duration(info.Uptime) * time.Second), true
}
