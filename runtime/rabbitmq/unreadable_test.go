package rabbitmq_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// pythonic is a connection that sends int64 headers as Python's clients do: with the letter L.
type pythonic struct{ net.Conn }

func (p pythonic) Write(out []byte) (int, error) {
	_, err := p.Conn.Write(bytes.ReplaceAll(out, []byte("l\x7f"), []byte("L\x7f")))
	return len(out), err
}

// large is an int64 that no smaller type holds, and begins with 0x7f.
const large = int64(0x7f)<<56 + 7

// Messages whose headers the library can't read neither end a connection nor stop the others: those that only have another letter
// for an integer run, the rest is parked as it came.
func TestUnreadableHeaders(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, brokerURL(t))
			_, err := w.admin.QueueDeclare(w.queue, true, false, false, false, amqp.Table{"x-queue-type": kind})
			w.check(err)
			u, err := url.Parse(w.url)
			w.check(err)
			python, err := amqp.DialConfig(w.url, amqp.Config{Dial: func(string, string) (net.Conn, error) {
				raw, err := net.Dial("tcp", u.Host)
				return pythonic{raw}, err
			}})
			w.check(err)
			defer python.Close()
			ch, err := python.Channel()
			w.check(err)
			w.check(ch.Confirm(false))

			nested := any("x")
			for range 40 {
				nested = []any{nested}
			}
			wide := make(amqp.Table)
			for i := range 10_000 {
				wide[strconv.Itoa(i)] = nil
			}
			headers := []amqp.Table{
				{},
				{"stamp": large},
				{"stamps": amqp.Table{"list": []any{large, int32(1)}}},
				{"deep": nested},
				{"wide": wide},
				{"deep": nested, "stamp": large},
			}
			const runs, parked = 1 + 2 + 1, 3
			for i, h := range append(headers, amqp.Table{}) {
				m := w.message(`[[], {"value": ` + strconv.Itoa(i) + `}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`)
				maps.Copy(h, m.Headers)
				confirm, err := ch.PublishWithDeferredConfirm("", w.queue, true, false, amqp.Publishing{
					Headers: h, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, CorrelationId: m.ID, DeliveryMode: 2, Body: m.Body,
				})
				w.check(err)
				if !confirm.Wait() {
					t.Fatal("not accepted")
				}
			}

			ran := make(chan int, 100)
			registry := task.NewRegistry()
			task.New("test.task", func(_ context.Context, i int) (task.None, error) {
				ran <- i
				return task.None{}, nil
			}, task.Spec{Queue: w.queue}).Register(registry)
			transport, log := w.open(w.url), &lines{}
			worker, err := task.NewWorker(transport, registry, task.WorkerConfig{Logger: slog.New(slog.NewTextHandler(log, nil))})
			w.check(err)
			ctx, stop := context.WithCancel(w.ctx)
			stopped := make(chan error)
			go func() { stopped <- worker.Run(ctx) }()
			var got []int
			for len(got) < runs {
				select {
				case i := <-ran:
					got = append(got, i)
				case <-time.After(30 * time.Second):
					t.Fatalf("ran %v; the log:\n%s", got, log)
				}
			}
			if slices.Sort(got); !slices.Equal(got, []int{0, 1, 2, len(headers)}) {
				t.Errorf("ran %v", got)
			}
			var dead []*task.DeadMessage
			w.eventually("the others are parked", func() bool {
				dead = nil
				w.check(transport.DeadLetters(w.ctx, w.queue, func(m *task.DeadMessage) (task.DeadAction, error) {
					dead = append(dead, m)
					return task.KeepDead, nil
				}))
				return len(dead) == parked
			})
			for _, d := range dead {
				raw, _ := d.Message.Headers[task.UnreadableHeader].([]byte)
				if d.Reason != task.ReasonBadHeader || d.Message.ID == "" || !bytes.Contains(raw, []byte(d.Message.ID)) {
					t.Errorf("parked: %q, %q, task %q, %d bytes of headers", d.Reason, d.Error, d.Message.ID, len(raw))
				}
			}
			stop()
			w.check(<-stopped)
			if n := strings.Count(log.String(), "msg=consuming"); n != 1 {
				t.Errorf("%d sessions; the log:\n%s", n, log)
			}
		})
	}
}
