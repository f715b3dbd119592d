package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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
	"open":      openRole,
	"join":      joinRole,
	"send":      sendRole,
	"work":      workRole,
	"hold":      holdRole,
	"own":       ownRole,
	"echo":      echoRole,
	"locker":    lockerRole,
	"stranger":  strangerRole,
	"elsewhere": elsewhereRole,
	"persist":   persistRole,
	"listen":    listenRole,
}

// A process is the test binary in one of its roles.
type process struct {
	*exec.Cmd
	role  string
	t     testing.TB
	stdin io.Closer
	lines *bufio.Scanner
	out   *safeBuffer // stderr
}

func start(t testing.TB, role string, args ...string) *process {
	t.Helper()
	p := prepare(t, role, args...)
	p.start()
	return p
}

// prepare is start, but for the start.
func prepare(t testing.TB, role string, args ...string) *process {
	p := &process{Cmd: exec.Command(os.Args[0], args...), role: role, t: t, out: &safeBuffer{}}
	p.Env = append(os.Environ(), roleVariable+"="+role)
	p.Stderr = p.out
	return p
}

func (p *process) start() {
	p.t.Helper()
	stdout, err := p.StdoutPipe()
	if err == nil {
		p.stdin, err = p.StdinPipe()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stdout)
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(p.kill)
}

// line waits for the process to print a line.
func (p *process) line() string {
	p.t.Helper()
	hung := time.AfterFunc(limit, func() { _ = p.Process.Kill() })
	defer hung.Stop()
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

// joinRole publishes messages and takes part in the work until its standard input ends.
func joinRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	accepted, err := newLedger(args[1], "accepted")
	if err != nil {
		return err
	}
	messages, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	failed, err := startWork(transport, args[1])
	if err != nil {
		return err
	}
	for range messages {
		m := message("q")
		if err := transport.Publish(context.Background(), m); err != nil {
			return err
		}
		accepted.note(m.ID)
	}
	fmt.Println("sent")
	finish := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(finish)
	}()
	select {
	case err := <-failed:
		return err
	case <-finish:
		return transport.Close()
	}
}

// A ledger is a file of task ids and times, one a line, that outlives its writer.
type ledger struct{ file *os.File }

func newLedger(folder, kind string) (*ledger, error) {
	file, err := os.OpenFile(filepath.Join(folder, kind+"."+strconv.Itoa(os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	return &ledger{file}, err
}

func (l *ledger) note(id string) {
	if _, err := fmt.Fprintln(l.file, id, time.Now().UnixMicro()); err != nil {
		panic(err)
	}
}

// An entry is what the ledgers of one kind say of one task.
type entry struct {
	times       int
	first, last time.Time
}

// readLedgers reads what was noted of one kind, by task id.
func readLedgers(t testing.TB, folder, kind string) map[string]entry {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, kind+".*"))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]entry{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			line, whole := strings.CutSuffix(line, "\n")
			id, text, spaced := strings.Cut(line, " ")
			micros, err := strconv.ParseInt(text, 10, 64)
			if !whole || !spaced || err != nil {
				continue // its writer was killed over it
			}
			e, at := entries[id], time.UnixMicro(micros)
			if e.times++; e.first.IsZero() || at.Before(e.first) {
				e.first = at
			}
			if at.After(e.last) {
				e.last = at
			}
			entries[id] = e
		}
	}
	return entries
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

// workRole works until it is killed.
func workRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	failed, err := startWork(transport, args[1])
	if err != nil {
		return err
	}
	return <-failed
}

// startWork settles what comes, stormSlots at a time, with a result, and every tenth
// after one more attempt. It notes what has started, completed and was settled.
func startWork(transport *sqlite.Transport, folder string) (failed chan error, err error) {
	var notes [3]*ledger
	for i, kind := range []string{"started", "completed", "settled"} {
		if notes[i], err = newLedger(folder, kind); err != nil {
			return nil, err
		}
	}
	failed = make(chan error, stormSlots)
	deliveries := make(chan *task.Delivery, 2*stormSlots)
	consumer, err := transport.Consume(task.ConsumeConfig{
		Worker:        "worker@test",
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 2 * stormSlots}},
		Deliver:       func(d *task.Delivery) { deliveries <- d },
	})
	if err != nil {
		return nil, err
	}
	for range stormSlots {
		go func() {
			for d := range deliveries {
				if err := work(consumer, d, notes[0], notes[1], notes[2]); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return failed, nil
}

func work(consumer task.Consumer, d *task.Delivery, started, completed, settled *ledger) error {
	id := d.Message.ID
	if id[len(id)-1] < '2' && len(d.Message.Headers) == 0 {
		next := *d.Message
		next.Headers = map[string]any{"retries": int32(1)}
		return consumer.Settle(context.Background(), d, task.Outcome{Publish: []*task.Message{&next}})
	}
	started.note(id)
	time.Sleep(rand.N(20 * time.Millisecond))
	completed.note(id)
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

// persistence is how long each call of persistRole may take.
const persistence = 300 * time.Millisecond

// persistRole publishes until it is killed, whatever the answers are, and notes them.
func persistRole(args []string) error {
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	var notes [3]*ledger
	for i, kind := range []string{"accepted", "blocked", "unconfirmed"} {
		if notes[i], err = newLedger(args[1], kind); err != nil {
			return err
		}
	}
	failed := make(chan error)
	for range 4 {
		go func() {
			for {
				m := message("q")
				m.Body = make([]byte, 2<<10)
				ctx, cancel := context.WithTimeout(context.Background(), persistence)
				begin := time.Now()
				err := transport.Publish(ctx, m)
				cancel()
				switch {
				case time.Since(begin) > persistence+busy:
					failed <- fmt.Errorf("a call took %s: %w", time.Since(begin), err)
				case err == nil:
					notes[0].note(m.ID)
				case errors.Is(err, task.ErrUnconfirmed):
					notes[2].note(m.ID)
				case errors.Is(err, task.ErrBlocked), errors.Is(err, context.DeadlineExceeded):
					notes[1].note(m.ID)
				default:
					failed <- err
				}
				time.Sleep(time.Millisecond)
			}
		}()
	}
	return <-failed
}

// A safeBuffer takes what others write.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
