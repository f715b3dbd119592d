package rabbitmq_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// reconnect is how long everything may take to run again after the cause of a fault is gone.
const reconnect = 5 * time.Second

// The connections break again and again while messages come and go: nothing accepted is lost.
func TestConnectionsReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	transport := w.open(proxy.url)
	in := w.consume(transport)
	w.eventually("the consumer is ready", in.Ready)
	const total, senders, cuts = 3000, 8, 12
	var group sync.WaitGroup
	var next, accepted atomic.Int64
	for range senders {
		group.Go(func() {
			for i := next.Add(1) - 1; i < total; i = next.Add(1) - 1 {
				if err := transport.Publish(w.ctx, w.message(fmt.Sprint(i))); err != nil {
					t.Errorf("message %d: %v", i, err)
				}
				accepted.Add(1)
			}
		})
	}
	cut := 0
	group.Go(func() {
		for range cuts {
			// In the middle of traffic, not while everybody waits to connect.
			from := accepted.Load()
			w.eventually("messages are accepted", func() bool { return accepted.Load() >= min(from+total/cuts/2, total) })
			cut += proxy.cut()
		}
	})
	seen := in.drain(numbers(total)...)
	group.Wait()
	repeated := 0
	for _, n := range seen {
		repeated += n - 1
	}
	t.Logf("%d connections cut, %d of %d messages came more than once", cut, repeated, total)
	if cut < cuts {
		t.Error("hardly anything was cut")
	}
}

// So are messages for later that came through an exchange, while the consumer sends them up the ladder.
func TestDetoursReset(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	sender := w.open(w.url)
	in := w.consume(w.open(proxy.url), func(c *task.ConsumeConfig) { c.Subscriptions[0].Prefetch = 10 })
	w.eventually("the consumer is ready", in.Ready)
	const total, cuts = 400, 5
	exchange, due := w.exchange("x"), time.Now().Add(6*time.Second)
	for i, body := range numbers(total) {
		m := w.through(exchange, "", "key", body)
		m.Queue, m.Bind, m.ETA = w.queue, true, due
		w.check(sender.Publish(w.ctx, m))
		if i%(total/cuts) == total/cuts-1 {
			proxy.cut()
		}
	}
	first := in.next()
	if early := time.Until(due); early > time.Second {
		t.Errorf("%s came %s before its time", first.Message.Body, early)
	}
	rest := numbers(total)
	if err := in.Settle(w.ctx, first, task.Outcome{}); err == nil {
		rest = slices.DeleteFunc(rest, func(body string) bool { return body == string(first.Message.Body) })
	} else if !errors.Is(err, task.ErrStale) {
		t.Fatal(err)
	}
	repeated := 0
	for _, n := range in.drain(rest...) {
		repeated += n - 1
	}
	t.Logf("%d of %d came more than once", repeated, total)
}

func TestBrokerDownAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	proxy.takeDown()
	transport := w.open(proxy.url)
	in := w.consume(transport)
	ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
	defer cancel()
	w.within(800*time.Millisecond, "a publish to nobody", func() {
		err := transport.Publish(ctx, w.message("x"))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, task.ErrUnconfirmed) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
	})
	published := make(chan error)
	go func() { published <- transport.Publish(w.ctx, w.message("1")) }()
	time.Sleep(500 * time.Millisecond) // let it fail a few times
	proxy.up()
	w.within(reconnect, "publish and consume", func() {
		w.check(<-published)
		in.ack(in.next())
	})
	if log := in.log.String(); !strings.Contains(log, "not consuming") || !strings.Contains(log, "msg=consuming") {
		t.Errorf("the log:\n%s", log)
	}
}

// Of several hosts, any one that can be reached will do.
func TestHostsInTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	first, second := newProxy(t, w.url), newProxy(t, w.url)
	second.takeDown()
	transport := w.open(strings.Replace(first.url, first.address, first.address+","+second.address, 1))
	in := w.consume(transport)
	for range 2 {
		w.publish(transport, "x")
		in.ack(in.next())
		second.up()
		first.takeDown()
		w.within(reconnect, "the other host", func() {
			w.publish(transport, "y")
			in.drain("y")
		})
		first, second = second, first
	}
}

// A network that swallows everything can't hold up a caller.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	connected := w.open(proxy.url)
	w.publish(connected, "before")
	proxy.setHole(true)
	fresh := w.open(proxy.url)
	var group sync.WaitGroup
	for name, transport := range map[string]*rabbitmq.Transport{"connected": connected, "not connected": fresh} {
		for _, size := range []int{10, 8 << 20} {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(w.ctx, time.Second)
				defer cancel()
				w.within(1500*time.Millisecond, name, func() {
					err := transport.Publish(ctx, w.message(strings.Repeat("x", size)))
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%s: %v", name, err)
					}
					if uncertain := errors.Is(err, task.ErrUnconfirmed); uncertain != (name == "connected") {
						t.Errorf("%s: unconfirmed is %v: %v", name, uncertain, err)
					}
				})
			})
		}
	}
	group.Wait()
	errs := connected.PublishMany(expired(w.ctx, 200*time.Millisecond), []*task.Message{w.message("a"), w.message("b")})
	for _, err := range errs {
		if !errors.Is(err, task.ErrUnconfirmed) {
			t.Errorf("in a batch: %v", err)
		}
	}
	w.within(3*time.Second, "closing", func() {
		w.check(connected.Close())
		w.check(fresh.Close())
	})
}

// What callers have left behind in a stuck connection has a bound, and who comes later still leaves in time.
func TestStuckWritesHaveABound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	transport := w.open(proxy.url)
	w.publish(transport, "before")
	before := heap()
	proxy.setHole(true)
	body := strings.Repeat("x", 1<<20)
	const callers, rounds = 50, 6
	for range rounds {
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
				defer cancel()
				w.within(2*reconnect, "a publish", func() { // not when the connection is given up
					if err := transport.Publish(ctx, w.message(body)); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("got %v", err)
					}
				})
			})
		}
		group.Wait()
	}
	if kept := int64(heap()-before) >> 20; kept > callers*rounds/2 {
		t.Errorf("%d MiB are kept of %d", kept, callers*rounds)
	}
	proxy.setHole(false)
	w.within(3*reconnect, "the next publish", func() { w.publish(transport, "after") })
}

// A connection that is dead without a word is noticed by its heartbeat.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	in := w.consume(w.open(proxy.url + "?heartbeat=2"))
	w.eventually("the consumer is ready", in.Ready)
	proxy.setHole(true)
	w.within(10*time.Second, "to notice", func() {
		w.eventually("the consumer is not ready", func() bool { return !in.Ready() })
	})
	proxy.setHole(false)
	w.publish(w.open(w.url), "x")
	in.drain("x")
}

func expired(parent context.Context, after time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(parent, after)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// The exchange goes between two publishes: the broker closes the channel.
func TestExchangeDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	routed := func() *task.Message {
		m := w.message("routed")
		m.Exchange, m.RoutingKey, m.Bind = w.queue+"-exchange", "key", true
		return m
	}
	in := w.consume(transport)
	for range 3 {
		w.check(transport.Publish(w.ctx, routed()))
		in.ack(in.next())
		w.check(w.admin.ExchangeDelete(w.queue+"-exchange", false, false))
		// The binding goes and comes back as well.
		w.within(reconnect, "the next publish", func() { w.check(transport.Publish(w.ctx, routed())) })
		in.ack(in.next())
		w.publish(transport, "to the queue")
		in.ack(in.next())
	}
	w.check(w.admin.ExchangeDelete(w.queue+"-exchange", false, false))
}

// The exchange goes, with the bindings that a consumer has made: they come back, whoever makes the exchange anew.
func TestExchangeDeletedUnderConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	exchange := w.exchange("x")
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{{Exchange: exchange, Type: task.Topic, RoutingKey: "a.*"}}
	})
	w.eventually("the consumer is ready", in.Ready)
	for range 2 {
		w.check(transport.Publish(w.ctx, w.through(exchange, task.Topic, "a.b", "x")))
		in.ack(in.next())
		w.check(w.admin.ExchangeDelete(exchange, false, false))
		w.within(reconnect, "the binding", func() {
			w.eventually("the next message arrives", func() bool {
				err := transport.Publish(w.ctx, w.through(exchange, task.Topic, "a.b", "x"))
				if err != nil && !errors.Is(err, task.ErrUnroutable) {
					t.Error(err)
				}
				return err == nil
			})
		})
		in.ack(in.next())
	}
	if n := strings.Count(in.log.String(), "msg=consuming"); n != 1 {
		t.Errorf("%d sessions; the log:\n%s", n, in.log)
	}
}

// What can't be declared is one clear error, and harms nobody else.
func TestDeclareRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.message("x")
	m.Exchange, m.RoutingKey = "amq.nosuch", "key" // names that start so are the broker's
	w.within(reconnect, "the refusal", func() {
		err := transport.Publish(w.ctx, m)
		if err == nil || !strings.Contains(err.Error(), "can't declare exchange amq.nosuch") || !strings.Contains(err.Error(), "403") {
			t.Errorf("got %v", err)
		}
	})
	w.publish(transport, "fine")
}

// Writing to an exchange that takes nothing closes its channel each time.
func TestExchangeForbidden(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	name := w.queue + "-internal"
	w.check(w.admin.ExchangeDeclare(name, "direct", true, false, true, false, nil))
	t.Cleanup(func() { _ = w.admin.ExchangeDelete(name, false, false) })
	m := w.message("x")
	m.Queue, m.Exchange, m.RoutingKey = "", name, "key"
	w.within(reconnect, "the refusal", func() {
		if err := transport.Publish(w.ctx, m); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("got %v", err)
		}
	})
	w.publish(transport, "fine")
}

func TestQueueDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, "before")
	d := in.next()
	_, err := w.admin.QueueDelete(w.queue, false, false, false)
	w.check(err)
	w.within(reconnect, "the next message", func() {
		w.publish(transport, "after") // declares it anew
		in.ack(in.next())
	})
	if err := in.Settle(w.ctx, d, task.Outcome{Publish: []*task.Message{w.message("never")}}); !errors.Is(err, task.ErrStale) {
		t.Errorf("settling what came before: %v", err)
	}
	in.none("a stale settle publishes nothing")
	if log := in.log.String(); !strings.Contains(log, "cancelled") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// Delivery tags count anew in each session: an ack of the one before must not reach the next one.
func TestStaleSettle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	sender := w.open(w.url)
	w.publish(sender, "A", "B")
	in := w.consume(w.open(proxy.url))
	a, b := in.next(), in.next()
	proxy.cut()
	again, _ := in.next(), in.next()
	if again.Tag != a.Tag || again.Session == a.Session || !again.Redelivered || again.Attempts != 1 {
		t.Errorf("redelivered as %+v after %+v", again, a)
	}
	for _, d := range []*task.Delivery{a, b} {
		if err := in.Settle(w.ctx, d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
			t.Errorf("got %v", err)
		}
	}
	w.check(in.Close())
	w.consume(sender).drain("A", "B") // both are still there
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	u, err := url.Parse(w.url)
	w.check(err)
	u.User = url.UserPassword("guest", "s3cret-and-wrong")
	transport := w.open(u.String())
	in := w.consume(transport)
	w.within(20*time.Second, "the refusal", func() {
		err := transport.Publish(w.ctx, w.message("x"))
		if err == nil || !strings.Contains(err.Error(), "refuses user") || strings.Contains(err.Error(), "s3cret") || errors.Is(err, task.ErrUnconfirmed) {
			t.Errorf("got %v", err)
		}
	})
	w.within(500*time.Millisecond, "the next refusal", func() {
		if err := transport.Publish(w.ctx, w.message("x")); err == nil {
			t.Error("accepted")
		}
	})
	w.eventually("the log says so", func() bool { return strings.Contains(in.log.String(), "the broker refuses the worker") })
	if strings.Contains(in.log.String(), "s3cret") {
		t.Errorf("the password is in the log:\n%s", in.log)
	}
}

// transportsToLose is how many lose both their connections at a time.
const transportsToLose = 100

// heap is what is in use of it.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Nothing stays behind from 1,000 lost connections. Not parallel: it counts the goroutines of the process.
func TestNoLeak(t *testing.T) {
	w := newPatientWorld(t, brokerURL(t), 3*patience)
	before := runtime.NumGoroutine()
	proxy := newProxy(t, w.url)
	var transports []*rabbitmq.Transport
	var inboxes []*inbox
	for range transportsToLose {
		transports = append(transports, w.open(proxy.url))
		inboxes = append(inboxes, w.consume(transports[len(transports)-1]))
	}
	// traffic sends a message over every transport, past the consumers, and sees that all are connected.
	past := w.named("past")
	traffic := func() {
		var group sync.WaitGroup
		for i, transport := range transports {
			m := w.message("x")
			m.Queue = past
			group.Go(func() {
				if err := transport.Publish(w.ctx, m); err != nil {
					t.Error(err)
				}
			})
			w.eventually("the consumer is ready", inboxes[i].Ready)
		}
		group.Wait()
	}
	// lose cuts all connections until so many are lost.
	lose := func(n int) {
		for n > 0 {
			n -= proxy.cut()
			traffic()
		}
	}
	lose(2 * transportsToLose) // what is made once is there
	connected, occupied := runtime.NumGoroutine(), heap()
	lose(1000)
	w.eventually("the goroutines are as many as before the cuts", func() bool {
		return runtime.NumGoroutine() <= connected
	})
	if now := heap(); now > occupied+occupied/4 {
		t.Errorf("%d kB are in use after 1,000 lost connections, and were %d before", now>>10, occupied>>10)
	} else {
		t.Logf("%d kB in use, %d before", now>>10, occupied>>10)
	}
	for _, transport := range transports {
		w.check(transport.Close())
	}
	proxy.takeDown()
	w.eventually("the goroutines are as many as before everything", func() bool {
		return runtime.NumGoroutine() <= before
	})
}

// workerProcess is the name of the environment variable that makes this test
// binary a worker: it prints the body of each message, and then acks it.
const workerProcess = "TASKGEN_TEST_WORKER_QUEUE"

func TestMain(m *testing.M) {
	if queue := os.Getenv(workerProcess); queue != "" {
		work(queue)
	}
	os.Exit(m.Run())
}

func work(queue string) {
	transport, err := rabbitmq.Open(context.Background(), os.Getenv("TASKGEN_TEST_AMQP"))
	if err != nil {
		panic(err)
	}
	var consumer task.Consumer
	created := make(chan struct{})
	consumer, err = transport.Consume(task.ConsumeConfig{
		Worker:        "child@here",
		Subscriptions: []task.Subscription{{Queue: queue, Prefetch: 10}},
		Deliver: func(d *task.Delivery) {
			<-created
			go func() {
				fmt.Printf("%s\n", d.Message.Body)
				_ = consumer.Settle(context.Background(), d, task.Outcome{})
			}()
		},
	})
	if err != nil {
		panic(err)
	}
	close(created)
	select {}
}

// Worker processes are killed while they drain a queue: every message is run.
func TestWorkersKilled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	const total, kills = 2000, 8
	batch := make([]*task.Message, total)
	for i := range batch {
		batch[i] = w.message(fmt.Sprint(i))
	}
	if errs := transport.PublishMany(w.ctx, batch); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
	runs := make(map[string]int)
	for kill := 0; len(runs) < total; kill++ {
		worker := exec.Command(os.Args[0])
		worker.Env = append(os.Environ(), workerProcess+"="+w.queue, "TASKGEN_TEST_AMQP="+w.url)
		out, err := worker.StdoutPipe()
		w.check(err)
		w.check(worker.Start())
		stop := context.AfterFunc(w.ctx, func() { _ = worker.Process.Kill() })
		lines := bufio.NewScanner(out)
		for n := 0; len(runs) < total && lines.Scan(); n++ {
			runs[lines.Text()]++
			if kill < kills && n == total/kills/2 {
				w.check(worker.Process.Kill())
			}
		}
		_ = worker.Process.Kill()
		_ = worker.Wait()
		if !stop() {
			t.Fatalf("%d of %d messages were run", len(runs), total)
		}
	}
	repeated := 0
	for _, n := range runs {
		repeated += n - 1
	}
	t.Logf("%d kills, %d messages were run twice", kills, repeated)
	if repeated > 10*kills {
		t.Errorf("%d messages were run twice, want at most the prefetch for each kill", repeated)
	}
}
