package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// The tests of this package run their own binary as other processes: with this
// variable set it is one of roles instead of the tests.
const roleVariable = "TASKGEN_SQLITE_TEST_ROLE"

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var roles = map[string]func(args []string) error{
	"open":   openRole,
	"send":   sendRole,
	"work":   workRole,
	"hold":   holdRole,
	"own":    ownRole,
	"echo":   echoRole,
	"locker": lockerRole,
}

// A process is the test binary in one of its roles.
type process struct {
	*exec.Cmd
	t     testing.TB
	lines *bufio.Scanner
	out   *bytes.Buffer // stderr
}

func start(t testing.TB, role string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), t: t, out: &bytes.Buffer{}}
	p.Env = append(os.Environ(), roleVariable+"="+role)
	p.Stderr = p.out
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// line waits for the process to print a line.
func (p *process) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatalf("%v ended: %s", p.Args, p.out)
	}
	return p.lines.Text()
}

// kill ends the process without a warning.
func (p *process) kill() {
	if p.ProcessState == nil {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

// end waits for the process to end by itself.
func (p *process) end() {
	p.t.Helper()
	for p.lines.Scan() {
	}
	if err := p.Wait(); err != nil {
		p.t.Fatalf("%v: %v: %s", p.Args, err, p.out)
	}
}

// openRole opens the database, publishes one message, and ends.
func openRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	if err := transport.Publish(context.Background(), message("q")); err != nil {
		return err
	}
	return transport.Close()
}

// A ledger is a file of task ids, one a line, that outlives its writer.
type ledger struct{ file *os.File }

func newLedger(folder, kind string) (*ledger, error) {
	file, err := os.OpenFile(filepath.Join(folder, kind+"."+strconv.Itoa(os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	return &ledger{file}, err
}

func (l *ledger) note(id string) {
	if _, err := l.file.WriteString(id + "\n"); err != nil {
		panic(err)
	}
}

// readLedgers counts the ids of one kind.
func readLedgers(t testing.TB, folder, kind string) map[string]int {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, kind+".*"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if id, whole := strings.CutSuffix(line, "\n"); whole {
				count[id]++
			}
		}
	}
	return count
}

// sendRole publishes from several goroutines until it is killed, and notes the
// ids that were accepted.
func sendRole(args []string) error {
	accepted, err := newLedger(args[1], "accepted")
	if err != nil {
		return err
	}
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	failed := make(chan error)
	for sender := range 4 {
		go func() {
			for i := 0; ; i++ {
				m := message("q")
				m.Priority = uint8(i % 10)
				if i%7 == sender {
					m.ETA = time.Now().Add(time.Duration(i%50) * time.Millisecond)
				}
				if err := transport.Publish(context.Background(), m); err != nil {
					failed <- err
					return
				}
				accepted.note(m.ID)
				time.Sleep(time.Duration(i%3) * time.Millisecond)
			}
		}()
	}
	return <-failed
}

// workRole settles what it gets until it is killed, with a result, and every
// tenth after one more attempt. It notes what it has run and settled.
func workRole(args []string) error {
	ran, err := newLedger(args[1], "ran")
	if err != nil {
		return err
	}
	settled, err := newLedger(args[1], "settled")
	if err != nil {
		return err
	}
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	failed := make(chan error)
	deliveries := make(chan *task.Delivery, 16)
	consumer, err := transport.Consume(task.ConsumeConfig{
		Worker:        "worker@test",
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 16}},
		Deliver:       func(d *task.Delivery) { deliveries <- d },
	})
	if err != nil {
		return err
	}
	for range 8 {
		go func() {
			for d := range deliveries {
				if err := work(consumer, d, ran, settled); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func work(consumer task.Consumer, d *task.Delivery, ran, settled *ledger) error {
	id := d.Message.ID
	if id[len(id)-1] < '2' && len(d.Message.Headers) == 0 {
		next := *d.Message
		next.Headers = map[string]any{"retries": int32(1)}
		return consumer.Settle(context.Background(), d, task.Outcome{Publish: []*task.Message{&next}})
	}
	ran.note(id)
	result := &task.Result{ID: id, State: task.Success, Body: []byte(`{}`)}
	if err := consumer.Settle(context.Background(), d, task.Outcome{Result: result}); err != nil {
		return err
	}
	settled.note(id)
	return nil
}

// holdRole takes messages, says so, and keeps them until it is killed.
func holdRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	prefetch, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	_, err = transport.Consume(task.ConsumeConfig{
		Worker:        "holder@test",
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: prefetch}},
		Deliver:       func(d *task.Delivery) { fmt.Println(d.Message.ID) },
	})
	if err != nil {
		return err
	}
	select {}
}

// echoRole answers each message with its own body until it is killed.
func echoRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	var consumer task.Consumer
	ready := make(chan struct{})
	consumer, err = transport.Consume(task.ConsumeConfig{
		Worker:        "echo@test",
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 16}},
		Deliver: func(d *task.Delivery) {
			<-ready
			result := &task.Result{ID: d.Message.ID, State: task.Success, ContentType: d.Message.ContentType, Body: d.Message.Body}
			if err := consumer.Settle(context.Background(), d, task.Outcome{Result: result}); err != nil {
				panic(err)
			}
		},
	})
	close(ready)
	if err != nil {
		return err
	}
	for !consumer.Ready() {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ready")
	select {}
}
