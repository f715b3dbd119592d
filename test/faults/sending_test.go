package faults

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// sending says what is sent and how.
type sending struct {
	tasks int
	// until adds more tasks until it is closed.
	until chan struct{}
	// do makes each task; Number is set. nil: it takes no time.
	do func(*job)
	// senders is how many goroutines send, 8 by default.
	senders int
	// perSecond is the pace of all of them; 0: as fast as they can.
	perSecond int
	// deadline is each call's. By default the scenario's.
	deadline time.Duration
	// client is w.client() by default.
	client *task.Client
	// with makes the options of a call, after do.
	with func(*job) []task.Option
}

// call is one Delay.
type call struct {
	task       int
	begin, end time.Time
	err        error
}

// sent is what goes on while tasks are sent, and what came of it.
type sent struct {
	w       *world
	config  sending
	senders sync.WaitGroup
	mu      sync.Mutex
	calls   []call
}

// numbers hands out the numbers of new tasks: from first on.
func (w *world) numbers(n int) (first int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first = w.next
	w.next += n
	return first
}

// send sends tasks one by one, beside the test.
func (w *world) send(config sending) *sent {
	w.Helper()
	if config.senders == 0 {
		config.senders = 8
	}
	if config.client == nil {
		config.client = w.client()
	}
	s := &sent{w: w, config: config}
	queue := make(chan int)
	go func() {
		defer close(queue)
		next := time.Now()
		for i := 0; i < config.tasks || config.until != nil && !isClosed(config.until); i++ {
			if config.perSecond > 0 {
				time.Sleep(time.Until(next))
				// What an outage held up is not made up for: the stream is still there when the next one comes.
				next = latest(next, time.Now().Add(-time.Second)).Add(time.Second / time.Duration(config.perSecond))
			}
			select {
			case queue <- w.numbers(1):
			case <-w.ctx.Done():
				return
			}
		}
	}()
	for range config.senders {
		s.senders.Go(func() {
			for number := range queue {
				s.one(number)
			}
		})
	}
	return s
}

func (s *sent) one(number int) {
	ctx := task.WithClient(s.w.ctx, s.config.client)
	if s.config.deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.config.deadline)
		defer cancel()
	}
	j := job{Number: number}
	if s.config.do != nil {
		s.config.do(&j)
	}
	t := jobs(s.w.queue).Task
	if s.config.with != nil {
		t = t.With(s.config.with(&j)...)
	}
	c := call{task: number, begin: time.Now()}
	_, c.err = t.Send(ctx, &task.FuncArgs[job]{Value: j})
	c.end = time.Now()
	kind := accepted
	if c.err != nil {
		kind = rejected
	}
	if err := s.w.ledger.note(kind, number); err != nil {
		s.w.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
}

// wait waits until all is sent, and fills in the row.
func (s *sent) wait() {
	s.senders.Wait()
	for _, c := range s.all() {
		s.w.row.longestCall = max(s.w.row.longestCall, c.end.Sub(c.begin))
	}
}

func (s *sent) all() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// firstAccepted is when the first call after a time returned without an error; ok is false if none did.
func (s *sent) firstAccepted(after time.Time) (first time.Time, ok bool) {
	for _, c := range s.all() {
		if c.err == nil && c.end.After(after) && (!ok || c.end.Before(first)) {
			first, ok = c.end, true
		}
	}
	return first, ok
}

// errors are the errors of the calls that failed.
func (s *sent) errors() []error {
	var errs []error
	for _, c := range s.all() {
		if c.err != nil {
			errs = append(errs, c.err)
		}
	}
	return errs
}

// allAccepted is an error if a call has failed.
func (s *sent) allAccepted() {
	s.w.Helper()
	if errs := s.errors(); len(errs) > 0 {
		s.w.Errorf("%d calls have failed, the first: %v", len(errs), errs[0])
	}
}

// sendMany sends tasks in one batch, all of which must be accepted.
func (w *world) sendMany(n int, do func(*job), options ...task.Option) {
	w.Helper()
	args := make([]job, n)
	first := w.numbers(n)
	for i := range args {
		args[i].Number = first + i
		if do != nil {
			do(&args[i])
		}
	}
	ctx, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	_, err := jobs(w.queue).With(options...).DelayMany(task.WithClient(ctx, w.clientAt(w.direct)), args)
	if err != nil {
		w.Fatal(errors.Unwrap(err), err)
	}
	for i := range args {
		w.check(w.ledger.note(accepted, first+i))
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
