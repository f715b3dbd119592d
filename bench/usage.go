package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cpu is the CPU time of this process in ms.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no process of one's own
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}

// peak is the largest memory of this process in MB. What getrusage says begins with that of the parent.
func peak() float64 {
	kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(field("/proc/self/status", "VmHWM"), " kB"), 64)
	return kilobytes / 1024
}

// load is how busy the machine has been since it was started, in ticks of all processors.
type load struct{ all, busy, ours float64 }

// readLoad reads it; ours is that of the trees of processes with these roots, and of this one.
func readLoad(roots ...int) load {
	var l load
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		ticks, _ := strconv.ParseFloat(field, 64)
		switch i {
		case 3, 4: // idle, waiting for the disk
			l.all += ticks
		case 8, 9: // guests, which are in user too
		default:
			l.all += ticks
			l.busy += ticks
		}
	}
	ticks, parents := readProcesses()
	for pid := range ticks {
		for at := pid; at > 1; at = parents[at] {
			if at == os.Getpid() || slices.Contains(roots, at) {
				l.ours += ticks[pid]
				break
			}
		}
	}
	return l
}

// readProcesses reads what each process has used, with those of its children that have ended, and whose child it is.
func readProcesses() (ticks map[int]float64, parents map[int]int) {
	ticks, parents = make(map[int]float64), make(map[int]int)
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The name, in brackets, can have anything in it.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parents[pid], _ = strconv.Atoi(fields[1])
		for _, field := range fields[11:15] {
			n, _ := strconv.ParseFloat(field, 64)
			ticks[pid] += n
		}
	}
	return ticks, parents
}

// others is the share of the machine that others have used since an earlier time.
func (l load) others(before load) float64 {
	return max((l.busy-before.busy)-(l.ours-before.ours), 0) / max(l.all-before.all, 1)
}
