package rabbitmq_test

import (
	"errors"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// benchmarkBody is as long as a typical call.
var benchmarkBody = make([]byte, 73)

// benchmarkMessage has as many headers as a call.
func (w *world) benchmarkMessage() *task.Message {
	m := w.message("")
	m.Body = benchmarkBody
	m.Headers["lang"], m.Headers["root_id"], m.Headers["origin"] = "go", m.ID, "gen1@host"
	m.Headers["timelimit"], m.Headers["argsrepr"] = []any{nil, nil}, "()"
	return m
}

// BenchmarkPublish compares the transport with the bare library, side by side: to one quorum queue, persistent, confirmed.
func BenchmarkPublish(b *testing.B) {
	url := brokerURL(b)
	const batch = 1000
	run := func(name string, bench func(b *testing.B, w *world)) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, url)
			w.publish(w.open(url), "declares the queue")
			bench(b, w)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
	run("pipelined/bare", func(b *testing.B, w *world) {
		w.check(w.admin.Confirm(false))
		out := bare(w.benchmarkMessage())
		window := make(chan *amqp.DeferredConfirmation, 1024)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c := range window {
				if !c.Wait() {
					b.Error("not confirmed")
				}
			}
		}()
		for b.Loop() {
			c, err := w.admin.PublishWithDeferredConfirm("", w.queue, true, false, out)
			w.check(err)
			window <- c
		}
		close(window)
		<-done
	})
	run("pipelined/transport", func(b *testing.B, w *world) {
		transport := w.open(url)
		w.publish(transport, "connects")
		messages := make([]*task.Message, batch)
		for i := range messages {
			messages[i] = w.benchmarkMessage()
		}
		n := 0
		send := func() {
			if errs := transport.PublishMany(w.ctx, messages[:n]); errs != nil {
				b.Fatal(errors.Join(errs...))
			}
			n = 0
		}
		for b.Loop() {
			if n++; n == batch {
				send()
			}
		}
		send()
	})
	run("16 callers/bare", func(b *testing.B, w *world) {
		w.check(w.admin.Confirm(false))
		out := bare(w.benchmarkMessage())
		callers(b, 16, func() {
			c, err := w.admin.PublishWithDeferredConfirm("", w.queue, true, false, out)
			if err != nil || !c.Wait() {
				b.Error("not confirmed", err)
			}
		})
	})
	run("16 callers/transport", func(b *testing.B, w *world) {
		transport := w.open(url)
		w.publish(transport, "connects")
		m := w.benchmarkMessage()
		callers(b, 16, func() {
			if err := transport.Publish(w.ctx, m); err != nil {
				b.Error(err)
			}
		})
	})
}

// bare is the message as a user of the library would write it.
func bare(m *task.Message) amqp.Publishing {
	return amqp.Publishing{
		Headers: amqp.Table(m.Headers), ContentType: m.ContentType, ContentEncoding: m.ContentEncoding,
		DeliveryMode: amqp.Persistent, CorrelationId: m.ID, MessageId: m.ID, Body: m.Body,
	}
}

// callers calls do b.N times from n goroutines.
func callers(b *testing.B, n int, do func()) {
	tokens := make(chan struct{}, n)
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for range tokens {
				do()
			}
		})
	}
	for b.Loop() {
		tokens <- struct{}{}
	}
	close(tokens)
	group.Wait()
}

// BenchmarkDrain compares how fast a queue of waiting messages is consumed, each acked on its own.
func BenchmarkDrain(b *testing.B) {
	url := brokerURL(b)
	const prefetch = 256
	fill := func(b *testing.B) *world {
		w := newWorld(b, url)
		transport := w.open(url)
		messages := make([]*task.Message, b.N)
		for i := range messages {
			messages[i] = w.benchmarkMessage()
		}
		if errs := transport.PublishMany(w.ctx, messages); errs != nil {
			b.Fatal(errors.Join(errs...))
		}
		w.check(transport.Close())
		return w
	}
	report := func(b *testing.B) {
		b.StopTimer()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	}
	b.Run("bare", func(b *testing.B) {
		w := fill(b)
		b.ResetTimer()
		w.check(w.admin.Qos(prefetch, 0, false))
		deliveries, err := w.admin.Consume(w.queue, "", false, false, false, false, nil)
		w.check(err)
		for range b.N {
			d := <-deliveries
			w.check(d.Ack(false))
		}
		report(b)
	})
	b.Run("transport", func(b *testing.B) {
		w := fill(b)
		transport := w.open(url)
		deliveries := make(chan *task.Delivery, prefetch)
		b.ResetTimer()
		in := w.consume(transport, func(c *task.ConsumeConfig) {
			c.Subscriptions[0].Prefetch = prefetch
			c.Deliver = func(d *task.Delivery) { deliveries <- d }
		})
		for range b.N {
			in.ack(<-deliveries)
		}
		report(b)
	})
}
