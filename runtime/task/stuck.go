package task

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stuckGrace is how long a task may take to return once its context has ended. Then it is stuck.
	stuckGrace = 10 * time.Second
	// watchInterval is how often the slots are looked at.
	watchInterval = time.Second
	// maxStack is how much of a stack is logged, maxStacks how much memory those of all goroutines may take
	// to find it, in bytes.
	maxStack  = 16 << 10
	maxStacks = 64 << 20
)

// watchdog looks after the tasks in the slots of a worker, and tells of those that don't return when they
// should: Go can't end a goroutine from outside.
type watchdog struct {
	logger *slog.Logger
	round  atomic.Pointer[time.Time] // when the slots were last looked at; nil: not yet

	mu    sync.Mutex
	slots []*watchedSlot
}

// watchedSlot is a goroutine that runs one task after the other, and what it runs now.
type watchedSlot struct {
	pool      *pool
	goroutine int
	logger    *slog.Logger

	mu      sync.Mutex
	request *request        // nil: none runs
	ctx     context.Context // of the run
	late    time.Time       // when ctx was first seen to have ended
	stuck   bool            // and told so
}

type slotKey struct{}

// slot returns the context of a new slot, which is the goroutine that calls this. It takes the place of the slot
// of ctx, if there is one.
func (d *watchdog) slot(ctx context.Context, p *pool) context.Context {
	s := &watchedSlot{pool: p, goroutine: goroutineID(), logger: d.logger}
	d.mu.Lock()
	defer d.mu.Unlock()
	former := slotOf(ctx)
	d.slots = append(slices.DeleteFunc(slices.Clone(d.slots), func(other *watchedSlot) bool { return other == former }), s)
	return context.WithValue(ctx, slotKey{}, s)
}

// leave takes note that the slot of ctx has ended.
func (d *watchdog) leave(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := slotOf(ctx)
	d.slots = slices.DeleteFunc(slices.Clone(d.slots), func(other *watchedSlot) bool { return other == own })
}

// running are the requests that run now.
func (d *watchdog) running() []*request {
	var out []*request
	for _, s := range d.all() {
		s.mu.Lock()
		if s.request != nil {
			out = append(out, s.request)
		}
		s.mu.Unlock()
	}
	return out
}

// slotOf is the slot of a context; nil if it is none of one.
func slotOf(ctx context.Context) *watchedSlot {
	s, _ := ctx.Value(slotKey{}).(*watchedSlot)
	return s
}

// begin takes note that a task runs, and should until ctx ends at most. end must follow. A task that runs within
// another one is no task of its own here.
func (s *watchedSlot) begin(ctx context.Context, r *request) *watchedSlot {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.request != nil {
		return nil
	}
	s.request, s.ctx = r, ctx
	return s
}

// end takes note that the task has returned.
func (s *watchedSlot) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	r, late, stuck := s.request, s.late, s.stuck
	s.request, s.ctx, s.late, s.stuck = nil, nil, time.Time{}, false
	s.mu.Unlock()
	if stuck {
		s.logger.Warn("a stuck task has returned", "task", r.name, "id", r.id, "after", time.Since(late).Round(time.Millisecond))
	}
}

// overdue returns the task if it is stuck and nobody was told.
func (s *watchedSlot) overdue(now time.Time) *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.request == nil || s.stuck || s.ctx.Err() == nil {
		return nil
	}
	if s.late.IsZero() {
		s.late = now
	}
	if now.Sub(s.late) < stuckGrace {
		return nil
	}
	return s.request
}

// describe says what the slot runs, and since when it should not any more, if that is still r. r is stuck from now on.
func (s *watchedSlot) describe(r *request) (attrs []any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.request != r {
		return nil, false
	}
	s.stuck = true
	attrs = []any{"task", r.name, "id", r.id, "queue", r.message.Queue, "cause", context.Cause(s.ctx)}
	if !s.late.IsZero() {
		attrs = append(attrs, "for", time.Since(s.late).Round(time.Millisecond))
	}
	return attrs, true
}

// watch looks at the slots until ctx ends.
func (d *watchdog) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		now := time.Now()
		d.look(now)
		d.round.Store(&now)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look tells of tasks that are stuck since the last look.
func (d *watchdog) look(now time.Time) {
	d.tell("a task is stuck: it has not returned since its context ended, and keeps its slot",
		func(s *watchedSlot) *request { return s.overdue(now) })
}

// abandon tells of the tasks that run when the worker ends.
func (d *watchdog) abandon() {
	d.tell("the worker stops while the task runs: the broker delivers it again", func(s *watchedSlot) *request {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.request
	})
}

// tell logs the tasks that which returns, with their stacks.
func (d *watchdog) tell(what string, which func(*watchedSlot) *request) {
	found := map[*watchedSlot]*request{}
	for _, s := range d.all() {
		if r := which(s); r != nil {
			found[s] = r
		}
	}
	if len(found) == 0 {
		return
	}
	stacks := allStacks()
	for s, r := range found {
		// One that has returned meanwhile has another stack.
		if attrs, ok := s.describe(r); ok {
			d.logger.Error(what, append(attrs, "stack", stackOf(stacks, s.goroutine))...)
		}
	}
}

func (d *watchdog) all() []*watchedSlot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clip(d.slots)
}

// stuck counts the tasks that are stuck, and finds the queues that have no other slots.
func (d *watchdog) stuck() (n int, blocked []*pool) {
	byPool := map[*pool]int{}
	for _, s := range d.all() {
		s.mu.Lock()
		if s.stuck {
			n++
			byPool[s.pool]++
		}
		s.mu.Unlock()
	}
	for p, stuck := range byPool {
		if stuck == p.size() {
			blocked = append(blocked, p)
		}
	}
	return n, blocked
}

// goroutineID is the number of the goroutine that calls it, by which it is found among the stacks of all.
func goroutineID() (id int) {
	var head [64]byte
	_, _ = fmt.Sscanf(string(head[:runtime.Stack(head[:], false)]), "goroutine %d ", &id)
	return id
}

// allStacks are the stacks of all goroutines, as in a traceback.
func allStacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		text := make([]byte, size)
		if n := runtime.Stack(text, true); n < size || size >= maxStacks {
			return text[:n]
		}
	}
}

// stackOf finds the stack of a goroutine, as far as it is the task's own.
func stackOf(stacks []byte, goroutine int) string {
	head := fmt.Appendf(nil, "goroutine %d [", goroutine)
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if !bytes.HasPrefix(stack, head) {
			continue
		}
		if own, _, found := bytes.Cut(stack, []byte("\ngithub.com/taskgen/taskgen/runtime/task.(*executor).run(")); found {
			stack = own
		}
		if len(stack) > maxStack {
			stack = append(stack[:maxStack:maxStack], "\n…"...)
		}
		return strings.ToValidUTF8(string(stack), "\uFFFD")
	}
	return "" // the goroutines have more stacks than maxStacks
}
