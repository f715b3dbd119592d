package rabbitmq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// traffic counts what a transport says to the broker: frames, and the writes to the network that they take.
type traffic struct{ writes, frames atomic.Int64 }

// tap counts for one connection.
type tap struct {
	net.Conn
	*traffic
	rest []byte // of a frame that is not complete
}

const (
	frameHeader = 7 // type, channel, length
	frameEnd    = 1
	greeting    = "AMQP\x00\x00\x09\x01" // before the first frame
)

func (c *tap) Write(p []byte) (int, error) {
	c.writes.Add(1)
	c.rest = append(c.rest, p...)
	for len(c.rest) >= frameHeader {
		size := len(greeting)
		if c.rest[0] != greeting[0] {
			size = frameHeader + int(binary.BigEndian.Uint32(c.rest[3:])) + frameEnd
		}
		if len(c.rest) < size {
			break
		}
		c.rest = c.rest[size:]
		c.frames.Add(1)
	}
	return c.Conn.Write(p)
}

// during counts what goes out meanwhile, for each of n tasks.
func (c *traffic) during(n int, do func()) (writes, frames float64) {
	writesBefore, framesBefore := c.writes.Load(), c.frames.Load()
	do()
	return float64(c.writes.Load()-writesBefore) / float64(n), float64(c.frames.Load()-framesBefore) / float64(n)
}

func (w *world) openTapped() (*rabbitmq.Transport, *traffic) {
	w.Helper()
	t, counts := w.open(w.url), &traffic{}
	t.Tap(func(conn net.Conn) net.Conn { return &tap{Conn: conn, traffic: counts} })
	return t, counts
}

type credentials struct{ Username, Password string }

func (a *credentials) Visit(f codec.Fields) {
	codec.String(f.Field("username"), &a.Username)
	codec.String(f.Field("password"), &a.Password)
}

// A task takes few frames and writes, whatever the machine, so this is where a change shows that makes tasks slower.
// What is beside the tasks, such as heartbeats, gets a twentieth of a frame for each.
func TestTrafficOfTask(t *testing.T) {
	t.Parallel()
	const tasks, beside = 1000, 0.05
	w := newWorld(t, brokerURL(t))
	args := &credentials{"ada.lovelace", "correct horse battery staple"}
	check := task.Define[credentials](task.Spec{Name: "test.check", Queue: w.queue, IgnoreResult: true}, codec.Nothing)
	sender, sent := w.openTapped()
	ctx := task.WithClient(w.ctx, task.NewClient(sender, task.ClientConfig{}))
	send := func() {
		_, err := check.Send(ctx, args)
		w.check(err)
	}
	bound := func(what string, measured, most float64) {
		t.Helper()
		t.Logf("%.2f %s", measured, what)
		if measured > most+beside {
			t.Errorf("%.2f %s, want at most %.2f", measured, what, most)
		}
	}

	send() // connects, and declares the queue
	writes, frames := sent.during(tasks, func() {
		for range tasks {
			send()
		}
	})
	bound("frames for each Delay", frames, 3) // method, header and body; measured: 3.00
	bound("writes for each Delay", writes, 1) // measured: 1.00

	writes, frames = sent.during(tasks, func() {
		_, err := check.DelayMany(ctx, make([]credentials, tasks))
		w.check(err)
	})
	bound("frames for each task of DelayMany", frames, 3)
	bound("writes for each task of DelayMany", writes, 1) // measured: 0.00 to 0.06; more on a network that takes them faster

	var ran sync.WaitGroup
	ran.Add(2*tasks + 1)
	r := task.NewRegistry()
	check.Handle(r, func(context.Context, *credentials) (none task.None, err error) {
		ran.Done()
		return none, nil
	})
	receiver, said := w.openTapped()
	worker, err := task.NewWorker(receiver, r, task.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	w.check(err)
	writes, frames = said.during(2*tasks, func() {
		working, stop := context.WithCancel(w.ctx)
		ended := make(chan error, 1)
		go func() { ended <- worker.Run(working) }()
		ran.Wait()
		stop()
		w.check(errors.Join(<-ended, receiver.Close()))
	})
	bound("frames for each run", frames, 0.5) // acks go together; measured: 0.18 to 0.21 with all that is declared
	bound("writes for each run", writes, 0.5) // measured: 0.09 to 0.11
}
