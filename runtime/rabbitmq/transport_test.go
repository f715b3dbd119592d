package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

func TestPublishConsumeSettle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, numbers(100)...)
	for body, n := range in.drain(numbers(100)...) {
		if n != 1 {
			t.Errorf("%s came %d times", body, n)
		}
	}
	w.check(in.Close())
	w.eventually("the queue is empty", func() bool {
		q, err := w.admin.QueueDeclarePassive(w.queue, true, false, false, false, nil)
		w.check(err)
		return q.Messages == 0
	})
}

// A message that no queue takes is never accepted, however many are on their way.
func TestUnroutable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	exchange := w.queue + "-exchange"
	t.Cleanup(func() { _ = w.admin.ExchangeDelete(exchange, false, false) })
	const senders, each = 16, 2000
	var accepted, unroutable atomic.Int64
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for range each {
				m := w.message("x")
				m.Queue, m.Exchange, m.RoutingKey = "", exchange, "nowhere"
				switch err := transport.Publish(w.ctx, m); {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, task.ErrUnroutable) && !errors.Is(err, task.ErrUnconfirmed):
					unroutable.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if accepted.Load() != 0 || unroutable.Load() != senders*each {
		t.Errorf("%d looked accepted, %d unroutable, of %d", accepted.Load(), unroutable.Load(), senders*each)
	}
}

func TestUnroutableNotMandatory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.message("x")
	m.Queue, m.Exchange, m.Mandatory = "", "amq.direct", false
	w.check(transport.Publish(w.ctx, m))
	errs := transport.PublishMany(w.ctx, []*task.Message{m, w.message("queued")})
	if errs != nil {
		t.Error(errs)
	}
}

func TestPublishManyTellsWhich(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	batch := make([]*task.Message, 3000)
	for i := range batch {
		batch[i] = w.message(fmt.Sprint(i))
	}
	batch[7].Queue, batch[7].Exchange, batch[7].RoutingKey = "", "amq.direct", "nowhere"
	batch[8].Headers["bad"] = int64(1)
	errs := transport.PublishMany(w.ctx, batch)
	if len(errs) != len(batch) {
		t.Fatalf("%d errors for %d messages", len(errs), len(batch))
	}
	for i, err := range errs {
		switch i {
		case 7:
			if !errors.Is(err, task.ErrUnroutable) {
				t.Errorf("the unroutable message: %v", err)
			}
		case 8:
			if err == nil || !strings.Contains(err.Error(), `header "bad"`) {
				t.Errorf("the message with a bad header: %v", err)
			}
		default:
			if err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
	}
}

// Queues that somebody else declared are taken as they are.
func TestExistingQueue(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string]amqp.Table{
		"celery classic": nil,
		"delivery limit": {"x-queue-type": "quorum", "x-delivery-limit": int32(5)},
		"other priority": {"x-max-priority": int32(3)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, brokerURL(t))
			_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, arguments)
			w.check(err)
			transport := w.open(w.url)
			w.publish(transport, "1")
			in := w.consume(transport)
			in.ack(in.next())
			// Celery declares it again, as it always does.
			_, err = w.admin.QueueDeclare(w.queue, true, false, false, false, arguments)
			w.check(err)
		})
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	m := w.message("routed")
	m.Exchange, m.RoutingKey, m.Bind = w.queue+"-exchange", "some.key", true
	t.Cleanup(func() { _ = w.admin.ExchangeDelete(m.Exchange, false, false) })
	w.check(transport.Publish(w.ctx, m))
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{{Exchange: m.Exchange, RoutingKey: "other.key"}}
	})
	d := in.next()
	if d.Message.Exchange != m.Exchange || d.Message.RoutingKey != m.RoutingKey || d.Message.Queue != w.queue {
		t.Errorf("delivered from %q, %q, %q", d.Message.Exchange, d.Message.RoutingKey, d.Message.Queue)
	}
	in.ack(d)
	m.Queue, m.RoutingKey, m.Bind = "", "other.key", false // by the consumer's binding
	w.check(transport.Publish(w.ctx, m))
	in.ack(in.next())
}

// The ladder delays in whole seconds, rounded down, and is Celery's own.
func TestDelayed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	m := w.message("later")
	start := time.Now()
	m.ETA = start.Add(2300 * time.Millisecond)
	w.check(transport.Publish(w.ctx, m))
	least := time.Until(m.ETA).Truncate(time.Second) // of what was left when it was sent, which takes a busy machine a while
	d := in.next()
	if took := time.Since(start); took < least || took > m.ETA.Sub(start)+time.Second {
		t.Errorf("came after %s, want %s at least", took, least)
	}
	got := d.Message
	if got.Exchange != "" || got.RoutingKey != w.queue {
		t.Errorf("came from exchange %q with key %q, want what leads to its queue directly", got.Exchange, got.RoutingKey)
	}
	for name := range got.Headers {
		if strings.HasPrefix(name, "x-") {
			t.Errorf("header %s is still there", name)
		}
	}
	// A second climb by the same message, as a retry does.
	again := *got
	again.ETA = time.Now().Add(3 * time.Second)
	w.check(in.Settle(w.ctx, d, task.Outcome{Publish: []*task.Message{&again}}))
	in.ack(in.next())
	if early := time.Until(again.ETA); early > time.Second {
		t.Errorf("the second time it came %s before its time", early)
	}
	// On the wire it is what Celery sends, but for the first exchange: the delay in binary, then the queue.
	spy, err := w.admin.QueueDeclare("", false, true, true, false, nil)
	w.check(err)
	w.check(w.admin.QueueBind(spy.Name, "#."+w.queue, "celery_delayed_2", false, nil))
	m = w.message("much later")
	m.ETA = time.Now().Add(5*time.Second + 999*time.Millisecond)
	w.check(transport.Publish(w.ctx, m))
	copied, ok, err := w.admin.Get(spy.Name, true)
	w.check(err)
	if want := strings.Repeat("0.", 25) + "1.0.1." + w.queue; !ok || copied.RoutingKey != want {
		t.Errorf("the routing key is %q, want %q", copied.RoutingKey, want)
	}
	in.ack(in.next())
	// Celery declares the ladder as it is.
	_, err = w.admin.QueueDeclare("celery_delayed_27", true, false, false, false, amqp.Table{
		"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-message-ttl": int64(134217728000),
		"x-dead-letter-exchange": "celery_delayed_26", "x-dead-letter-strategy": "at-least-once",
	})
	w.check(err)
	w.check(w.admin.ExchangeDeclare("celery_delayed_delivery", "topic", true, false, false, false, nil))
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	for _, p := range []uint8{1, 9, 5} {
		m := w.message(fmt.Sprint(p))
		m.Priority, m.Prioritized = p, true
		w.check(transport.Publish(w.ctx, m))
	}
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Prefetch, c.Subscriptions[0].Prioritized = 1, true
	})
	for _, want := range []string{"9", "5", "1"} {
		d := in.next()
		if string(d.Message.Body) != want {
			t.Errorf("%s came instead of %s", d.Message.Body, want)
		}
		in.ack(d)
	}
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	m := w.message("poison")
	m.Headers["big"] = strings.Repeat("x", 60<<10)
	w.check(transport.Publish(w.ctx, m))
	died := time.Now()
	w.check(in.Settle(w.ctx, in.next(), task.Outcome{Dead: &task.DeadLetter{
		Reason: "unknown-task", Error: "no such task\xff", Stack: strings.Repeat("s", 1<<20), Worker: "test@here", Time: died,
	}}))
	in.none("it is parked")
	dead, ok, err := w.admin.Get(w.queue+".dead", true)
	w.check(err)
	if !ok {
		t.Fatal("nothing is parked")
	}
	for name, want := range map[string]any{
		"task": "test.task", "id": m.ID, "big": m.Headers["big"], "retries": int32(0),
		"x-taskgen-reason": "unknown-task", "x-taskgen-error": "no such task",
		"x-taskgen-worker": "test@here", "x-taskgen-died": died.UTC().Format(time.RFC3339Nano),
	} {
		if dead.Headers[name] != want {
			t.Errorf("header %s is %v, want %v", name, dead.Headers[name], want)
		}
	}
	if string(dead.Body) != "poison" || dead.CorrelationId != m.ID || dead.DeliveryMode != amqp.Persistent || dead.ContentType != m.ContentType {
		t.Errorf("parked as %+v", dead)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	caller, worker := w.open(w.url), w.open(w.url)
	m := w.message("1")
	m.ReplyTo = caller.ReplyTo()
	w.check(caller.Publish(w.ctx, m))
	in := w.consume(worker)
	d := in.next()
	result := &task.Result{
		ID: m.ID, State: task.Success, ReplyTo: d.Message.ReplyTo, ContentType: "application/json", ContentEncoding: "utf-8",
		Body: fmt.Appendf(nil, `{"task_id":%q,"status":"SUCCESS","result":42,"traceback":null,"children":[]}`, m.ID),
	}
	w.check(in.Settle(w.ctx, d, task.Outcome{Result: result}))
	got, err := caller.AwaitResult(w.ctx, m.ID)
	w.check(err)
	if got.State != task.Success || string(got.Body) != string(result.Body) {
		t.Errorf("got %+v", got)
	}
	if r, err := worker.Result(w.ctx, m.ID); r != nil || err != nil {
		t.Errorf("the worker has the result of another process: %v, %v", r, err)
	}
	// A caller that has gone is no error.
	result.ReplyTo = w.queue + "-gone"
	w.check(worker.StoreResult(w.ctx, result))
	// The queue goes with its process.
	w.check(caller.Close())
	if _, err := w.admin.QueueDeclarePassive(m.ReplyTo, true, false, false, false, nil); err == nil {
		t.Error("the reply queue is still there")
	}
	w.connectAdmin()
}

func TestRequeueCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, "1")
	for want := range 3 {
		d := in.next()
		if d.Attempts != want || d.Redelivered != (want > 0) {
			t.Errorf("delivery %d says %d earlier ones, redelivered %v", want, d.Attempts, d.Redelivered)
		}
		if _, there := d.Message.Headers["x-delivery-count"]; there {
			t.Error("the broker's header is in the message")
		}
		w.check(in.Settle(w.ctx, d, task.Outcome{Requeue: true}))
	}
	in.ack(in.next())
}

func TestSettleTwiceIsStale(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, "1", "2")
	d := in.next()
	in.ack(d)
	if err := in.Settle(w.ctx, d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("got %v", err)
	}
	in.ack(in.next()) // the channel lives
	if !in.Ready() {
		t.Error("the consumer is not ready")
	}
}

// Stop hands back what the broker sent ahead.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	w.publish(transport, numbers(50)...)
	gate := make(chan struct{})
	deliveries := make(chan *task.Delivery, 100)
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Deliver = func(d *task.Delivery) { deliveries <- d; <-gate }
	})
	first := <-deliveries
	stopped := make(chan error)
	go func() { stopped <- in.Stop(w.ctx) }()
	close(gate)
	w.check(<-stopped)
	handed := len(deliveries)
	if in.Ready() {
		t.Error("a stopped consumer is ready")
	}
	in.ack(first)
	other := w.consume(w.open(w.url))
	for range 49 - handed {
		other.ack(other.next())
	}
	other.none("the rest is unsettled at the first consumer")
	w.check(in.Close())
	for range handed {
		other.ack(other.next())
	}
	other.none("all are acked")
}

func TestPurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	if n, err := transport.Purge(w.ctx, w.queue); n != 0 || err != nil {
		t.Errorf("a missing queue: %d, %v", n, err)
	}
	w.publish(transport, "1", "2")
	if n, err := transport.Purge(w.ctx, w.queue); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, "1")
	d := in.next()
	w.check(transport.Close())
	w.check(transport.Close())
	if err := transport.Publish(w.ctx, w.message("2")); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
	if _, err := transport.Consume(task.ConsumeConfig{Subscriptions: []task.Subscription{{Queue: w.queue}}, Deliver: func(*task.Delivery) {}}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Consume: %v", err)
	}
	if err := in.Settle(w.ctx, d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("Settle: %v", err)
	}
	if _, err := transport.AwaitResult(w.ctx, "x"); !errors.Is(err, task.ErrClosed) {
		t.Errorf("AwaitResult: %v", err)
	}
}

// What can't be sent is refused before it can close everybody's connection.
func TestRefusesWhatBreaksConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	long := strings.Repeat("x", 256)
	for name, change := range map[string]func(*task.Message){
		"int":            func(m *task.Message) { m.Headers["h"] = 1 },
		"int64":          func(m *task.Message) { m.Headers["h"] = int64(1) },
		"int16 in a map": func(m *task.Message) { m.Headers["h"] = map[string]any{"a": []any{int16(1)}} },
		"bytes":          func(m *task.Message) { m.Headers["h"] = []byte("x") },
		"long name":      func(m *task.Message) { m.Headers[long] = "x" },
		"big headers":    func(m *task.Message) { m.Headers["h"] = strings.Repeat("x", 128<<10) },
		"long id":        func(m *task.Message) { m.ID = long },
		"long queue":     func(m *task.Message) { m.Queue = long },
		"no queue":       func(m *task.Message) { m.Queue = "" },
		"late pattern":   func(m *task.Message) { m.Queue, m.ETA = "a.#", time.Now().Add(time.Hour) },
		"late, own":      func(m *task.Message) { m.Existing, m.ETA = true, time.Now().Add(time.Hour) },
		"late, as own":   func(m *task.Message) { m.Queue, m.ETA = "q.taskgen-own", time.Now().Add(time.Hour) },
		"bound to none":  func(m *task.Message) { m.Queue, m.Exchange, m.Bind = "", "amq.direct", true },
		"late, too big": func(m *task.Message) {
			m.Exchange, m.ETA, m.Headers["h"] = "amq.direct", time.Now().Add(time.Hour), strings.Repeat("x", 124<<10-200)
		},
		"exchange type": func(m *task.Message) { m.Exchange, m.ExchangeType = "amq.direct", "fan" },
	} {
		m := w.message("x")
		change(m)
		err := transport.Publish(w.ctx, m)
		if err == nil || errors.Is(err, task.ErrUnconfirmed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := w.message("headers that just fit")
	m.Headers["h"] = strings.Repeat("x", 120<<10)
	w.check(transport.Publish(w.ctx, m))
}

func TestContextWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := transport.Publish(ctx, w.message("x")); !errors.Is(err, context.Canceled) || errors.Is(err, task.ErrUnconfirmed) {
		t.Errorf("got %v", err)
	}
}

// A result that can't be sent is told of, and its task is settled all the same.
func TestResultLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	in := w.consume(transport)
	w.publish(transport, "1")
	d := in.next()
	err := in.Settle(w.ctx, d, task.Outcome{Result: &task.Result{ID: d.Message.ID, State: task.Success, ReplyTo: strings.Repeat("q", 256)}})
	if !errors.Is(err, task.ErrResultLost) {
		t.Errorf("the error is %v", err)
	}
	if err := in.Settle(w.ctx, d, task.Outcome{}); !errors.Is(err, task.ErrStale) {
		t.Errorf("the delivery is not settled: %v", err)
	}
}

// What a full queue refuses is an error, and surely not queued. That a batch is tried again takes no longer than for one.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	w.connectAdmin()
	_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, amqp.Table{"x-max-length": int32(0), "x-overflow": "reject-publish"})
	w.check(err)
	transport := w.open(w.url)
	w.within(2*reconnect, "a batch for a full queue", func() {
		errs := transport.PublishMany(w.ctx, w.messages(numbers(200)...))
		if len(errs) != 200 {
			t.Fatalf("%d of 200 were refused", len(errs))
		}
		for _, err := range errs {
			if err == nil || errors.Is(err, task.ErrUnconfirmed) || !strings.Contains(err.Error(), "full") {
				t.Fatalf("the error is %v", err)
			}
		}
	})
}

// A result that is on its way when the connections break is sent again.
func TestResultOutlivesConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	caller, transport := w.open(w.url), w.open(proxy.url)
	in := w.consume(transport)
	m := w.message("1")
	m.ReplyTo = caller.ReplyTo()
	w.check(caller.Publish(w.ctx, m))
	d := in.next()
	w.check(transport.StoreResult(w.ctx, w.result(m, task.Started)))
	proxy.setHole(true)
	w.within(reconnect, "settling", func() { w.check(in.Settle(w.ctx, d, task.Outcome{Result: w.result(m, task.Success)})) })
	proxy.cut()
	proxy.setHole(false)
	r, err := caller.AwaitResult(w.ctx, m.ID)
	w.check(err)
	if r.State != task.Success {
		t.Errorf("the result is %s", r.State)
	}
}

// One that the broker has not confirmed when the consumer is closed is told of.
func TestResultUnconfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	caller, transport := w.open(w.url), w.open(proxy.url)
	lost := make(chan error, 1)
	in := w.consume(transport, func(c *task.ConsumeConfig) { c.ResultLost = func(_ *task.Message, err error) { lost <- err } })
	m := w.message("1")
	m.ReplyTo = caller.ReplyTo()
	w.check(caller.Publish(w.ctx, m))
	d := in.next()
	w.check(transport.StoreResult(w.ctx, w.result(m, task.Started)))
	proxy.setHole(true)
	w.check(in.Settle(w.ctx, d, task.Outcome{Result: w.result(m, task.Success)}))
	w.within(20*time.Second, "closing", func() { _ = in.Close() })
	select {
	case err := <-lost:
		if !errors.Is(err, task.ErrResultLost) || !strings.Contains(err.Error(), m.ID) {
			t.Errorf("the loss is told as %v", err)
		}
	default:
		t.Error("nobody is told of the loss")
	}
}

func (w *world) result(m *task.Message, state task.State) *task.Result {
	body := fmt.Sprintf(`{"task_id": %q, "status": %q, "result": null, "traceback": null, "children": []}`, m.ID, state)
	return &task.Result{ID: m.ID, State: state, ReplyTo: m.ReplyTo, ContentType: "application/json", ContentEncoding: "utf-8", Body: []byte(body)}
}
