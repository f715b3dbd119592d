package rabbitmq_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// ear is a listener whose broadcasts a test takes one by one.
type ear struct {
	task.Listener
	w     *world
	heard chan *task.Broadcast
	log   *lines
}

func (w *world) listen(t *rabbitmq.Transport, queue string, b task.Bulletin, keys ...string) *ear {
	w.Helper()
	e := &ear{w: w, heard: make(chan *task.Broadcast, 100_000), log: &lines{}}
	var err error
	e.Listener, err = t.Listen(task.ListenConfig{
		Queue: queue, Exchange: b, Keys: keys, Deliver: func(b *task.Broadcast) { e.heard <- b },
		Logger: slog.New(slog.NewTextHandler(e.log, nil)),
	})
	w.check(err)
	w.Cleanup(func() { e.Close() })
	return e
}

func (e *ear) ready() *ear {
	e.w.Helper()
	if err := e.Ready(e.w.ctx); err != nil {
		e.w.Fatalf("%v; the log:\n%s", err, e.log)
	}
	return e
}

func (e *ear) next() *task.Broadcast {
	e.w.Helper()
	select {
	case b := <-e.heard:
		return b
	case <-e.w.ctx.Done():
		e.w.Fatalf("no broadcast came; the log:\n%s", e.log)
		return nil
	}
}

func (w *world) broadcast(t *rabbitmq.Transport, to task.Bulletin, key, body string) {
	w.Helper()
	w.check(t.Broadcast(w.ctx, &task.Broadcast{Exchange: to, RoutingKey: key, ContentType: "application/json", ContentEncoding: "utf-8", Body: []byte(body)}))
}

// Celery's exchanges as Celery declares them are as ours, whoever is first.
func TestCelerysBulletins(t *testing.T) {
	t.Parallel()
	for _, b := range []task.Bulletin{
		{Name: "celery.pidbox", Type: task.Fanout}, {Name: "reply.celery.pidbox", Type: task.Direct}, {Name: "celeryev", Type: task.Topic, Durable: true},
	} {
		w := newWorld(t, brokerURL(t))
		transport := w.open(w.url)
		e := w.listen(transport, w.queue+".ear", b, w.queue).ready()
		w.check(w.admin.ExchangeDeclare(b.Name, b.Type, b.Durable, false, false, false, nil))
		// As Python sends it: a header table with an integer that the library can't read, and delivery mode 2.
		w.check(w.admin.Publish(b.Name, w.queue, false, false, amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent,
			Headers: amqp.Table{"clock": int32(7), "expires": 1.5}, Body: []byte("{}"),
		}))
		for { // the exchange is everybody's
			got := e.next()
			if got.RoutingKey == w.queue {
				if got.Exchange.Name != b.Name || got.Headers["clock"] != int32(7) || string(got.Body) != "{}" {
					t.Errorf("heard %+v", got)
				}
				break
			}
		}
		queue, err := w.admin.QueueDeclare("", false, true, true, false, nil)
		w.check(err)
		w.check(w.admin.QueueBind(queue.Name, w.queue, b.Name, false, nil))
		deliveries, err := w.admin.Consume(queue.Name, "", true, true, false, false, nil)
		w.check(err)
		w.broadcast(transport, b, w.queue, "sent")
		for d := range deliveries {
			if d.RoutingKey == w.queue && string(d.Body) == "sent" {
				if d.DeliveryMode == amqp.Persistent || d.Exchange != b.Name {
					t.Errorf("%+v", d)
				}
				break
			}
		}
	}
}

// An exchange that somebody has declared otherwise is one line of the log, and touches no task.
func TestMismatchedBulletin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	b := task.Bulletin{Name: w.exchange("bulletin"), Type: task.Fanout}
	w.check(w.admin.ExchangeDeclare(b.Name, "direct", true, false, false, false, nil))
	in := w.consume(transport)
	w.eventually("the consumer is ready", in.Ready)
	good := w.listen(transport, w.queue+".good", task.Bulletin{}).ready()
	for range 100 {
		w.broadcast(transport, b, "", "x")
		w.broadcast(transport, task.Bulletin{}, w.queue+".good", "y")
	}
	w.publish(transport, numbers(100)...)
	in.drain(numbers(100)...)
	for range 100 {
		good.next()
	}
	if n := strings.Count(good.log.String()+in.log.String(), "broadcasts are dropped"); n != 1 {
		t.Errorf("%d lines of the log:\n%s\n%s", n, good.log, in.log)
	}
	e := w.listen(transport, w.queue+".bad", b)
	w.eventually("the listener says why it doesn't hear", func() bool { return strings.Contains(e.log.String(), "use another name") })
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenerReconnects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	b := task.Bulletin{Name: w.exchange("bulletin"), Type: task.Fanout}
	e := w.listen(w.open(proxy.url), w.queue+".ear", b).ready()
	sender := w.open(proxy.url)
	for round := range 5 {
		body := fmt.Sprint(round)
		w.eventually("round "+body+": a broadcast is heard", func() bool {
			w.broadcast(sender, b, "", body)
			select {
			case got := <-e.heard:
				return string(got.Body) == body
			case <-time.After(20 * time.Millisecond):
				return false
			}
		})
		proxy.cut()
	}
	// An exchange that is deleted takes the bindings with it.
	e.ready()
	w.check(w.admin.ExchangeDelete(b.Name, false, false))
	w.eventually("broadcasts are heard again", func() bool {
		w.broadcast(sender, b, "", "again")
		select {
		case got := <-e.heard:
			return string(got.Body) == "again"
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
}

// A broker that is not there costs a broadcast nothing but itself.
func TestBroadcastWithoutBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open("amqp://guest:guest@127.0.0.1:1/")
	log := &lines{}
	l, err := transport.Listen(task.ListenConfig{
		Queue: "ear", Exchange: task.Bulletin{Name: "x", Type: task.Fanout}, Deliver: func(*task.Broadcast) {},
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	w.check(err)
	begin := time.Now()
	for range 50_000 {
		err := transport.Broadcast(w.ctx, &task.Broadcast{RoutingKey: "x", Body: []byte("x")})
		if err != nil && !errors.Is(err, task.ErrBlocked) {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("50,000 broadcasts took %s", took)
	}
	w.eventually("the log says that they are dropped", func() bool { return strings.Contains(log.String(), "broadcasts are dropped") })
	begin = time.Now()
	w.check(transport.Close())
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("closing took %s", took)
	}
	if err := l.Ready(w.ctx); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Ready: %v", err)
	}
	if err := transport.Broadcast(w.ctx, &task.Broadcast{RoutingKey: "x"}); !errors.Is(err, task.ErrClosed) {
		t.Errorf("Broadcast: %v", err)
	}
}

// Two workers of one name both hear, and so does one whose old connection the broker still believes in.
func TestListenersOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	transport := w.open(w.url)
	b := task.Bulletin{Name: w.exchange("bulletin"), Type: task.Fanout}
	one, two := w.listen(transport, w.queue+".ear", b).ready(), w.listen(w.open(w.url), w.queue+".ear", b).ready()
	w.broadcast(transport, b, "", "x")
	one.next()
	two.next()
}
