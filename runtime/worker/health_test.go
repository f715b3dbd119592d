package worker

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

// prober asks a worker for its health.
type prober struct {
	*testing.T
	base string
}

var healthLine = regexp.MustCompile(`health +(http://\S+)/livez`)

// probe finds out where a worker answers. It has said so before it is ready.
func probe(t *testing.T, log *output) prober {
	t.Helper()
	log.await(t, "/livez and /readyz")
	return prober{t, healthLine.FindStringSubmatch(log.String())[1]}
}

// ask returns the status and the text. The answer to HEAD is the same without the text.
func (p prober) ask(path string) (status int, text string) {
	p.Helper()
	began := time.Now()
	response, err := http.Get(p.base + path)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		p.Errorf("the answer to %s took %s", path, took)
	}
	return response.StatusCode, string(body)
}

// want waits until path is answered so.
func (p prober) want(path string, status int, text string) {
	p.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		gotStatus, gotText := p.ask(path)
		if gotStatus == status && strings.HasPrefix(gotText, text) && strings.Count(gotText, "\n") == 1 {
			return
		}
		if time.Now().After(end) {
			p.Fatalf("GET %s: %d %q, want %d %q", path, gotStatus, gotText, status, text)
		}
	}
}

func TestHealthDrains(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	worker := startChild(t, "-broker", url, "-health", "127.0.0.1:0")
	p := probe(t, &worker.log)
	p.want("/livez", 200, "ok\n")
	p.want("/readyz", 200, "ok\n")
	for path, want := range map[string]int{"HEAD /readyz": 200, "POST /livez": 405, "DELETE /readyz": 405, "GET /": 404, "GET /metrics": 404} {
		method, path, _ := strings.Cut(path, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, p.base+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s %s: %d, want %d", method, path, response.StatusCode, want)
		}
	}
	holder := newHolder(t)
	holder.send(ctx)
	conn := holder.started()
	worker.signal(syscall.SIGTERM)
	worker.log.await(t, "told to stop")
	if status, text := p.ask("/readyz"); status != 503 || text != "draining\n" {
		t.Errorf("while it drains: %d %q", status, text)
	}
	p.want("/livez", 200, "ok\n")
	holder.finish(conn, "done")
	if code := worker.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A broker that is down is nothing that a new process would mend. Probes are answered before there ever was a session.
func TestHealthInOutage(t *testing.T) {
	t.Parallel()
	broker := os.Getenv("TASKGEN_TEST_AMQP")
	if broker == "" {
		t.Skip("TASKGEN_TEST_AMQP names no broker")
	}
	gate := newGate(t, broker)
	queue := "test.health." + uuid.NewString()
	t.Cleanup(func() { deleteQueue(t, broker, queue) })
	worker := launchChild(t, "-broker", gate.url, "-Q", queue, "-health", "127.0.0.1:0")
	p := probe(t, &worker.log)
	for range 2 {
		p.want("/readyz", 503, "not consuming")
		p.want("/livez", 200, "ok\n")
		gate.open()
		p.want("/readyz", 200, "ok\n")
		p.want("/livez", 200, "ok\n")
		gate.shut()
	}
	p.want("/readyz", 503, "not consuming")
	p.want("/livez", 200, "ok\n")
	worker.signal(syscall.SIGTERM)
	if code := worker.exitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A worker that has no slot left for its tasks is not live until one comes back. What it says of the stuck task leads to it.
func TestHealthOfStuckWorker(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	ctx := sender(t, url)
	worker := startChild(t, "-broker", url, "-health", "127.0.0.1:0", "-hostname", "w@box", "-c", "1", "-Q", "tasks")
	p := probe(t, &worker.log)
	holder := newHolder(t)
	call, err := deaf.Send(ctx, &args{Text: holder.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	conn := holder.started()
	p.want("/livez", 503, "worker w@box: stuck tasks hold every slot for these queues: tasks\n")
	for _, want := range []string{"a task is stuck", "id=" + call.ID, "worker.held(", "the task's timeout has passed"} {
		worker.log.await(t, want) // written right after /livez changes
	}
	holder.finish(conn, "done")
	p.want("/livez", 200, "ok\n")
	worker.log.await(t, "a stuck task has returned")
}

// Probes are answered while setup makes what the tasks need.
func TestHealthInSetup(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	port := freePort(t)
	p := prober{t, "http://" + port}
	s.setup = func(ctx context.Context, run Run) error {
		p.want("/livez", 200, "ok\n")
		p.want("/readyz", 503, "starting\n")
		s.signals <- syscall.SIGTERM
		return run(ctx, task.NewRegistry())
	}
	if code := s.run("-broker", "memory:"+t.Name(), "-health", port); code != succeeded {
		t.Errorf("exit code %d: %s", code, &s.err)
	}
	if _, err := net.Dial("tcp", port); err == nil {
		t.Error("the port is open after the end")
	}
}

func TestHealthPortIsTaken(t *testing.T) {
	t.Parallel()
	holder := newHolder(t)
	address := holder.Addr().String()
	newShell(t).want(failed, "", "worker: -health "+address+": bind: address already in use; want an address of this machine that is free\n",
		"-broker", "memory:"+t.Name(), "-health", address)
	for _, bad := range []string{"8081", "localhost", "http://localhost:8081"} {
		s := newShell(t)
		if code := s.run("-health", bad); code != misused || !strings.Contains(s.err.String(), "want an address with a port") {
			t.Errorf("-health %s: exit code %d: %s", bad, code, &s.err)
		}
	}
}

// freePort is an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
