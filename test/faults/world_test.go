package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a scenario waits for what must come, if nothing says how fast.
var patience = pick(2*time.Minute, 5*time.Minute)

// goingAgain is how long everything may take to work again once a fault is over.
const goingAgain = 5 * time.Second

// place is a broker as a scenario sees it.
type place struct {
	name string
	url  string // for the processes under test
	// direct is the URL that no fault is in front of; that of url if empty.
	direct  string
	classic bool
}

// sharedBroker is the tests' RabbitMQ, which others use too: it is not hurt.
func sharedBroker(t testing.TB) place {
	t.Helper()
	url := os.Getenv("TASKGEN_TEST_AMQP")
	if url == "" {
		t.Skip("needs a RabbitMQ: run `make test`, or set TASKGEN_TEST_AMQP to the URL that scripts/rabbitmq.sh start prints")
	}
	return place{name: "RabbitMQ", url: url, direct: url}
}

// embedded is a SQLite database of the scenario's own.
func embedded(t testing.TB) place {
	url := "sqlite:" + filepath.Join(t.TempDir(), "broker")
	return place{name: "SQLite", url: url, direct: url}
}

// classic is the place with classic queues instead of quorum queues.
func classic(p place) place {
	p.name, p.classic = p.name+", classic", true
	return p
}

// isRabbitMQ says that there is an AMQP server.
func (p place) isRabbitMQ() bool { return p.direct[:4] == "amqp" }

// world is a scenario's own: a queue, a ledger, processes, and its row of the table.
type world struct {
	testing.TB
	place
	ctx    context.Context
	queue  string
	folder string
	ledger *ledger
	row    row

	next        int          // number of the next task
	inspector   *task.Client // past all faults, once it is needed
	supervisors []*supervisor

	mu      sync.Mutex
	workers []*process
}

func newWorld(t testing.TB, fault string, p place) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), pick(2*patience, 30*time.Minute))
	folder := t.TempDir()
	w := &world{
		TB: t, place: p, ctx: ctx, folder: folder,
		queue:  "faults-" + uuid.NewString(),
		ledger: newLedger(t, filepath.Join(folder, "ledger")),
		row:    row{fault: fault, broker: p.name, longestCall: -1, publisherBack: -1, workerBack: -1},
	}
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if t.Skipped() {
			return
		}
		if w.row.tasks == 0 {
			w.count()
		}
		if w.row.failed = t.Failed(); t.Failed() {
			w.explain()
		}
		results.add(w.row)
	})
	if p.isRabbitMQ() {
		t.Cleanup(w.deleteQueues)
		if p.classic {
			_, err := w.admin().QueueDeclare(w.queue, true, false, false, false, nil)
			w.check(err)
		}
	}
	// After the workers have ended.
	t.Cleanup(func() {
		for _, s := range w.supervisors {
			s.end()
		}
	})
	return w
}

func (w *world) environment() []string {
	return []string{brokerVariable + "=" + w.url, queueVariable + "=" + w.queue, ledgerVariable + "=" + w.ledger.path}
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// admin is an AMQP channel past taskgen, on a connection of its own.
func (w *world) admin() *amqp.Channel {
	w.Helper()
	conn, err := amqp.Dial(w.direct)
	w.check(err)
	w.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	w.check(err)
	return channel
}

func (w *world) deleteQueues() {
	conn, err := amqp.Dial(w.direct)
	if err != nil {
		w.Log("the queues stay:", err)
		return
	}
	defer conn.Close()
	for _, queue := range []string{w.queue, w.queue + ".dead", w.queue + ".probation"} {
		channel, err := conn.Channel()
		if err == nil {
			_, err = channel.QueueDelete(queue, false, false, false)
		}
		if err != nil {
			w.Log("the queue stays:", err)
		}
	}
}

// client opens a client in this process, at the URL of the processes under test.
func (w *world) client() *task.Client {
	w.Helper()
	return w.clientAt(w.url)
}

func (w *world) clientAt(url string) *task.Client {
	w.Helper()
	c, err := broker.Open(w.ctx, url)
	w.check(err)
	w.Cleanup(func() { c.Close() })
	return c
}

// await waits until ok is true.
func (w *world) await(what string, ok func() bool) {
	w.Helper()
	if !w.eventually(patience, ok) {
		w.Fatalf("never happened: %s; %+v", what, w.ledger.tally())
	}
}

// eventually says whether ok was true within a time.
func (w *world) eventually(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// within is an error if something took longer than it may. Busy machines get leeway in the short form.
func (w *world) within(limit time.Duration, what string, took time.Duration) {
	w.Helper()
	if took > limit+leeway {
		w.Errorf("%s took %s, want at most %s", what, took.Round(time.Millisecond), limit)
	}
}

// atMost is an error if a count is larger than it may be.
func (w *world) atMost(what string, got, most int) {
	w.Helper()
	if got > most {
		w.Errorf("%s: %d, want at most %d", what, got, most)
	}
}

// awaitAgain waits until a call is accepted and a task started after the end of a fault, and notes how long that took.
func (w *world) awaitAgain(s *sent, over time.Time) {
	w.Helper()
	var publisher, worker time.Time
	w.await("both sides are going again", func() bool {
		var published, ran bool
		publisher, published = s.firstAccepted(over)
		worker, ran = w.ledger.firstStart(over)
		return published && ran
	})
	w.row.publisherBack = max(w.row.publisherBack, publisher.Sub(over))
	w.row.workerBack = max(w.row.workerBack, worker.Sub(over))
	w.within(goingAgain, "the publisher", w.row.publisherBack)
	w.within(goingAgain, "the worker", w.row.workerBack)
}

// exchange is a name for an exchange of the world's own.
func (w *world) exchange() string { return w.queue + "-exchange" }

// remark adds to the row's remark.
func (w *world) remarkf(format string, args ...any) {
	if w.row.remark != "" {
		w.row.remark += ", "
	}
	w.row.remark += fmt.Sprintf(format, args...)
}

// left is how many messages wait in the queue. It takes them away.
func (w *world) left() int {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	n, err := w.clientAt(w.direct).Transport().Purge(ctx, w.queue)
	w.check(err)
	return n
}

// finish waits until everything accepted has ended, ends the workers in order, and counts. Anything
// lost, or left in the queue, is an error.
func (w *world) finish() {
	w.Helper()
	w.finishBut(0)
}

// finishBut finishes though so many are lost.
func (w *world) finishBut(gone int) {
	w.Helper()
	if !w.eventually(patience, func() bool { return w.ledger.tally().lost <= gone }) {
		w.Errorf("not all tasks have run: %+v", w.ledger.tally())
	}
	w.awaitQuiet()
	for _, s := range w.supervisors {
		s.end()
	}
	w.mu.Lock()
	workers := slices.Clone(w.workers)
	w.mu.Unlock()
	workers = slices.DeleteFunc(workers, func(p *process) bool { return !p.alive() })
	for _, p := range workers {
		p.signal(syscall.SIGTERM)
	}
	for _, p := range workers {
		if code := p.exit(time.Minute); code != 0 {
			w.Errorf("a worker was told to stop and exited with %d", code)
		}
	}
	if n := w.left(); n > 0 {
		w.Errorf("%d messages are left in the queue", n)
	}
	w.count()
}

// awaitQuiet waits until no task is started any more: what was queued twice gets its chance to run twice.
func (w *world) awaitQuiet() {
	seen, since := -1, time.Now()
	w.await("quiet", func() bool {
		n := 0
		w.ledger.each(func(_ int, events []event) { n += len(events) })
		if n != seen {
			seen, since = n, time.Now()
		}
		return time.Since(since) > time.Second
	})
}

// explain logs some of the tasks that were lost or started twice, with all that the ledger has of them.
func (w *world) explain() {
	left := 5
	w.ledger.each(func(number int, events []event) {
		n := count(events)
		if left == 0 || n[started] == 1 && n[ended] == 1 {
			return
		}
		left--
		var line strings.Builder
		for _, e := range events {
			fmt.Fprintf(&line, " %s %s by %d;", e.at.Format("15:04:05.000"), e.kind, e.pid)
		}
		w.Logf("task %d:%s", number, line.String())
	})
}

// count fills in the counts of the row.
func (w *world) count() {
	t := w.ledger.tally()
	w.row.tasks, w.row.accepted, w.row.rejected = t.accepted+t.rejected, t.accepted, t.rejected
	w.row.lost, w.row.startedTwice, w.row.endedTwice = t.lost, t.startedTwice, t.endedTwice
}
