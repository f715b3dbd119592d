package worker

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"
)

// hideArguments overwrites the passwords of the command line where /proc, and so ps, shows it to everybody on the
// machine. The program goes on with copies.
func hideArguments() {
	found := urlArguments(os.Args)
	if len(found) == 0 {
		return
	}
	shown := os.Args
	os.Args = slices.Clone(shown)
	for _, a := range found {
		os.Args[a.index] = strings.Clone(shown[a.index])
		overwrite(shown[a.index], a.start)
	}
}

// overwrite puts stars over the bytes of an argument from start on. Go's strings don't change, but those of
// os.Args lie in the memory in which the kernel has passed the arguments, which is this process's
// to write, and which /proc/PID/cmdline reads. A string that lies elsewhere, since somebody has replaced os.Args, is left alone.
func overwrite(arg string, start int) {
	from, to := argumentMemory()
	at := uintptr(unsafe.Pointer(unsafe.StringData(arg)))
	if at < from || at+uintptr(len(arg)) > to {
		return
	}
	memory := unsafe.Slice(unsafe.StringData(arg), len(arg))
	for i := start; i < len(memory); i++ {
		memory[i] = '*'
	}
}

// argumentMemory is where the kernel has put the arguments: arg_start and arg_end of proc(5). Nowhere if that can't be told.
func argumentMemory() (from, to uintptr) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0
	}
	// The second field is the program's name, which may have anything in it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const third, argStart, argEnd = 3, 48, 49
	if len(fields) <= argEnd-third {
		return 0, 0
	}
	start, errStart := strconv.ParseUint(string(fields[argStart-third]), 10, 64)
	end, errEnd := strconv.ParseUint(string(fields[argEnd-third]), 10, 64)
	if errStart != nil || errEnd != nil {
		return 0, 0
	}
	return uintptr(start), uintptr(end)
}
