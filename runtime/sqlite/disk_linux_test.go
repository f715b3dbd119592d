package sqlite_test

import (
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
	ballast, err := os.Create(filepath.Join(folder, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := ballast.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := ballast.Close(); err != nil {
		t.Fatal(err)
	}
	if accepted := fill(t, transport); len(accepted) > 0 {
		t.Errorf("%d messages fit on a full disk", len(accepted))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	big := &task.Result{ID: "x", State: task.Success, Body: make([]byte, 1<<20)}
	if err := transport.StoreResult(ctx, big); !errors.Is(err, task.ErrBlocked) || !strings.Contains(err.Error(), "full") {
		t.Errorf("a result: %v", err)
	}
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	publish(t, transport, message("q"))
	if err := transport.StoreResult(within(t), big); err != nil {
		t.Error(err)
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
