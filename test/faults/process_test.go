package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is this binary in one of its roles.
type process struct {
	testing.TB
	cmd   *exec.Cmd
	out   string // the file with what it has written
	ended chan struct{}
	// Valid once ended is closed.
	code int
	at   time.Time
}

// start starts a process that ends with the test at the latest.
func (w *world) start(role string, args ...string) *process {
	w.Helper()
	p := &process{TB: w.TB, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), w.environment()...)
	p.cmd.Env = append(p.cmd.Env, roleVariable+"="+role)
	out, err := os.CreateTemp(w.folder, role+"-*.log")
	w.check(err)
	defer out.Close()
	p.out = out.Name()
	// A file, not a pipe: nothing that this process does can hold up the other.
	p.cmd.Stdout, p.cmd.Stderr = out, out
	w.check(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		p.code, p.at = p.cmd.ProcessState.ExitCode(), time.Now()
		close(p.ended)
	}()
	w.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		<-p.ended
		if w.Failed() {
			w.Logf("process %d, a %s, wrote:\n%s", p.pid(), role, tail(p.log()))
		}
	})
	return p
}

// tail is the end of a log, without the tasks that went well.
func tail(text string) string {
	const most = 4 << 10
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(line string) bool { return strings.Contains(line, "task succeeded") })
	text = strings.Join(lines, "")
	if len(text) > most {
		return "…" + text[len(text)-most:]
	}
	return text
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.Helper()
	p.signal(syscall.SIGKILL)
	<-p.ended
}

func (p *process) signal(s os.Signal) {
	p.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.Fatal(err)
	}
}

// exit waits until the process has ended by itself and returns its exit code, -1 after a signal.
func (p *process) exit(limit time.Duration) int {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.Fatalf("process %d still runs after %s", p.pid(), limit)
	}
	return p.code
}

// log is all that the process has written.
func (p *process) log() string {
	p.Helper()
	text, err := os.ReadFile(p.out)
	if err != nil {
		p.Fatal(err)
	}
	return string(text)
}

// says whether there is a text in the process's log.
func (p *process) says(text string) bool { return strings.Contains(p.log(), text) }

// memory is the resident set, in bytes.
func (p *process) memory() int { return p.status("VmRSS:") << 10 }

// highestMemory is the largest that the resident set has been.
func (p *process) highestMemory() int { return p.status("VmHWM:") << 10 }

// status is a field of /proc/PID/status, in its unit.
func (p *process) status(field string) int {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		p.Skipf("the memory of a process is looked up in /proc: %v", err)
	}
	_, rest, _ := strings.Cut(string(text), field)
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		p.Fatal(err)
	}
	return n
}

// holdings are what a process of the role "churn" tells of next: its goroutines, and the bytes of its heap that are in use.
func (p *process) holdings() (goroutines, heap int) {
	p.Helper()
	log := p.log()
	from := len(log) // only what it says from now on
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		log = p.log()
		_, told, found := strings.Cut(log[from:], "holds ")
		if told, _, whole := strings.Cut(told, "\n"); found && whole {
			if _, err := fmt.Sscan(told, &goroutines, &heap); err != nil {
				p.Fatal(err)
			}
			return goroutines, heap
		}
	}
	p.Fatal("the process does not say what it holds")
	return 0, 0
}

// processorTime is what the process has used so far.
func (p *process) processorTime() time.Duration {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		p.Skipf("the processor time of a process is looked up in /proc: %v", err)
	}
	// Behind the name, which may have spaces in it; user and system time in hundredths of seconds.
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+2:]))
	var total time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			p.Fatal(err)
		}
		total += time.Duration(n) * 10 * time.Millisecond
	}
	return total
}

// worker starts a worker process with the flags of a worker.
func (w *world) worker(args ...string) *process {
	w.Helper()
	p := w.start("worker", args...)
	w.mu.Lock()
	w.workers = append(w.workers, p)
	w.mu.Unlock()
	return p
}

// ready waits until workers consume.
func (w *world) ready(workers ...*process) {
	w.Helper()
	for _, p := range workers {
		w.await("the worker is ready", func() bool { return p.says("msg=ready") })
	}
}

// supervisor keeps one worker running.
type supervisor struct {
	stop    chan struct{}
	stopped sync.WaitGroup
	mu      sync.Mutex
}

// supervise starts a worker, and another one at once whenever it ends, until the world ends.
func (w *world) supervise(args ...string) *supervisor {
	s := &supervisor{stop: make(chan struct{})}
	s.stopped.Go(func() {
		for {
			p := w.worker(args...)
			select {
			case <-p.ended:
			case <-s.stop:
				return
			}
			select {
			case <-s.stop:
				return
			default:
			}
		}
	})
	w.supervisors = append(w.supervisors, s)
	return s
}

// end has the supervisor start nothing more. Its last worker goes on.
func (s *supervisor) end() {
	s.mu.Lock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.mu.Unlock()
	s.stopped.Wait()
}
