package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/bench/tasks"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
)

// AMQP is the limit: the library that taskgen is made with, and messages that are the same as taskgen's but for their ids.
var AMQP = &System{
	Name: "amqp091-go", About: "quorum queue, WAL on disk, confirmed", Server: "rabbitmq", Many: true,
	Prepare: func(ctx context.Context, url string) error { return makeQueue(ctx, url, "quorum") },
	Open:    openAMQP, Work: workAMQP(true),
}

// AMQPSingle acks each task on its own.
var AMQPSingle = &System{
	Name: "amqp091-go, single acks", About: AMQP.About, Server: AMQP.Server, Many: true,
	Prepare: AMQP.Prepare, Open: openAMQP, Work: workAMQP(false),
}

// AMQPClassic has a classic queue, and acks each task on its own.
var AMQPClassic = &System{
	Name: "amqp091-go, classic", About: "classic queue, persistent, confirmed", Server: "rabbitmq", Many: true,
	Prepare: func(ctx context.Context, url string) error { return makeQueue(ctx, url, "classic") },
	Open:    openAMQP, Work: workAMQP(false),
}

const (
	// window is how many messages are sent ahead of their confirms.
	window = 1024
	// ackDelay is how long an ack may wait for others.
	ackDelay = 2 * time.Millisecond
)

// makeQueue makes the queue anew, as taskgen declares it.
func makeQueue(ctx context.Context, url, kind string) error {
	ch, err := dial(url)
	if err != nil {
		return err
	}
	defer ch.close()
	for _, name := range []string{queue, queue + ".probation", queue + ".dead"} {
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			return err
		}
	}
	client, err := broker.Open(ctx, url+"?queue_type="+kind)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := tasks.Noop.Delay(task.WithClient(ctx, client), User, Stamp()); err != nil {
		return err
	}
	_, err = client.Transport().Purge(ctx, queue)
	return err
}

type channel struct {
	*amqp.Channel
	conn *amqp.Connection
}

func (c *channel) close() { _ = c.conn.Close() }

func dial(url string) (*channel, error) {
	conn, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &channel{ch, conn}, nil
}

// template is a message as taskgen sends it.
func template(ctx context.Context, url string, ch *channel) (amqp.Publishing, error) {
	client, err := broker.Open(ctx, url)
	if err != nil {
		return amqp.Publishing{}, err
	}
	defer client.Close()
	name := fmt.Sprint(queue, "-", Stamp())
	if _, err := tasks.Noop.With(task.Queue(name)).Delay(task.WithClient(ctx, client), User, Stamp()); err != nil {
		return amqp.Publishing{}, err
	}
	d, found, err := ch.Get(name, true)
	if err != nil || !found {
		return amqp.Publishing{}, fmt.Errorf("no message of taskgen to go by in queue %s: %w", name, err)
	}
	_, err = ch.QueueDelete(name, false, false, false)
	return amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration,
		MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
	}, err
}

// stampIn finds the stamp in a body.
var stampIn = regexp.MustCompile(`[0-9]{19}`)

type amqpSender struct {
	ch      *channel
	message amqp.Publishing
	stampAt int
	// returned is closed when the broker has given a message back.
	returned chan struct{}
}

func openAMQP(ctx context.Context, job Job) (Sender, error) {
	ch, err := dial(job.Broker)
	if err != nil {
		return nil, err
	}
	s := &amqpSender{ch: ch, returned: make(chan struct{})}
	if s.message, err = template(ctx, job.Broker, ch); err != nil {
		return nil, err
	}
	s.stampAt = stampIn.FindIndex(s.message.Body)[0]
	returns := ch.NotifyReturn(make(chan amqp.Return, window))
	go func() {
		if _, came := <-returns; came {
			close(s.returned)
		}
	}()
	return s, ch.Confirm(false)
}

// publish puts a message on its way.
func (s *amqpSender) publish() (*amqp.DeferredConfirmation, error) {
	m := s.message
	m.Body = bytes.Clone(m.Body)
	copy(m.Body[s.stampAt:], Stamp())
	return s.ch.PublishWithDeferredConfirm("", queue, true, false, m)
}

func (s *amqpSender) await(ctx context.Context, c *amqp.DeferredConfirmation) error {
	acked, err := c.WaitContext(ctx)
	select {
	case <-s.returned:
		return errors.New("the broker has returned a message: no queue takes it")
	default:
	}
	if err == nil && !acked {
		return errors.New("the broker has refused a message")
	}
	return err
}

func (s *amqpSender) Send(ctx context.Context) error {
	c, err := s.publish()
	if err != nil {
		return err
	}
	return s.await(ctx, c)
}

func (s *amqpSender) SendMany(ctx context.Context, n int) error {
	pending := make(chan *amqp.DeferredConfirmation, window)
	done := make(chan error, 1)
	go func() {
		var failed error
		for c := range pending {
			failed = errors.Join(failed, s.await(ctx, c))
		}
		done <- failed
	}()
	for range n {
		c, err := s.publish()
		if err != nil {
			close(pending)
			return errors.Join(err, <-done)
		}
		pending <- c
	}
	close(pending)
	return <-done
}

func (s *amqpSender) Close() error { return s.ch.conn.Close() }

// workAMQP returns a worker that acks several tasks at once, or each on its own.
func workAMQP(multiple bool) func(context.Context, Job, func(string)) error {
	return func(ctx context.Context, job Job, started func(string)) error {
		ch, err := dial(job.Broker)
		if err != nil {
			return err
		}
		defer ch.close()
		prefetch, err := prefetchOf(job)
		if err != nil {
			return err
		}
		if err := ch.Qos(prefetch, 0, false); err != nil {
			return err
		}
		deliveries, err := ch.Consume(queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		ack := func(tag uint64) { _ = ch.Ack(tag, false) }
		if multiple {
			a := newAcker(ch, prefetch)
			ack = a.done
		}
		var group sync.WaitGroup
		for range job.Concurrency {
			group.Go(func() {
				for d := range deliveries {
					stamp := ""
					if job.Latency {
						stamp = string(stampIn.Find(d.Body))
					}
					started(stamp)
					ack(d.DeliveryTag)
				}
			})
		}
		<-ctx.Done()
		err = ch.conn.Close()
		group.Wait()
		return err
	}
}

// wide is how many messages a worker of taskgen holds of a queue whose tasks are as short as these, or more if it has many slots.
const wide = 256

// prefetchOf is how many messages a worker of taskgen comes to hold.
func prefetchOf(job Job) (int, error) {
	r := task.NewRegistry()
	tasks.RegisterTasks(r)
	w, err := task.NewWorker(memory.New(), r, task.WorkerConfig{Concurrency: job.Concurrency, Prefetch: job.Prefetch})
	if err != nil {
		return 0, err
	}
	prefetch := w.Subscriptions()[0].Prefetch
	if job.Prefetch == 0 {
		prefetch = max(prefetch, wide)
	}
	return prefetch, nil
}

// acker acks up to the first task that still runs: after a quarter of the prefetch, or a little later.
type acker struct {
	ch    *channel
	every uint64

	mu          sync.Mutex
	ended       map[uint64]struct{} // above low
	low, acked  uint64              // tags; all up to low have ended
	timer       *time.Timer
	timerIsUsed bool
}

func newAcker(ch *channel, prefetch int) *acker {
	a := &acker{ch: ch, every: uint64(max(prefetch/4, 1)), ended: make(map[uint64]struct{})}
	a.timer = time.AfterFunc(time.Hour, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.timerIsUsed = false
		a.flush()
	})
	return a
}

func (a *acker) done(tag uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended[tag] = struct{}{}
	for {
		if _, ended := a.ended[a.low+1]; !ended {
			break
		}
		a.low++
		delete(a.ended, a.low)
	}
	switch {
	case a.low-a.acked >= a.every:
		a.flush()
	case !a.timerIsUsed:
		a.timerIsUsed = true
		a.timer.Reset(ackDelay)
	}
}

// flush acks what can be. The caller holds a.mu.
func (a *acker) flush() {
	if a.low > a.acked {
		a.acked = a.low
		_ = a.ch.Ack(a.low, true)
	}
}
