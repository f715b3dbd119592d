package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

type numberArgs struct{ Number int }

func (a *numberArgs) Visit(f codec.Fields) { codec.Int(f.Field("number"), &a.Number) }

// The connection is lost while tasks run and others wait for a slot: the broker delivers all of them again, and each runs once.
func TestRunsOnceOverLostConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	const concurrency, total, cuts = 4, 24, 3
	ctx := task.WithClient(w.ctx, task.NewClient(w.open(w.url), task.ClientConfig{}))
	number := task.Define[numberArgs](task.Spec{Name: "copies.number", Queue: w.queue}, codec.Int[int])
	args := make([]numberArgs, total)
	for i := range args {
		args[i].Number = i
	}
	calls, err := number.DelayMany(ctx, args)
	w.check(err)

	var mu sync.Mutex
	runs := map[int]int{}
	var running atomic.Int64
	proceed := make(chan struct{})
	r := task.NewRegistry()
	number.Handle(r, func(ctx context.Context, a *numberArgs) (int, error) {
		mu.Lock()
		runs[a.Number]++
		mu.Unlock()
		running.Add(1)
		defer running.Add(-1)
		select {
		case <-proceed:
			return a.Number, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	worker, err := task.NewWorker(w.open(proxy.url), r, task.WorkerConfig{
		Queues: []task.QueueConfig{{Name: w.queue}}, Concurrency: concurrency, Prefetch: total, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	w.check(err)
	ctxRun, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctxRun) }()
	w.eventually("all slots are taken", func() bool { return running.Load() == concurrency })
	for range cuts {
		if proxy.cut() == 0 {
			t.Fatal("nothing was cut")
		}
		w.eventually("the worker notices", func() bool { return !worker.Ready() })
		w.eventually("the worker is back", worker.Ready)
	}
	// The last ones end without a connection: their outcomes wait for the next one.
	proxy.takeDown()
	w.eventually("the worker notices", func() bool { return !worker.Ready() })
	close(proceed)
	w.eventually("what ran has ended", func() bool { return running.Load() == 0 })
	proxy.up()
	for i, call := range calls {
		if got, err := call.Get(ctx); got != i || err != nil {
			t.Errorf("task %d: got %d, %v", i, got, err)
		}
	}
	for i := range total {
		if runs[i] != 1 {
			t.Errorf("task %d ran %d times", i, runs[i])
		}
	}
	stop()
	w.check(<-ended)
	// What was not settled would come again now.
	for _, queue := range []string{w.queue, w.queue + ".probation"} {
		if q, err := w.admin.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil || q.Messages != 0 {
			t.Errorf("%d messages are left in %s, %v", q.Messages, queue, err)
		}
	}
}

// While the connection is lost, another worker gets what runs here, and sends it on as a suspect. It comes here again,
// and runs once all the same: both the task that has ended meanwhile and the one that goes on.
func TestRunsOnceThoughSentOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	ctx := task.WithClient(w.ctx, task.NewClient(w.open(w.url), task.ClientConfig{}))
	number := task.Define[numberArgs](task.Spec{Name: "copies.senton", Queue: w.queue}, codec.Int[int])
	const total = 2
	calls, err := number.DelayMany(ctx, []numberArgs{{0}, {1}})
	w.check(err)

	var runs, running [total]atomic.Int64
	var proceed [total]chan struct{}
	for i := range proceed {
		proceed[i] = make(chan struct{})
	}
	r := task.NewRegistry()
	number.Handle(r, func(ctx context.Context, a *numberArgs) (int, error) {
		runs[a.Number].Add(1)
		running[a.Number].Add(1)
		defer running[a.Number].Add(-1)
		select {
		case <-proceed[a.Number]:
			return a.Number, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	worker, err := task.NewWorker(w.open(proxy.url), r, task.WorkerConfig{
		Queues: []task.QueueConfig{{Name: w.queue}}, Concurrency: 2 * total, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	w.check(err)
	ctxRun, stop := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctxRun) }()
	w.eventually("both run", func() bool { return running[0].Load()+running[1].Load() == total })
	proxy.takeDown()
	w.eventually("the worker notices", func() bool { return !worker.Ready() })

	deliveries, err := w.admin.Consume(w.queue, "other", false, false, false, false, nil)
	w.check(err)
	for i := range total {
		d := <-deliveries
		if !d.Redelivered || d.MessageId == "" {
			t.Fatalf("want a message that was delivered before, got %+v", d)
		}
		headers := maps.Clone(d.Headers)
		headers["taskgen-starts"], headers["taskgen-origin"] = int32(1), d.MessageId
		w.check(w.admin.PublishWithContext(ctx, "", w.queue+".probation", true, false, amqp.Publishing{
			Headers: headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
			CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, MessageId: fmt.Sprintf("%s-%d", uuid.NewString(), i), Body: d.Body,
		}))
		w.check(d.Ack(false))
	}
	w.check(w.admin.Cancel("other", false))
	close(proceed[0])
	w.eventually("one has ended", func() bool { return running[0].Load() == 0 })
	proxy.up()
	w.eventually("the other worker's messages have come", func() bool {
		q, err := w.admin.QueueDeclarePassive(w.queue+".probation", true, false, false, false, nil)
		w.check(err)
		return worker.Ready() && q.Messages == 0
	})
	if got, err := calls[0].Get(ctx); got != 0 || err != nil {
		t.Errorf("task 0: got %d, %v", got, err)
	}
	close(proceed[1])
	if got, err := calls[1].Get(ctx); got != 1 || err != nil {
		t.Errorf("task 1: got %d, %v", got, err)
	}
	stop()
	w.check(<-ended)
	for i := range runs {
		if n := runs[i].Load(); n != 1 {
			t.Errorf("task %d ran %d times", i, n)
		}
	}
	for _, queue := range []string{w.queue, w.queue + ".probation"} {
		if q, err := w.admin.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil || q.Messages != 0 {
			t.Errorf("%d messages are left in %s, %v", q.Messages, queue, err)
		}
	}
}

// A task that runs when its connection is lost, and whose message goes to another worker, is cancelled.
func TestOrphanIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	proxy := newProxy(t, w.url)
	ctx := task.WithClient(w.ctx, task.NewClient(w.open(w.url), task.ClientConfig{}))
	hold := task.Define[numberArgs](task.Spec{Name: "copies.hold", Queue: w.queue}, codec.Int[int])
	first, second := make(chan error, 1), make(chan struct{})
	var started atomic.Int64
	work := func(url string, run func(context.Context) (int, error)) *task.Worker {
		r := task.NewRegistry()
		hold.Handle(r, func(ctx context.Context, _ *numberArgs) (int, error) {
			started.Add(1)
			return run(ctx)
		})
		worker, err := task.NewWorker(w.open(url), r, task.WorkerConfig{
			Queues: []task.QueueConfig{{Name: w.queue}}, Concurrency: 1, Prefetch: 1, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
		w.check(err)
		runs, stop := context.WithCancel(context.WithoutCancel(w.ctx))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = worker.Run(runs)
		}()
		t.Cleanup(func() {
			stop()
			<-ended
		})
		return worker
	}
	work(proxy.url, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		first <- context.Cause(ctx)
		return 0, ctx.Err()
	})
	call, err := hold.Send(ctx, &numberArgs{})
	w.check(err)
	w.eventually("the first worker runs it", func() bool { return started.Load() == 1 })
	work(w.url, func(context.Context) (int, error) {
		<-second
		return 7, nil
	})
	proxy.takeDown()
	w.eventually("the second worker runs it", func() bool { return started.Load() == 2 })
	proxy.up()
	select {
	case cause := <-first:
		if !errors.Is(cause, task.ErrConnectionLost) {
			t.Errorf("the task was cancelled because of %v", cause)
		}
	case <-w.ctx.Done():
		t.Fatal("the first run was not cancelled")
	}
	close(second)
	if got, err := call.Get(ctx); got != 7 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	if started.Load() != 2 {
		t.Errorf("it ran %d times", started.Load())
	}
}
