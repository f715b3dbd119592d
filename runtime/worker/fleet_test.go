package worker

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

// inspected runs a command for one worker that must succeed, and returns what it prints.
func (s *shell) inspected(url, name string, command ...string) string {
	s.Helper()
	args := append([]string{"-broker", url}, command...)
	if code := s.run(append(args, "-d", name, "-t", "20s")...); code != 0 {
		s.Errorf("worker %s: exit code %d: %s", strings.Join(command, " "), code, &s.err)
	}
	return s.out.String()
}

func TestInspect(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		name := "w1@" + queue
		start(t, nil, "-broker", url, "-hostname", name, "-Q", queue, "-c", "1", "-rate-limit", "users.fail=10/m")
		ctx, s, holder := sender(t, url), newShell(t), newHolder(t)
		running := send(t, ctx, hold.With(task.Queue(queue)), args{Text: holder.Addr().String()})
		conn := holder.started()
		waiting := send(t, ctx, echo.With(task.Queue(queue)), args{Text: "s3cret", Number: 7})
		matches := func(want string, command ...string) {
			t.Helper()
			for {
				out := s.inspected(url, name, command...)
				if regexp.MustCompile(want).MatchString(out) {
					return
				}
				if ctx.Err() != nil || t.Failed() {
					t.Fatalf("%s does not match:\n%s", want, out)
				}
			}
		}
		matches(`^`+name+`: +pong in [\d.hmsµn]+\n$`, "inspect", "ping")
		matches(`(?m)^`+name+` +`+running.ID+` +[\d.hmsµn]+ +example.com/app/jobs.hold +`+queue+` +\[\] \{`, "inspect", "active")
		matches(`(?m)^`+name+` +`+waiting.ID+` +example.com/app/users.echo +`+queue+` +\[\] \{"number":7,"text":"\*\*\*"\}$`, "inspect", "reserved")
		matches(`(?m)^`+name+` +none$`, "inspect", "scheduled")
		matches(`(?m)^`+name+` +example.com/app/users.fail \[rate_limit=10/m\]$`, "inspect", "registered", "rate_limit")
		matches(`(?m)^`+name+` +`+queue+` +`+queue+` +direct +`+queue+`( +x-queue-type=quorum)?$`, "inspect", "active_queues")
		matches(`(?m)^`+name+` +`+running.ID+` +active `, "inspect", "query_task", running.ID, "other")
		matches(`(?m)^`+name+` +worker_concurrency +1$`, "inspect", "conf")
		matches(`(?m)^software -> taskgen:.* go:1`, "inspect", "report")
		matches(`(?m)^`+name+` +clock +\d+$`, "inspect", "clock")
		holder.finish(conn, "done")
		get(t, ctx, waiting, "s3cret")
	})
}

func TestControl(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		name, state := "w1@"+queue, filepath.Join(t.TempDir(), "state")
		b := start(t, func(s *shell) { heed.Handle(s.registry, heeded) }, "-broker", url, "-hostname", name, "-Q", queue, "-statedb", state)
		ctx, s, holder := sender(t, url), newShell(t), newHolder(t)
		says := func(want string, command ...string) {
			t.Helper()
			if out := s.inspected(url, name, append([]string{"control"}, command...)...); out != name+"  "+want+"\n" {
				t.Errorf("%s: %q, want %q", command, out, want)
			}
		}
		running := send(t, ctx, heed.With(task.Queue(queue)), args{Text: holder.Addr().String()})
		holder.started()
		says("terminate: "+running.ID, "terminate", running.ID)
		if _, err := running.Get(ctx); err == nil || !strings.Contains(err.Error(), "terminated") {
			t.Errorf("a terminated task ends with %v", err)
		}
		says("tasks {'an-id'} flagged as revoked", "revoke", "an-id")
		says("new rate limit set successfully", "rate_limit", "example.com/app/users.fail", "10/m")
		says("time limits set successfully", "time_limit", "example.com/app/users.fail", "10", "5")
		says("pool will grow", "pool_grow", "2")
		says("pool will shrink", "pool_shrink")
		says("add consumer "+queue+".extra", "add_consumer", queue+".extra")
		get(t, ctx, send(t, ctx, echo.With(task.Queue(queue+".extra")), args{Text: "there"}), "there")
		says("no longer consuming from "+queue+".extra", "cancel_consumer", queue+".extra")
		if code := s.run("-broker", url, "control", "-d", name, "-t", "20s", "rate_limit", "nosuch", "1/s"); code != 1 || !strings.Contains(s.err.String(), name+": unknown task") {
			t.Errorf("exit code %d: %s", code, &s.err)
		}
		s.inspected(url, name, "control", "shutdown")
		if code := <-b.code; code != 0 {
			t.Errorf("exit code %d after a shutdown: %s", code, &b.err)
		}
		b.code <- 0
		if text, err := os.ReadFile(state); err != nil || !strings.Contains(string(text), " an-id\n") {
			t.Errorf("the state file has %q, %v", text, err)
		}
		start(t, nil, "-broker", url, "-hostname", name, "-Q", queue, "-statedb", state)
		if out := s.inspected(url, name, "inspect", "revoked"); !strings.Contains(out, "an-id\n") {
			t.Errorf("after a restart these are revoked: %s", out)
		}
	})
}

func TestControlFlag(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		read, off := "read@"+queue, "off@"+queue
		start(t, nil, "-broker", url, "-hostname", read, "-Q", queue, "-control", "read")
		start(t, nil, "-broker", url, "-hostname", off, "-Q", queue, "-control", "off")
		s := newShell(t)
		s.inspected(url, read, "inspect", "ping")
		s.want(1, "", "worker: "+anonymous(read)+": worker "+anonymous(read)+" can be asked, and not changed, by remote control (-control read): revoke is refused\n",
			"-broker", url, "control", "revoke", "an-id", "-d", read, "-t", "20s")
		s.want(1, "", "worker: "+brokerName(t, url)+": no worker has answered within 500ms: none runs under the name "+anonymous(off)+", or those that do don't listen to remote control. The broker works\n",
			"-broker", url, "inspect", "ping", "-d", off, "-t", "500ms")
		s.want(2, "", "worker: -control: \"some\" is no mode of remote control: there are full, read and off\nworker -h shows the manual\n", "-broker", url, "-control", "some")
	})
}

// Two workers of one name are told apart by nobody: the second says so. One by itself, or beside another name, does not.
func TestSameName(t *testing.T) {
	onBrokers(t, func(t *testing.T, url, queue string) {
		const warning = "another worker has the same name"
		name := "w1@" + queue
		start(t, nil, "-broker", url, "-hostname", name, "-Q", queue)
		other := start(t, nil, "-broker", url, "-hostname", "w2@"+queue, "-Q", queue)
		newShell(t).inspected(url, name, "inspect", "ping")
		second := start(t, nil, "-broker", url, "-hostname", name, "-Q", queue)
		second.err.await(t, warning)
		if text := second.err.String(); !strings.Contains(text, "-hostname w2@%h") || !strings.Contains(text, "worker="+name) {
			t.Errorf("the warning does not help: %s", text)
		}
		other.stop()
		if strings.Contains(other.err.String(), warning) {
			t.Errorf("warned in vain: %s", &other.err)
		}
	})
}

// A broker that is not there is not taken for workers that are not there.
func TestInspectWithoutBroker(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	s := newShell(t)
	code := s.run("-broker", "amqp://guest:s3cret@"+address+"/", "inspect", "ping")
	if text := s.err.String(); code != 1 || !strings.Contains(text, "the broker can't be used") || !strings.Contains(text, "connection refused") || strings.Contains(text, "s3cret") {
		t.Errorf("exit code %d: %s", code, text)
	}
}
