package sqlite_test

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

func BenchmarkPublish(b *testing.B) {
	for _, sync := range []string{"full", "normal"} {
		for _, senders := range []int{1, 16} {
			b.Run(sync+"/senders="+strconv.Itoa(senders), func(b *testing.B) {
				transport := open(b, newURL(b)+"?sync="+sync)
				benchmarkPublish(b, transport, senders)
			})
		}
	}
}

func benchmarkPublish(b *testing.B, transport *sqlite.Transport, senders int) {
	body := make([]byte, 256)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, senders)
	b.ResetTimer()
	for range senders {
		go func() {
			for left.Add(-1) >= 0 {
				m := message("q")
				m.Body = body
				if err := transport.Publish(context.Background(), m); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range senders {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkDrain(b *testing.B) {
	for _, sync := range []string{"full", "normal"} {
		for _, slots := range []int{10, 100} {
			b.Run(sync+"/slots="+strconv.Itoa(slots), func(b *testing.B) { benchmarkDrain(b, sync, slots) })
		}
	}
}

func benchmarkDrain(b *testing.B, sync string, slots int) {
	transport := open(b, newURL(b)+"?sync="+sync)
	body := make([]byte, 256)
	ms := make([]*task.Message, b.N)
	for i := range ms {
		ms[i] = message("q")
		ms[i].Body = body
	}
	for _, err := range transport.PublishMany(context.Background(), ms) {
		b.Fatal(err)
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	deliveries := make(chan *task.Delivery, slots)
	b.ResetTimer()
	consumer, err := transport.Consume(task.ConsumeConfig{
		Worker:        "worker@bench",
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: slots}},
		Deliver:       func(d *task.Delivery) { deliveries <- d },
	})
	if err != nil {
		b.Fatal(err)
	}
	for range slots {
		go func() {
			for d := range deliveries {
				r := &task.Result{ID: d.Message.ID, State: task.Success, Body: body[:100]}
				if err := consumer.Settle(context.Background(), d, task.Outcome{Result: r}); err != nil {
					b.Error(err)
				}
				if left.Add(-1) == 0 {
					close(done)
				}
			}
		}()
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.StopTimer()
	_ = consumer.Close()
	close(deliveries)
}

// BenchmarkAcrossProcesses is the way to a worker in another process and of its
// result back.
func BenchmarkAcrossProcesses(b *testing.B) {
	for _, sync := range []string{"full", "normal"} {
		b.Run(sync, func(b *testing.B) {
			url := newURL(b) + "?sync=" + sync
			start(b, "echo", url).line()
			client := open(b, url)
			times := make([]time.Duration, 0, b.N)
			for b.Loop() {
				begin := time.Now()
				m := message("q")
				publish(b, client, m)
				if _, err := client.AwaitResult(within(b), m.ID); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(begin))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
		})
	}
}
