package sqlite

import (
	"os"
	"strings"
)

// A machine is what one kernel runs. File locks and the shared memory of the
// database reach all processes of a machine, whatever containers they are in,
// and none of another machine.
type machine struct {
	// host is the host's name, or the container's. Processes that agree on it hear each other's doorbell.
	host string
	// boot tells the kernels apart that run, or have run. "": unknown.
	boot string
}

// bootID tells the kernel that runs from all others, "" where it can't. Tests have another.
var bootID = readBootID

func thisMachine() machine {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return machine{host: host, boot: bootID()}
}

// String is how the table proc has it.
func (m machine) String() string { return m.host + "/" + m.boot }

func parseMachine(s string) machine {
	slash := strings.LastIndexByte(s, '/')
	if slash < 0 {
		return machine{host: s}
	}
	return machine{host: s[:slash], boot: s[slash+1:]}
}

// isAnother says whether the two kernels are known to differ: the other is
// elsewhere, or is this one before it was started again.
func (m machine) isAnother(other machine) bool {
	return m.boot != "" && other.boot != "" && m.boot != other.boot
}
