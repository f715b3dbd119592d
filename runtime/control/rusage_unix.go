//go:build unix

package control

import (
	"time"

	"golang.org/x/sys/unix"
)

// resourceUsage is what the process has used, under the names that getrusage(2) has for it.
func resourceUsage() any {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return "N/A"
	}
	duration := func(t unix.Timeval) Seconds { return Seconds(time.Duration(t.Nano()).Seconds()) }
	return map[string]any{
		"utime": duration(u.Utime), "stime": duration(u.Stime), "maxrss": u.Maxrss, "ixrss": u.Ixrss, "idrss": u.Idrss, "isrss": u.Isrss,
		"minflt": u.Minflt, "majflt": u.Majflt, "nswap": u.Nswap, "inblock": u.Inblock, "oublock": u.Oublock,
		"msgsnd": u.Msgsnd, "msgrcv": u.Msgrcv, "nsignals": u.Nsignals, "nvcsw": u.Nvcsw, "nivcsw": u.Nivcsw,
	}
}
