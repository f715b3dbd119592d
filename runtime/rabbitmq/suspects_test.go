package rabbitmq_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// Everything in the queue was delivered before, as after a crash of the broker with a classic queue. Each task may end the
// process, for all that is known, and yet a fleet must come through in time.
func TestSuspectsOfAFleet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	const workers, total = 3, 300
	number := task.Define[numberArgs](task.Spec{Name: "suspects.number", Queue: w.queue}, codec.Int[int])
	ctx := task.WithClient(w.ctx, task.NewClient(w.open(w.url), task.ClientConfig{}))
	calls, err := number.DelayMany(ctx, make([]numberArgs, total))
	w.check(err)

	w.check(w.admin.Qos(total, 0, false))
	deliveries, err := w.admin.Consume(w.queue, "", false, false, false, false, nil)
	w.check(err)
	for range total {
		<-deliveries
	}
	w.check(w.admin.Close())
	w.connectAdmin()

	for range workers {
		r := task.NewRegistry()
		number.Handle(r, func(context.Context, *numberArgs) (int, error) { return 7, nil })
		worker, err := task.NewWorker(w.open(w.url), r, task.WorkerConfig{
			Queues: []task.QueueConfig{{Name: w.queue}}, Concurrency: 3, Logger: slog.New(slog.DiscardHandler),
		})
		w.check(err)
		runs, stop := context.WithCancel(context.WithoutCancel(w.ctx))
		ended := make(chan error, 1)
		go func() { ended <- worker.Run(runs) }()
		t.Cleanup(func() {
			stop()
			w.check(<-ended)
		})
	}
	for _, call := range calls {
		if got, err := call.Get(ctx); got != 7 || err != nil {
			t.Fatal(got, err)
		}
	}
}
