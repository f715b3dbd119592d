package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// TestNode hurts a whole node, one way after the other.
func TestNode(t *testing.T) {
	n := ownNode(t)
	t.Run("definitions", func(t *testing.T) { definitionsSuffice(t, n) })
	t.Run("graceful restart", func(t *testing.T) {
		outage(t, n, func() {
			n.ctl("stop_app")
			n.ctl("start_app")
		})
	})
	t.Run("kill -9", func(t *testing.T) {
		outage(t, n, func() {
			// A quorum queue younger than this finds no leader after a kill (RabbitMQ 3.10.8, with any client).
			time.Sleep(5 * time.Second)
			n.kill()
			n.start()
		})
	})
	t.Run("all connections closed", func(t *testing.T) {
		outage(t, n, func() { n.ctl("close_all_connections", "test") })
	})
	t.Run("consumer timeout", func(t *testing.T) { consumerTimeout(t, n) })
	t.Run("consumer timeout of a queue", func(t *testing.T) { consumerTimeoutOfQueue(t, n) })
	t.Run("a user who may create nothing", func(t *testing.T) { restrictedUser(t, n) })
	t.Run("no more queues allowed", func(t *testing.T) { queueRefused(t, n) })
	t.Run("memory alarm", func(t *testing.T) { memoryAlarm(t, n) })
}

// outage publishes and consumes while the node is hurt. What is accepted runs, and all goes on soon
// after the node is back. Calls wait it out.
func outage(t *testing.T, n *node, hurt func()) {
	w := newPatientWorld(t, n.url, 5*time.Minute) // a node can take its time to start
	transport := w.open(n.url)
	in := w.consume(transport)
	w.eventually("the consumer is ready", in.Ready)
	var accepted sync.Map
	var count atomic.Int64
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				body := fmt.Sprintf("%d.%d", s, i)
				if err := transport.Publish(w.ctx, w.message(body)); err != nil {
					t.Errorf("message %s: %v", body, err)
					return
				}
				accepted.Store(body, true)
				count.Add(1)
			}
		})
	}
	seen := make(map[string]int)
	consumed := make(chan struct{})
	var done atomic.Bool
	go func() {
		defer close(consumed)
		for {
			select {
			case d := <-in.deliveries:
				if err := in.Settle(w.ctx, d, task.Outcome{}); err != nil && !errors.Is(err, task.ErrStale) {
					t.Error(err)
				}
				seen[string(d.Message.Body)]++
			case <-w.ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
				if done.Load() {
					return
				}
			}
		}
	}()
	w.eventually("messages are accepted", func() bool { return count.Load() > 200 })
	hurt()
	before, back := count.Load(), time.Now()
	// The node has just started and is still busy; measured alone on a machine it is about 1 s.
	w.within(3*reconnect, "recovery", func() {
		w.eventually("messages are accepted again", func() bool { return count.Load() > before+50 })
		w.eventually("the consumer is ready again", in.Ready)
	})
	t.Logf("publishing and consuming %s after the node", time.Since(back).Round(10*time.Millisecond))
	close(stop)
	senders.Wait()
	done.Store(true)
	<-consumed
	lost, repeated := 0, 0
	accepted.Range(func(body, _ any) bool {
		if times := seen[body.(string)]; times > 0 {
			repeated += times - 1
		} else {
			lost++
		}
		return true
	})
	t.Logf("%d accepted, %d lost, %d came more than once", count.Load(), lost, repeated)
	if lost > 0 {
		t.Errorf("%d messages were accepted and lost", lost)
	}
}

// What exists can be used without the permission to create it.
func restrictedUser(t *testing.T, n *node) {
	w := newWorld(t, n.url)
	exchange := w.exchange("topic")
	w.check(w.admin.ExchangeDeclare(exchange, task.Topic, true, false, false, false, nil))
	_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, nil)
	w.check(err)
	n.ctl("add_user", "restricted", "secret")
	n.ctl("set_permissions", "restricted", "", ".*", ".*")
	u, err := url.Parse(n.url)
	w.check(err)
	u.User = url.UserPassword("restricted", "secret")
	transport := w.open(u.String())
	in := w.consume(transport, func(c *task.ConsumeConfig) {
		c.Subscriptions[0].Bindings = []task.Binding{{Exchange: exchange, Type: task.Topic, RoutingKey: "a.*"}}
	})
	w.eventually("the consumer is ready", in.Ready)
	w.publish(transport, "straight")
	m := w.through(exchange, task.Topic, "a.b", "routed")
	w.check(transport.Publish(w.ctx, m))
	in.drain("straight", "routed")
	m.Exchange = exchange + "-missing"
	if err := transport.Publish(w.ctx, m); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("an exchange that is missing: %v", err)
	}
}

// What the broker will refuse for as long as nobody changes something is told once, and tried about once a second.
func queueRefused(t *testing.T, n *node) {
	w := newWorld(t, n.url)
	n.ctl("set_vhost_limits", "-p", "/", `{"max-queues": 0}`)
	allowed := false
	allow := func() {
		if !allowed {
			n.ctl("clear_vhost_limits", "-p", "/")
			allowed = true
		}
	}
	defer allow()
	var tries atomic.Int64
	asking := w.consume(w.open(n.url), func(c *task.ConsumeConfig) {
		c.Refused = func(error) { tries.Add(1) }
	})
	in := w.consume(w.open(n.url))
	transport := w.open(n.url)
	const seconds = 5
	publishes := 0
	for end := time.Now().Add(seconds * time.Second); time.Now().Before(end); publishes++ {
		err := transport.Publish(w.ctx, w.message("x"))
		if err == nil || errors.Is(err, task.ErrUnconfirmed) || !strings.Contains(err.Error(), "can't declare queue "+w.queue) || !strings.Contains(err.Error(), "queue limit") {
			t.Fatalf("got %v", err)
		}
	}
	if n := tries.Load(); n < 1 || n > seconds+1 {
		t.Errorf("%d tries in %d s", n, seconds)
	}
	for _, c := range []struct {
		*inbox
		want int
	}{{in, 1}, {asking, 0}} { // who wants to know says so itself
		if n := strings.Count(c.log.String(), "queue limit"); n != c.want {
			t.Errorf("told %d times, want %d:\n%s", n, c.want, c.log)
		}
	}
	w.check(asking.Close())
	t.Logf("%d tries to consume, %d answers to publishes", tries.Load(), publishes)
	allow()
	w.within(reconnect, "the end of the refusal", func() {
		w.publish(transport, "y")
		in.ack(in.next())
	})
}

// While an alarm is on, calls end at their deadline and say that the broker is blocked; the
// worker goes on.
func memoryAlarm(t *testing.T, n *node) {
	w := newWorld(t, n.url)
	transport := w.open(n.url)
	w.publish(transport, "1", "2")
	in := w.consume(w.open(n.url))
	first, second := in.next(), in.next()
	n.ctl("set_vm_memory_high_watermark", "0.00001")
	restored := false
	restore := func() {
		if !restored {
			n.ctl("set_vm_memory_high_watermark", "0.4")
			restored = true
		}
	}
	defer restore()
	publish := func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		w.within(1500*time.Millisecond, "a publish in an alarm", func() { err = transport.Publish(ctx, w.message("late")) })
		return err
	}
	var err error
	w.eventually("the broker blocks", func() bool {
		err = publish(w.ctx)
		return errors.Is(err, task.ErrBlocked)
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// Now that it is known, nothing is sent any more, and so nothing is uncertain.
	if err := publish(w.ctx); !errors.Is(err, task.ErrBlocked) || errors.Is(err, task.ErrUnconfirmed) {
		t.Errorf("got %v", err)
	}
	if !in.Ready() {
		t.Error("the consumer is not ready")
	}
	w.within(5*time.Second, "broadcasts in an alarm", func() {
		b := &task.Broadcast{RoutingKey: "nobody", Body: make([]byte, 1<<20)}
		for range 1000 { // more than memory is meant to hold
			if err := transport.Broadcast(w.ctx, b); err != nil && !errors.Is(err, task.ErrBlocked) {
				t.Error(err)
			}
		}
	})
	in.ack(first)
	waiting := make(chan error)
	go func() { waiting <- transport.Publish(w.ctx, w.message("3")) }()
	restore()
	w.within(reconnect, "the end of the alarm", func() { w.check(<-waiting) })
	in.ack(second)
	w.within(10*time.Second, "closing", func() { w.check(transport.Close()) })
}
