package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// smallDisk returns a folder on a disk of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	folder := t.TempDir()
	mount(t, "tmpfs", folder, "tmpfs", 0, "size="+size)
	return folder
}

// fill publishes until the disk is full, and returns what was accepted.
func fill(t *testing.T, transport *sqlite.Transport) map[string]bool {
	t.Helper()
	accepted := map[string]bool{}
	for len(accepted) < 10_000 {
		m := message("q")
		m.Body = make([]byte, 32<<10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := transport.Publish(ctx, m)
		cancel()
		if err == nil {
			accepted[m.ID] = true
			continue
		}
		if !errors.Is(err, task.ErrBlocked) || errors.Is(err, task.ErrUnconfirmed) || !strings.Contains(err.Error(), "full") {
			t.Errorf("after %d messages: %v", len(accepted), err)
		}
		return accepted
	}
	t.Fatal("the disk is not small")
	return nil
}

func drain(t *testing.T, transport *sqlite.Transport, accepted map[string]bool) {
	t.Helper()
	w := consume(t, transport, 10, "q")
	for range accepted {
		d := w.next()
		if !accepted[d.Message.ID] {
			t.Errorf("message %s was delivered, and not accepted", d.Message.ID)
		}
		w.settle(d, task.Outcome{Result: &task.Result{ID: d.Message.ID, State: task.Success}})
	}
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	transport := open(t, "sqlite:"+filepath.Join(smallDisk(t, "48m"), "queue.db"))
	accepted := fill(t, transport)
	waiting := make(chan error, 1)
	patient := message("patient")
	go func() { waiting <- transport.Publish(within(t), patient) }()
	drain(t, transport, accepted) // there is room for that
	if err := <-waiting; err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
}

func TestADiskThatOthersFill(t *testing.T) {
	t.Parallel()
	folder := smallDisk(t, "4m")
	transport := open(t, "sqlite:"+filepath.Join(folder, "queue.db"))
	publish(t, transport, message("other"))
	remove := ballast(t, folder)
	if accepted := fill(t, transport); len(accepted) > 0 {
		t.Errorf("%d messages fit on a full disk", len(accepted))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	big := &task.Result{ID: "x", State: task.Success, Body: make([]byte, 1<<20)}
	if err := transport.StoreResult(ctx, big); !errors.Is(err, task.ErrBlocked) || !strings.Contains(err.Error(), "full") {
		t.Errorf("a result: %v", err)
	}
	remove()
	publish(t, transport, message("q"))
	if err := transport.StoreResult(within(t), big); err != nil {
		t.Error(err)
	}
}

// A process that starts on a full disk waits for room, and says what it waits for.
func TestOpeningOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, existing := range []bool{true, false} {
		folder := smallDisk(t, "4m")
		url := "sqlite:" + filepath.Join(folder, "queue.db")
		if existing {
			transport := open(t, url)
			publish(t, transport, message("q"))
			if err := transport.Close(); err != nil {
				t.Fatal(err)
			}
		}
		remove := ballast(t, folder)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := sqlite.Open(ctx, url); err == nil || !strings.Contains(err.Error(), "full") {
			t.Errorf("existing %t: %v", existing, err)
		}
		cancel()
		opened := make(chan error, 1)
		go func() {
			transport, err := sqlite.Open(t.Context(), url)
			if err == nil {
				err = errors.Join(transport.Publish(within(t), message("q")), transport.Close())
			}
			opened <- err
		}()
		remove()
		if err := <-opened; err != nil {
			t.Errorf("existing %t: there is room again, but: %v", existing, err)
		}
	}
}

// TestAReadOnlyFolderForRoot is TestAReadOnlyFolderIsRefused for who may write
// everywhere: another user tries.
func TestAReadOnlyFolderForRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	folder := t.TempDir()
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(folder, "program")
	if out, err := exec.Command("cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(program, "sqlite:"+filepath.Join(folder, "queue.db"), folder, "1")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"=join")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "can't write to "+folder) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAStoppedProcessKeepsItsMessages(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"))
	holder := start(t, "hold", url, "1")
	id := holder.line()
	if err := holder.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w := consume(t, transport, 1, "q")
	select {
	case d := <-w.deliveries:
		t.Errorf("message %s was delivered again while its worker slept", d.Message.ID)
	case <-time.After(time.Second):
	}
	holder.kill()
	if d := w.next(); d.Message.ID != id {
		t.Errorf("%+v", d.Message)
	}
}

// bind mounts a file or folder at another place as well.
func bind(t *testing.T, from, at string) {
	t.Helper()
	mount(t, from, at, "", unix.MS_BIND, "")
}

// mount mounts something until the test ends. Not everybody may.
func mount(t *testing.T, source, at, kind string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, at, kind, flags, data); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatal("root can't mount here, and nothing proves what this test is for: ", err)
		}
		t.Skip("NOT TESTED: only root can mount: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
}

func TestAFileThatIsMountedAlone(t *testing.T) {
	t.Parallel()
	url := filled(t, 1)
	elsewhere := filepath.Join(t.TempDir(), "queue.db")
	if err := os.WriteFile(elsewhere, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	bind(t, path(url), elsewhere)
	expectRefusal(t, "sqlite:"+elsewhere, "mount the folder")
}

// ballast fills a disk.
func ballast(t *testing.T, folder string) (remove func()) {
	t.Helper()
	file, err := os.Create(filepath.Join(folder, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(file.Name()); err != nil {
			t.Error(err)
		}
	}
}

// TestNothingIsLostOnAFullDisk fills a small disk again and again, while
// processes send and work, and kills them over it.
func TestNothingIsLostOnAFullDisk(t *testing.T) {
	t.Parallel()
	const kills = 20
	folder, ledgers := smallDisk(t, "4m"), t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "queue.db")
	sender, worker := start(t, "persist", url, ledgers), start(t, "work", url, ledgers)
	for i := range kills {
		accepted := len(readLedgers(t, ledgers, "accepted"))
		await(t, "messages are accepted", func() bool { return len(readLedgers(t, ledgers, "accepted")) > accepted })
		blocked := len(readLedgers(t, ledgers, "blocked"))
		remove := ballast(t, folder)
		await(t, "messages are refused", func() bool { return len(readLedgers(t, ledgers, "blocked")) > blocked })
		for _, p := range []*process{sender, worker} {
			if p.out.String() != "" {
				t.Fatalf("a process said: %s", p.out)
			}
		}
		if i%2 == 0 {
			sender.kill()
			sender = start(t, "persist", url, ledgers)
		} else {
			worker.kill()
			worker = start(t, "work", url, ledgers)
		}
		remove()
	}
	sender.kill()
	await(t, "the queue is empty", func() bool {
		return inspect(t, url, `SELECT count(*) FROM msg`)[0][0] == "0"
	})
	worker.kill()
	c := takeCensus(t, url, ledgers)
	started := readLedgers(t, ledgers, "started")
	blocked, ran := readLedgers(t, ledgers, "blocked"), 0
	for id := range blocked {
		if started[id].times > 0 {
			ran++
		}
	}
	t.Logf("kills=%d %s blocked=%d blocked_and_ran=%d unconfirmed=%d", kills, c, len(blocked), ran, len(readLedgers(t, ledgers, "unconfirmed")))
	if c.accepted == 0 || c.lost > 0 || c.settledTwice > 0 || c.integrity != "ok" || ran > 0 {
		t.Error("see the figures")
	}
}

func TestSettlingOnAFullDisk(t *testing.T) {
	t.Parallel()
	folder := smallDisk(t, "4m")
	transport := open(t, "sqlite:"+filepath.Join(folder, "queue.db"))
	w := consume(t, transport, 1, "q")
	m := message("q")
	publish(t, transport, m)
	d := w.next()
	remove := ballast(t, folder)
	// The result is larger than what is left.
	outcome := task.Outcome{Result: &task.Result{ID: m.ID, State: task.Success, Body: make([]byte, 1<<20)}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := w.Settle(ctx, d, outcome); !errors.Is(err, task.ErrBlocked) || errors.Is(err, task.ErrStale) {
		t.Errorf("got %v", err)
	}
	settled := make(chan error, 1)
	go func() { settled <- w.Settle(within(t), d, outcome) }()
	time.Sleep(300 * time.Millisecond) // it has been tried
	remove()
	if err := <-settled; err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
	if r, err := transport.Result(within(t), m.ID); err != nil || r == nil || len(r.Body) != 1<<20 {
		t.Errorf("the result: %v", err)
	}
}

// TestAReadOnlyDisk has one that even root can't write to.
func TestAReadOnlyDisk(t *testing.T) {
	t.Parallel()
	view := smallDisk(t, "8m")
	url := "sqlite:" + filepath.Join(view, "queue.db")
	before := open(t, url)
	publish(t, before, message("q"))
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", view, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	expectRefusal(t, url, "can't write to")
	if err := unix.Mount("", view, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	consume(t, open(t, url), 1, "q").next()
}

// TestAReadOnlyFileForAnotherUser has a user who may write to the folder, and not to the file.
func TestAReadOnlyFileForAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can be another user")
	}
	url := filled(t, 1)
	folder := filepath.Dir(path(url))
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{folder: 0o777, path(url): 0o444, path(url) + "-locks": 0o777, path(url) + "-locks/w": 0o777, path(url) + "-locks/write.lock": 0o666} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(folder, "program")
	if out, err := exec.Command("cp", os.Args[0], program).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	before, err := os.ReadFile(path(url))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, url, folder, "1")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), roleVariable+"=join")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "can't write to "+path(url)) {
		t.Errorf("%v: %s", err, out)
	}
	if after, err := os.ReadFile(path(url)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed; %v", err)
	}
}

func init() {
	// hold in a container, whose host name is its own.
	roles["container"] = func(args []string) error {
		if err := unix.Sethostname([]byte("container")); err != nil {
			return err
		}
		return holdRole(args)
	}
}

// TestContainersThatShareAFolder has a process with its own process ids, host name and network.
func TestContainersThatShareAFolder(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	publish(t, transport, message("q"))
	holder := prepare(t, "container", url, "1")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can make a container")
	}
	holder.start()
	id := holder.line()
	w := consume(t, transport, 4, "q")
	await(t, "the consumer is ready", w.Ready)
	if hosts := inspect(t, url, `SELECT DISTINCT host FROM proc`); len(hosts) != 2 {
		t.Errorf("hosts: %v", hosts)
	}
	time.Sleep(time.Second)
	if len(w.deliveries) > 0 || !w.Ready() {
		t.Error("the message of a process that lives was taken")
	}
	holder.kill()
	died := time.Now()
	if d := w.next(); d.Message.ID != id || time.Since(died) > busy {
		t.Errorf("%s after %s", d.Message.ID, time.Since(died))
	}
}
