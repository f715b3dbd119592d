package faults

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/task"
)

// memoryAlarm: the broker takes nothing any more for a while.
func memoryAlarm(t *testing.T, n *node) {
	lasts := pick(6*time.Second, 15*time.Second)
	w := newWorld(t, fmt.Sprintf("memory alarm, %s", lasts), n.place)
	worker := w.worker()
	w.ready(worker)
	s := w.send(sending{perSecond: 40, senders: 160, deadline: 2 * time.Second, until: make(chan struct{})})
	w.await("tasks run", func() bool { return w.ledger.tally().ended > 20 })
	w.sendMany(1, func(j *job) { j.Take = lasts / 2 }) // is settled while the alarm is on
	n.ctl("set_vm_memory_high_watermark", "0.00001")
	begin := time.Now()
	time.Sleep(lasts)
	lifted := time.Now()
	n.ctl("set_vm_memory_high_watermark", "0.4")
	over := time.Now()
	w.awaitAgain(s, over)
	close(s.config.until)
	s.wait()
	w.onTime(s)
	for _, c := range s.all() {
		if c.err != nil && c.end.Before(lifted) && !errors.Is(c.err, task.ErrBlocked) {
			t.Errorf("a call that began %s after the alarm failed without saying that the broker is blocked: %v", c.begin.Sub(begin), c.err)
		}
	}
	if len(s.errors()) == 0 {
		t.Error("no call has noticed the alarm")
	}
	if !worker.alive() {
		t.Error("the worker has ended")
	}
	w.finish()
	w.remarkf("%d of the rejected ran", w.ledger.tally().rejectedAndRun)
}

// consumerTimeout: tasks take longer than the broker lets a message be unsettled. They run once all the same.
func consumerTimeout(t *testing.T, n *node) {
	limit, take := pick(4*time.Second, 20*time.Second), pick(10*time.Second, 70*time.Second)
	n.ctl("eval", fmt.Sprintf("application:set_env(rabbit, consumer_timeout, %d).", limit.Milliseconds()))
	defer n.ctl("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
	if !long {
		// How often it is looked at.
		n.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 1000).")
		defer n.ctl("eval", "application:set_env(rabbit, channel_tick_interval, 60000).")
	}
	w := newWorld(t, fmt.Sprintf("consumer_timeout %s, three tasks of %s", limit, take), n.place)
	worker := w.worker("-c", "4")
	w.sendMany(3, func(j *job) { j.Take = take })
	w.await("all have ended", func() bool { return w.ledger.tally().ended == 3 })
	if !worker.says("session=2") {
		t.Error("the broker has not ended the session")
	}
	w.finish()
	starts := 0
	w.ledger.each(func(_ int, events []event) { starts += count(events)[started] })
	w.remarkf("%d starts of 3", starts)
	w.atMost("started twice", w.row.startedTwice, 0)
}

// The process that waits for the results is gone, and its queue with it: nobody misses them.
func TestResultsUnwanted(t *testing.T) {
	alongside(t)
	w := newWorld(t, "the sender is gone, and nobody takes its results", sharedBroker(t))
	client := w.clientAt(w.url)
	s := w.send(sending{tasks: 100, client: client})
	s.wait()
	s.allAccepted()
	w.check(client.Close()) // its reply queue goes with it
	w.worker()
	w.finish()
	w.atMost("started twice", w.row.startedTwice, 0)
}

// The broker takes no results: the queue that they go to is full. The tasks are done all the same.
func TestResultsRefused(t *testing.T) {
	alongside(t)
	w := newWorld(t, "the broker refuses the results", sharedBroker(t))
	admin, full := w.admin(), w.queue+"-full"
	w.check(admin.Confirm(false))
	_, err := admin.QueueDeclare(full, true, false, false, false, amqp.Table{"x-max-length": 0, "x-overflow": "reject-publish"})
	w.check(err)
	defer func() { _, _ = admin.QueueDelete(full, false, false, false) }()
	const tasks = 20
	w.sendMany(tasks, nil)
	for range tasks {
		d, found, err := admin.Get(w.queue, true)
		w.check(err)
		if !found {
			t.Fatal("a task is missing")
		}
		sent, err := admin.PublishWithDeferredConfirm("", w.queue, true, false, amqp.Publishing{
			Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: amqp.Persistent,
			CorrelationId: d.CorrelationId, ReplyTo: full, MessageId: d.MessageId, Body: d.Body,
		})
		w.check(err)
		if taken, err := sent.WaitContext(w.ctx); err != nil || !taken {
			t.Fatalf("a task can't be changed: %v, %v", taken, err)
		}
	}
	begin := time.Now()
	worker := w.worker()
	w.await("the loss of each result is logged", func() bool {
		return strings.Count(worker.log(), "the result of a task is lost") == tasks
	})
	w.remarkf("given up after %s", seconds(time.Since(begin)))
	w.finish()
	w.atMost("started twice", w.row.startedTwice, 0)
}
