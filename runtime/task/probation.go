package task

import (
	"fmt"
	"sync"
	"time"
)

// A task may end the whole process: os.Exit, a fatal error of the runtime, all memory used up. Nobody is left then to say which
// of the running tasks it was, and the broker delivers all that the process had again, what had not started included. So messages
// that are delivered again are suspects. They start one after the other, and before one starts
// the number of its starts is written into the message: it is sent to another queue, from where it is delivered
// at once. A message that is delivered again from that queue had started when its process ended. When
// that has happened too often it goes to the dead letters; and those that were only near it do not.
//
// Other messages run beside the suspects as ever.

// ProbationQueue names the queue where messages of a queue wait that may have ended a worker.
func ProbationQueue(queue string) string { return queue + ".probation" }

const (
	// startsHeader counts the starts of a suspect.
	startsHeader = "taskgen-starts"
	// originHeader has the id of the message as it came first: the worker that has run it, or still does, knows it by that.
	originHeader = "taskgen-origin"
	// maxStarts is how often a suspect is started, besides the first time, when it was none.
	maxStarts = 5
	// proof is how long a suspect runs before the next one starts, if it has not ended. From the
	// lonelyStart-th start on it runs for longProof, and not beside other suspects: one of them
	// has ended a process more than once.
	proof       = time.Second
	longProof   = time.Minute
	lonelyStart = 3
	// countTimeout is how long a turn is kept at most for a suspect that was sent to be started; it may have gone to
	// another worker. A suspect that was near an end only once keeps its turn for some times as long as others took to come
	// back, and at least for minCountTimeout: after a crash of RabbitMQ all that waits in a classic queue is suspect.
	countTimeout    = 2 * time.Second
	minCountTimeout = 20 * time.Millisecond
	// probationPrefetch is how many messages of the queue of suspects are held, for each slot. Those that wait for their
	// turn, after several workers have ended, must leave room for those that are sent there to be started.
	probationPrefetch = 10
	// maxAttempts is how often a message may be delivered without being settled. RabbitMQ deletes it after 20
	// times by default; before that it is sent anew.
	maxAttempts = 10
)

// probation gives the suspects of a pool their turns.
type probation struct {
	slots int
	// count sends a suspect to be started; start starts it.
	count, start func(*request)

	mu   sync.Mutex
	line []*request
	// taken are the turns that are taken now, lonely that one of them wants no other beside it.
	taken  int
	lonely bool
	// counted are the turns of suspects on their way through the broker.
	counted map[suspect]*turn
	// proved is how many suspects have proved harmless.
	proved int
	// wayBack is about how long suspects take to come back.
	wayBack time.Duration
}

// suspect is what a message is known by on its way through the broker.
type suspect struct{ queue, id string }

func suspectOf(r *request) suspect { return suspect{r.message.Queue, r.id} }

// turn is the right of a suspect to run now.
type turn struct {
	lonely  bool
	claimed bool // by the suspect that has come back
	// replaced says that the message that came before is gone from the broker; back is the suspect
	// that waits for that.
	replaced bool
	back     *request
	over     bool
	sent     time.Time
	timer    *time.Timer
}

func newProbation(slots int, count, start func(*request)) *probation {
	return &probation{slots: slots, count: count, start: start, counted: map[suspect]*turn{}, wayBack: minCountTimeout}
}

// wants says whether the request must wait for its turn.
func (p *probation) wants(r *request) bool {
	return r.starts > 0 || r.suspect && !r.entry.spec.AckEarly
}

// isCounted says whether the request may start as it is: the message says which of its starts this is.
func (r *request) isCounted() bool { return r.starts > 0 && !r.suspect }

// nextStart is which of its starts the request's next one is.
func (r *request) nextStart() int {
	if r.isCounted() {
		return r.starts
	}
	return r.starts + 1
}

// put takes a suspect.
func (p *probation) put(r *request) {
	p.mu.Lock()
	if t := p.counted[suspectOf(r)]; t != nil && r.isCounted() {
		delete(p.counted, suspectOf(r))
		t.timer.Stop()
		t.claimed, r.turn = true, t
		p.wayBack = (3*p.wayBack + time.Since(t.sent)) / 4
		if t.replaced {
			p.mu.Unlock()
			p.start(r)
			return
		}
		t.back = r
		p.mu.Unlock()
		return
	}
	p.line = append(p.line, r)
	p.advance()
}

// advance gives the next turns. The caller holds p.mu, and does not any more.
func (p *probation) advance() {
	var start, count []*request
	for len(p.line) > 0 && p.free(p.line[0]) {
		r := p.line[0]
		p.line = p.line[1:]
		r.turn = &turn{lonely: r.nextStart() >= lonelyStart}
		p.taken++
		p.lonely = r.turn.lonely
		if r.isCounted() {
			start = append(start, r)
		} else {
			count = append(count, r)
		}
	}
	p.mu.Unlock()
	for _, r := range start {
		p.start(r)
	}
	for _, r := range count {
		p.count(r)
	}
}

// free says whether a suspect may have its turn now: one at a time at first, more when some have proved harmless.
func (p *probation) free(r *request) bool {
	if r.nextStart() >= lonelyStart || p.lonely {
		return p.taken == 0
	}
	return p.taken < min(1+p.proved, p.slots)
}

// sends keeps the turn of a suspect that is about to be sent to be started.
func (p *probation) sends(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := countTimeout
	if r.nextStart() == 1 {
		wait = min(max(4*p.wayBack, minCountTimeout), countTimeout)
	}
	r.turn.sent = time.Now()
	r.turn.timer = time.AfterFunc(wait, func() { p.unsent(r) })
	p.counted[suspectOf(r)] = r.turn
}

// sent starts a suspect that has come back, now that there is only one message of it: two would be started twice
// as often. ok says that it was surely sent.
func (p *probation) sent(r *request, ok bool) {
	p.mu.Lock()
	r.turn.replaced = true
	back := r.turn.back
	p.mu.Unlock()
	switch {
	case back != nil:
		p.start(back)
	case !ok:
		p.unsent(r)
	}
}

// unsent ends the turn of a suspect that has not come back.
func (p *probation) unsent(r *request) {
	p.mu.Lock()
	if r.turn.claimed {
		p.mu.Unlock() // it has
		return
	}
	if p.counted[suspectOf(r)] == r.turn {
		delete(p.counted, suspectOf(r))
	}
	p.end(r.turn, false)
}

// running takes note that a request has begun to run, if it is a suspect.
func (p *probation) running(r *request) {
	if r.turn == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := proof
	if r.turn.lonely {
		wait = longProof
	}
	r.turn.timer = time.AfterFunc(wait, func() { p.done(r, true) })
}

// done ends the turn of a request, if it is a suspect. harmless says that it has run, or runs for long.
func (p *probation) done(r *request, harmless bool) {
	if r.turn == nil {
		return
	}
	p.mu.Lock()
	p.end(r.turn, harmless)
}

// end ends a turn. The caller holds p.mu, and does not any more.
func (p *probation) end(t *turn, harmless bool) {
	if t.over {
		p.mu.Unlock()
		return
	}
	t.over = true
	if t.timer != nil {
		t.timer.Stop()
	}
	p.taken--
	p.lonely = p.lonely && p.taken > 0
	if harmless {
		p.proved++
	}
	p.advance()
}

// onProbation copies the message of a request for the queue of suspects.
func onProbation(r *request, starts int) *Message {
	next := later(r.message)
	next.Queue = ProbationQueue(r.message.Queue)
	if starts > 0 {
		next.Headers[startsHeader] = int32(starts)
	}
	if r.origin != "" {
		next.Headers[originHeader] = r.origin
	}
	return next
}

// crashed is why a suspect is not started again.
func crashed(r *request) *rejection {
	return reject(ReasonCrash, "WorkerLostError", "billiard.exceptions",
		fmt.Errorf("the worker process ended while the task ran, %d times in a row: it calls os.Exit, is killed for its memory, or ends in a fatal error of the Go runtime; see the worker's standard error", r.starts+1))
}
