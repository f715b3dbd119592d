package rabbitmq_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

// Deliveries of two consumers are acked late and in any order, while some are kept, one is given back and some are acked at once:
// those that are kept hold up none, and none but they come again.
func TestLateAcks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	other := w.named("other")
	const each, prefetch = 400, 40
	transport := w.open(w.url)
	var all []*task.Message
	for i, body := range numbers(2 * each) {
		m := w.message(body)
		if i%2 == 1 {
			m.Queue = other
		}
		all = append(all, m)
	}
	if errs := transport.PublishMany(w.ctx, all); errs != nil {
		t.Fatal(errs)
	}
	both := func(c *task.ConsumeConfig) {
		c.Subscriptions = []task.Subscription{{Queue: w.queue, Prefetch: prefetch}, {Queue: other, Prefetch: prefetch}}
	}
	in := w.consume(transport, both)
	var kept, returned []string
	var here []*task.Delivery
	settle := func() {
		i := rand.IntN(len(here))
		d := here[i]
		here = slices.Delete(here, i, i+1)
		switch body := string(d.Message.Body); {
		case len(kept) < prefetch/4 && rand.IntN(20) == 0:
			kept = append(kept, body)
		case len(returned) == 0 && len(kept) > 0:
			returned = append(returned, body)
			w.check(in.Settle(w.ctx, d, task.Outcome{Requeue: true}))
		default:
			w.check(in.Settle(w.ctx, d, task.Outcome{Late: rand.IntN(20) > 0}))
		}
	}
	for range 2*each + 1 { // with what is given back
		if here = append(here, in.next()); len(here) > prefetch/2 {
			settle()
		}
	}
	for len(here) > 0 {
		settle()
	}
	if len(kept) == 0 || len(returned) == 0 {
		t.Fatalf("kept %d and gave back %d: the test shows nothing", len(kept), len(returned))
	}
	w.check(in.Close())
	again := w.consume(w.open(w.url), both)
	for range kept {
		body := string(again.next().Message.Body)
		i := slices.Index(kept, body)
		if i < 0 {
			t.Fatalf("%s came again", body)
		}
		kept = slices.Delete(kept, i, i+1)
	}
	again.none("all that was kept came again")
}

// Two deliveries are acked late at the same moment, again and again, by a consumer that holds no more than those: it gets the next two.
func TestLateAcksAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, brokerURL(t))
	const rounds = 1000
	transport := w.open(w.url)
	var all []*task.Message
	for _, body := range numbers(2 * rounds) {
		all = append(all, w.message(body))
	}
	if errs := transport.PublishMany(w.ctx, all); errs != nil {
		t.Fatal(errs)
	}
	in := w.consume(transport, func(c *task.ConsumeConfig) { c.Subscriptions[0].Prefetch = 2 })
	for range rounds {
		var both sync.WaitGroup
		for _, d := range []*task.Delivery{in.next(), in.next()} {
			both.Go(func() {
				if err := in.Settle(w.ctx, d, task.Outcome{Late: true}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
}
