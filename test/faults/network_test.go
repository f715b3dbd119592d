package faults

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// callGrace is how long after its deadline a call may return.
const callGrace = 500 * time.Millisecond

// onTime is an error if a call returned later than its deadline allows.
func (w *world) onTime(s *sent) {
	w.Helper()
	w.within(s.config.deadline+callGrace, "the longest call", w.row.longestCall)
}

// The network of both sides fails in one way after the other while tasks are sent and run.
func TestNetwork(t *testing.T) {
	for _, fault := range []struct {
		name  string
		lasts time.Duration
		begin func(*proxy)
		end   func(*proxy)
	}{
		{
			"black hole", pick(8*time.Second, 35*time.Second),
			func(x *proxy) { x.set(func() { x.hole = true }) },
			func(x *proxy) { x.set(func() { x.hole = false }) },
		},
		{
			"half-open: nothing comes back", pick(8*time.Second, 35*time.Second),
			func(x *proxy) { x.set(func() { x.halfOpen = true }) },
			func(x *proxy) { x.set(func() { x.halfOpen = false }) },
		},
		{
			"resets", pick(4*time.Second, 20*time.Second),
			func(x *proxy) {
				for range pick(8, 40) {
					x.cut()
					time.Sleep(500 * time.Millisecond)
				}
			},
			func(*proxy) {},
		},
		{
			"latency 200 ms", pick(5*time.Second, 30*time.Second),
			func(x *proxy) { x.set(func() { x.latency = 100 * time.Millisecond }) },
			func(x *proxy) { x.set(func() { x.latency = 0 }) },
		},
		{
			"20 kB/s", pick(5*time.Second, 30*time.Second),
			func(x *proxy) { x.set(func() { x.rate = 20_000 }) },
			func(x *proxy) { x.set(func() { x.rate = 0 }) },
		},
		{
			"connections refused", pick(5*time.Second, 30*time.Second),
			func(x *proxy) { x.takeDown() },
			func(x *proxy) { x.up() },
		},
	} {
		t.Run(fault.name, func(t *testing.T) {
			alongside(t)
			// The long form is with the heartbeat that everybody has.
			p, x := via(t, sharedBroker(t), pick("heartbeat=2", ""))
			w := newWorld(t, fmt.Sprintf("network: %s, %s", fault.name, fault.lasts), p)
			worker := w.worker()
			w.ready(worker)
			s := w.send(sending{perSecond: pick(40, 100), senders: 64, deadline: 5 * time.Second, until: make(chan struct{})})
			w.await("tasks run", func() bool { return w.ledger.tally().ended > 20 })
			begin := time.Now()
			fault.begin(x)
			time.Sleep(time.Until(begin.Add(fault.lasts)))
			over := time.Now()
			fault.end(x)
			w.awaitAgain(s, over)
			time.Sleep(time.Second)
			close(s.config.until)
			s.wait()
			for _, err := range s.errors() {
				if !strings.Contains(err.Error(), "deadline exceeded") {
					t.Errorf("a call failed: %v", err)
				}
			}
			w.onTime(s)
			w.finish()
			// What a call was not told of may have been queued; nothing else runs twice.
			w.atMost("started twice", w.row.startedTwice, 0)
			if n := w.ledger.tally().rejectedAndRun; n > 0 {
				w.remarkf("%d of the rejected ran", n)
			}
		})
	}
}

// With 200 ms round trips a batch is as fast as the window lets it be, not one task a round trip.
func TestBatchOverLatency(t *testing.T) {
	alongside(t)
	p, x := via(t, sharedBroker(t), "")
	w := newWorld(t, "network: a batch over 200 ms round trips", p)
	client := w.client()
	tasks := pick(4000, 20_000)
	args := make([]job, tasks+1)
	for i := range args {
		args[i].Number = w.numbers(1)
	}
	ctx := task.WithClient(w.ctx, client)
	send := func(args []job) time.Duration {
		begin := time.Now()
		if _, err := jobs(w.queue).DelayMany(ctx, args); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		for _, j := range args {
			w.check(w.ledger.note(accepted, j.Number))
		}
		return took
	}
	send(args[:1]) // connects and declares
	const roundTrip = 200 * time.Millisecond
	x.set(func() { x.latency = roundTrip / 2 })
	took := send(args[1:])
	x.set(func() { x.latency = 0 })
	perSecond := float64(tasks) / took.Seconds()
	// The window of messages without a confirm, once a round trip.
	const window = 1000
	w.remarkf("%.0f tasks a second", perSecond)
	w.row.longestCall = took
	if least := window / roundTrip.Seconds() / 2; perSecond < least && leeway == 0 {
		t.Errorf("%.0f tasks a second, want %.0f", perSecond, least)
	}
	w.worker("-c", "50")
	w.finish()
}

// A broker that is not there never holds up the start of a client, and calls only to their deadlines.
func TestBrokerDown(t *testing.T) {
	alongside(t)
	p, x := via(t, sharedBroker(t), "")
	x.takeDown()
	w := newWorld(t, "broker down when client and worker start, and later", p)
	begin := time.Now()
	client := w.client()
	w.within(100*time.Millisecond, "the start of a client", time.Since(begin))
	worker := w.worker()
	unlucky := w.send(sending{tasks: 20, senders: 20, deadline: 2 * time.Second, client: client})
	unlucky.wait()
	w.onTime(unlucky)
	for _, err := range unlucky.errors() {
		if errors.Is(err, task.ErrUnconfirmed) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a call failed in the wrong way: %v", err)
		}
	}
	w.atMost("calls that succeeded without a broker", 20-len(unlucky.errors()), 0)
	early := w.row.longestCall
	patient := w.send(sending{tasks: 20, senders: 20, deadline: time.Minute, client: client})
	time.Sleep(pick(3*time.Second, 15*time.Second))
	over := time.Now()
	x.up()
	patient.wait()
	patient.allAccepted()
	w.row.longestCall = early
	if !worker.alive() {
		t.Error("the worker has ended")
	}
	w.await("the worker works", func() bool {
		back, ran := w.ledger.firstStart(over)
		w.row.workerBack = back.Sub(over)
		return ran
	})
	published, _ := patient.firstAccepted(over)
	w.row.publisherBack = published.Sub(over)
	w.within(goingAgain, "the publisher", w.row.publisherBack)
	w.within(goingAgain, "the worker", w.row.workerBack)
	w.finish()
	w.atMost("rejected tasks that ran", w.ledger.tally().rejectedAndRun, 0)
}

// A worker with a wrong password ends soon, says why, and never says the password.
func TestLoginRefused(t *testing.T) {
	alongside(t)
	p := sharedBroker(t)
	p.url = strings.Replace(p.url, "guest:guest@", "guest:s3cret-and-wrong@", 1)
	if p.url == p.direct {
		t.Skip("the broker has another user than guest")
	}
	p, x := via(t, place{name: p.name, url: p.url, direct: p.url}, "")
	p.direct = sharedBroker(t).url
	w := newWorld(t, "login refused", p)
	begin := time.Now()
	worker := w.worker()
	if code := worker.exit(patience); code == 0 {
		t.Error("exit code 0")
	}
	took := time.Since(begin)
	w.within(10*time.Second, "the end of the worker", took)
	log := worker.log()
	if !strings.Contains(log, "refuses user") || strings.Contains(log, "s3cret") {
		t.Errorf("the log:\n%s", log)
	}
	tries := x.accepted()
	w.remarkf("the worker ended after %s with %d tries", seconds(took), tries)
	w.atMost("tries", tries, 1+int(took.Seconds()))
}

// Connections are lost again and again: nothing of them stays in the process.
func TestConnectionLosses(t *testing.T) {
	alongside(t)
	losses := pick(100, 1000)
	p, x := via(t, sharedBroker(t), "")
	w := newWorld(t, fmt.Sprintf("%d losses of the connections of publisher and worker", losses), p)
	churn := w.start("churn")
	w.await("connections", func() bool { return churn.says("begin") })
	lose := func(n int) {
		for done := 0; done < n; {
			from := w.ledger.tally().ended
			done += x.cut()
			w.await("tasks run again", func() bool { return w.ledger.tally().ended > from+2 })
		}
	}
	rest := func() (goroutines, heap, memory int) {
		time.Sleep(10 * time.Second) // what belongs to the last losses may take as long to go
		goroutines, heap = churn.holdings()
		memory = churn.memory()
		for range 10 {
			g, h := churn.holdings()
			goroutines, heap, memory = min(goroutines, g), min(heap, h), min(memory, churn.memory())
		}
		return goroutines, heap, memory
	}
	lose(pick(20, 100)) // what grows only once has grown
	before, heap, memory := rest()
	lose(losses)
	after, fuller, grown := rest()
	w.remarkf("goroutines %d → %d, heap %d → %d kB, memory %d → %d MB", before, after, heap>>10, fuller>>10, memory>>20, grown>>20)
	w.atMost("goroutines more", after-before, 5)
	w.atMost("kB more of the heap", (fuller-heap)>>10, 2<<10)    // tables that are made once, and some results
	w.atMost("megabytes more", (grown-memory)>>20, pick(32, 16)) // the race detector's own included in the short form
	churn.signal(syscall.SIGTERM)
	if code := churn.exit(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.worker()
	w.finish()
	w.atMost("started twice", w.row.startedTwice, 0)
}
