package test

import (
	"context"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// BenchmarkGranularity measures what a task costs that works for so long (it keeps a processor busy): in line, and sent
// with its result, over a worker with one slot for each processor. ns/op is for one task. docs/celery-guide.md has the figures.
func BenchmarkGranularity(b *testing.B) {
	brokers := map[string]string{"memory": "memory:granularity", "sqlite": "sqlite:" + b.TempDir()}
	if url := os.Getenv("TASKGEN_TEST_AMQP"); url != "" {
		brokers["rabbitmq"] = url
	}
	for _, work := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond} {
		b.Run("work="+work.String()+"/in line", func(b *testing.B) {
			for b.Loop() {
				busy(work)
			}
		})
		for name, url := range brokers {
			b.Run("work="+work.String()+"/"+name, func(b *testing.B) { benchmarkSent(b, url, work) })
		}
	}
}

// busy keeps a processor busy.
func busy(d time.Duration) {
	for start := time.Now(); time.Since(start) < d; {
	}
}

func benchmarkSent(b *testing.B, url string, work time.Duration) {
	client, err := broker.Open(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	queue := "granularity-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	busyFor := task.New("granularity.busy", func(_ context.Context, d time.Duration) (time.Duration, error) {
		busy(d)
		return d, nil
	}, task.Spec{Queue: queue})
	r := task.NewRegistry()
	busyFor.Register(r)
	transport, err := broker.Transport(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	worker, err := task.NewWorker(transport, r, task.WorkerConfig{Concurrency: 2, Prefetch: 64, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	running, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(running) }()
	defer func() {
		stop()
		<-ended
		if name := transport.String(); name[:6] != "memory" {
			_ = transport.Close()
		}
	}()
	ctx := task.WithClient(b.Context(), client)
	const batch = 200
	run := func(n int) {
		args := make([]time.Duration, n)
		for i := range args {
			args[i] = work
		}
		calls, err := busyFor.DelayMany(ctx, args)
		if err != nil {
			b.Fatal(err)
		}
		for _, call := range calls {
			if _, err := call.Get(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	run(1)
	b.ResetTimer()
	for n := b.N; n > 0; n -= batch {
		run(min(n, batch))
	}
	b.StopTimer()
	for _, stats := range worker.Stats().Tasks {
		b.ReportMetric(float64(stats.MeanOverhead.Nanoseconds()), "overhead-ns")
	}
}
