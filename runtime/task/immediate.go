package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/codec"
)

// An immediate task is not queued: it goes to a worker that has kept a slot free for it. AMQP once
// had a bit for that; no broker has it any more, so sender and worker agree by messages:
//
//  1. The sender asks for a slot: a message to a fanout exchange that leads to all workers of the queue. If it
//     leads nowhere there is no worker.
//  2. A worker with a free slot keeps it for a moment, and answers with the name of a queue of its own.
//  3. The sender sends the task there, as safely as any task. If the worker is gone by then, the
//     task moves to the ordinary queue: what was sent is run.
//
// So a call that failed with ErrNoWorker was never sent, and one that did not fail is not lost. Who
// answers too late, or second, keeps its slot for nothing for reservedFor.
const (
	// slotTask is the name of the message that asks for a slot.
	slotTask = "taskgen.slot"
	// slotHeader marks the task that a slot is kept for.
	slotHeader = "taskgen-slot"
	// slotPatience is how long a sender waits for a slot, and a worker may take to have one free.
	slotPatience = time.Second
	// reservedFor is how long a worker keeps a slot for a task that has not come.
	reservedFor = 250 * time.Millisecond
	// grantTTL is how long a broker keeps an answer.
	grantTTL = time.Minute
	// maxAsking is how many unanswered questions a worker takes at a time.
	maxAsking = 100
)

// grant is the answer of a worker that keeps a slot.
type grant struct {
	Queue string `json:"queue"`
	Slot  string `json:"slot"`
}

// slotExchange leads to all workers that have slots for immediate tasks of a queue.
func slotExchange(queue string) string { return queue + ".slots" }

// publishMany sends a batch. Immediate tasks go one after the other.
func (c *Client) publishMany(ctx context.Context, ms []*Message) []error {
	if !ms[0].immediate {
		errs := c.transport.PublishMany(ctx, ms)
		for i, m := range ms {
			if errs == nil || errs[i] == nil {
				note(ctx, child{id: m.ID})
				c.tellSent(ctx, m)
			}
		}
		return errs
	}
	var errs []error
	for i, m := range ms {
		if err := c.publish(ctx, m); err != nil {
			if errs == nil {
				errs = make([]error, len(ms))
			}
			errs[i] = err
		}
	}
	return errs
}

// publish sends a message, immediately if it asks for that, and notes it as a child of the task that sends it.
func (c *Client) publish(ctx context.Context, m *Message) error {
	err := c.dispatch(ctx, m)
	if err == nil {
		note(ctx, child{id: m.ID})
		c.tellSent(ctx, m)
	}
	return err
}

func (c *Client) dispatch(ctx context.Context, m *Message) error {
	if !m.immediate {
		return c.transport.Publish(ctx, m)
	}
	g, err := c.findSlot(ctx, m)
	if err != nil {
		return err
	}
	kept := *m // the caller's goes on naming the queue that it was for
	kept.Queue, kept.Existing, kept.Mandatory = g.Queue, true, true
	kept.Headers[slotHeader] = g.Slot
	if err := c.transport.Publish(ctx, &kept); !errors.Is(err, ErrUnroutable) {
		return err
	}
	return fmt.Errorf("%w: the one that had kept a slot has gone", ErrNoWorker)
}

// findSlot asks the workers of the queue for a slot.
func (c *Client) findSlot(ctx context.Context, m *Message) (*grant, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("asking for a slot: %w", err)
	}
	text, _ := codec.ByName("json")
	body, err := text.EncodeCall(func(f codec.Fields) { codec.String(f.Field("task"), &m.Task) }, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for a slot: %w", err)
	}
	question := &Message{
		ID: id.String(), Task: slotTask, Queue: m.Queue,
		Exchange: slotExchange(m.Queue), ExchangeType: Fanout, Mandatory: true,
		ReplyTo: m.ReplyTo, ContentType: text.ContentType(), ContentEncoding: text.ContentEncoding(), Body: body,
		Headers: map[string]any{
			"task": slotTask, "id": id.String(), "expires": time.Now().Add(slotPatience).Format(timeFormat),
		},
	}
	if err := c.transport.Publish(ctx, question); err != nil {
		if errors.Is(err, ErrUnroutable) {
			return nil, fmt.Errorf("%w: none that runs immediate tasks takes from queue %q", ErrNoWorker, m.Queue)
		}
		return nil, fmt.Errorf("asking for a slot: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, slotPatience)
	defer cancel()
	answer, err := c.transport.AwaitResult(waiting, question.ID)
	if err != nil {
		if ctx.Err() == nil && waiting.Err() != nil {
			return nil, fmt.Errorf("%w: all slots for queue %q are taken", ErrNoWorker, m.Queue)
		}
		return nil, fmt.Errorf("asking for a slot: %w", err)
	}
	g := new(grant)
	if _, err := readResult(answer, slotTask, func(v codec.Value) { codec.Any(v, g) }); err != nil {
		return nil, err
	}
	return g, nil
}

// question is a sender's wish for a slot of a queue.
type question struct {
	queue   string
	expires time.Time
}

// slots are those that a worker keeps free for tasks on their way.
type slots struct {
	// worker is part of the names of the worker's own queues.
	worker string
	// asked and own lead from the worker's own queues to the queue that they are for.
	asked, own map[string]string

	mu   sync.Mutex
	kept map[string]chan *request // by slot
}

func newSlots() *slots {
	return &slots{worker: uuid.NewString(), asked: map[string]string{}, own: map[string]string{}, kept: map[string]chan *request{}}
}

// subscriptions are the worker's own queues for immediate tasks of a queue: one for questions, one for
// the tasks themselves.
func (s *slots) subscriptions(queue string, prefetch int) []Subscription {
	asked, own := queue+".asked."+s.worker, queue+".now."+s.worker
	s.asked[asked], s.own[own] = queue, queue
	return []Subscription{
		{Queue: asked, Prefetch: maxAsking, Own: true, Bindings: []Binding{{Exchange: slotExchange(queue), Type: Fanout}}},
		{Queue: own, Prefetch: prefetch, Own: true, Heir: queue},
	}
}

// queuesOf are the worker's own queues for immediate tasks of a queue.
func (s *slots) queuesOf(queue string) []string {
	var out []string
	for _, own := range []map[string]string{s.asked, s.own} {
		for name, of := range own {
			if of == queue {
				out = append(out, name)
			}
		}
	}
	return out
}

// keep makes a slot; the channel gives the task that comes for it.
func (s *slots) keep() (slot string, task <-chan *request) {
	slot, came := uuid.NewString(), make(chan *request, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[slot] = came
	return slot, came
}

// give hands a task to the slot that was kept for it; false if it is not any more.
func (s *slots) give(r *request) bool {
	slot, _ := r.message.Headers[slotHeader].(string)
	if slot == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	came, ok := s.kept[slot]
	delete(s.kept, slot)
	if ok {
		came <- r
	}
	return ok
}

// await waits for the task that a slot is kept for, and then keeps it no longer. nil if none has come; one
// that comes later stands in line like any other.
func (s *slots) await(slot string, came <-chan *request, patience time.Duration) *request {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r := <-came:
		return r
	case <-timer.C:
	}
	s.mu.Lock()
	delete(s.kept, slot)
	s.mu.Unlock()
	select {
	case r := <-came: // in the last moment
		return r
	default:
		return nil
	}
}

// offersSlots says whether the worker has slots for immediate tasks of a queue.
func (w *Worker) offersSlots(queue string) bool {
	for _, e := range w.executor.registry.Entries() {
		if e.spec.Immediate && (e.Queue() == queue || perCall(e.Queue())) {
			return true
		}
	}
	return false
}

// asked takes a question: it stands in line for a slot as a task would. It is no
// loss if it gets lost: the sender is told that there is no worker.
func (w *Worker) asked(d *Delivery, queue string) {
	r, rejected := readRequest(d)
	go w.settleCopy(r, surplus, Outcome{})
	if rejected == nil && r.name == slotTask {
		w.lanes.of(queue).pool.put(&request{delivery: d, message: d.Message, id: r.id, question: &question{queue: queue, expires: r.expires}})
	}
}

// answer keeps a slot, the one that the caller is, for the sender of a question, and runs the
// task that comes for it.
func (w *Worker) answer(ctx context.Context, r *request) {
	if w.held.isClosed() || !time.Now().Before(r.question.expires) || !w.allowed(r) {
		return
	}
	slot, came := w.slots.keep()
	patience := reservedFor
	if err := w.sendGrant(ctx, r, slot); err != nil {
		w.logger.Warn("a slot for an immediate task can't be offered", "queue", r.question.queue, "error", err)
		patience = 0 // the sender may have it all the same, and the task may be here
	}
	if task := w.slots.await(slot, came, patience); task != nil {
		w.run(ctx, task)
	}
}

// allowed says whether the rate limit of the task that is asked for lets it start now.
func (w *Worker) allowed(r *request) bool {
	var name string
	text, _ := codec.ByName("json")
	_, err := text.DecodeCall(r.message.Body, func(f codec.Fields) { codec.String(f.Field("task"), &name) })
	if err != nil {
		return false
	}
	entry, ok := w.executor.registry.Lookup(name)
	return ok && w.limits.take(&request{name: name, entry: entry})
}

func (w *Worker) sendGrant(ctx context.Context, r *request, slot string) error {
	queue := ""
	for own, of := range w.slots.own {
		if of == r.question.queue {
			queue = own
		}
	}
	text, _ := codec.ByName("json")
	body, err := writeResult(text, r.id, Success, func(v codec.Value) { codec.Any(v, &grant{Queue: queue, Slot: slot}) }, nil, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, slotPatience)
	defer cancel()
	return w.transport.StoreResult(ctx, &Result{
		ID: r.id, State: Success, ReplyTo: r.message.ReplyTo, TTL: grantTTL,
		ContentType: text.ContentType(), ContentEncoding: text.ContentEncoding(), Body: body,
	})
}
