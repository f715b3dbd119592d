package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// WorkerConfig says how a worker works. The zero value is good.
type WorkerConfig struct {
	// Name is the node name, unique in the fleet: "worker@<host>" by default.
	Name string
	// Queues to consume from. By default all that the registered tasks are sent to.
	Queues []QueueConfig
	// Concurrency is how many tasks run at a time, over all queues that have no
	// concurrency of their own. 10 by default.
	Concurrency int
	// Prefetch is how many messages of a queue the worker holds unsettled, at
	// least its concurrency. By default 4 times that, and 256 while the tasks of the queue are short: when as many as are held keep the
	// slots busy for 25 ms at most.
	Prefetch int
	// Accept names the serializers of messages that may be run. By default
	// msgpack, json, and what the registered tasks use.
	Accept []string
	// DefaultRateLimit is for tasks without one. 0: no limit.
	DefaultRateLimit Rate
	// RateLimits are for tasks by name, instead of their own ones.
	RateLimits map[string]Rate
	// TrackStarted stores the state STARTED when a run begins, for every task: a
	// result more for each, before the run. Off by default.
	TrackStarted bool
	// Hooks are called after those of each task.
	Hooks []Hooks
	// Drain is how long running tasks may go on after Run's context has ended. 25 s
	// by default, to fit into the 30 s that Kubernetes gives.
	Drain time.Duration
	// ResultTTL is how long results are kept where the broker stores them. 1 day by default.
	ResultTTL time.Duration
	// MaxBody bounds a message body on the wire, MaxDecompressed after
	// decompression, in bytes. 16 MiB and 64 MiB by default.
	MaxBody, MaxDecompressed int
	// MaxResult bounds the message of a result, in bytes: a task with a larger one fails. 16 MiB by default.
	MaxResult int
	// Logger takes the worker's log and that of the tasks. slog.Default() by default.
	Logger *slog.Logger
	// WaitForLogin has a worker go on trying that the broker refuses when it starts: for a user or a permission that
	// comes later. Otherwise Run ends with the cause.
	WaitForLogin bool
	// MaxStuck is how many tasks may be stuck before the worker is not live any more; see [Worker.Live].
	// 0: any number, as long as every queue has slots left.
	MaxStuck int
	// StateFile is where the ids of revoked tasks are kept over a restart. "": nowhere.
	StateFile string
	// LogFile and LogLevel are what tasks see in their [Info].
	LogFile  string
	LogLevel slog.Level
}

// QueueConfig is one queue that a worker consumes from.
type QueueConfig struct {
	Name string
	// Concurrency gives the queue slots of its own. 0: it shares the worker's.
	Concurrency int
	// Prefetch as in WorkerConfig. 0: that one.
	Prefetch int
	// Bindings lead messages to the queue, besides those of the tasks whose own queue it is.
	Bindings []Binding
}

// Defaults of a [WorkerConfig].
const (
	DefaultConcurrency = 10
	DefaultDrain       = 25 * time.Second
	// cancelGrace is what cancelled tasks get to return.
	cancelGrace = 3 * time.Second
	// maxLocalWait is the longest wait for an ETA that is not handed to the broker.
	maxLocalWait = 5 * time.Second
	// settleTimeout bounds the wait for a broker that does not answer.
	settleTimeout = 30 * time.Second
	// orphanPatience is how long after a lost connection, when there is a session again, a running task waits for
	// its message; readyInterval how often the worker looks whether there is.
	orphanPatience = 5 * time.Second
	readyInterval  = 100 * time.Millisecond
	// settleInSlot is how long a task must have run for its slot to wait until it is settled. So the process that is
	// killed has no more such tasks to start again than it has slots. A shorter one would wait for longer than it
	// ran: its slot takes the next one, up to the prefetch.
	settleInSlot = 20 * time.Millisecond
	// settleRetryDelay keeps a message whose outcome the broker refuses from spinning.
	settleRetryDelay = time.Second
)

// Worker runs the tasks of a registry. Make it with [NewWorker].
type Worker struct {
	transport Transport
	config    WorkerConfig
	executor  *executor
	pools     []*pool
	shared    *pool // of queues without slots of their own
	lanes     *lanes
	limits    *limits
	held      *holding
	copies    *copies
	probation *probation
	// revocations are the tasks that are not to run.
	revocations *revocations
	state       *stateFile // nil: they are not kept
	logger      *slog.Logger
	statistics  *statistics
	slots       *slots
	watchdog    *watchdog
	login       *login
	claims      ClaimStore // for tasks that are to run once

	started  chan struct{} // closed once consumer is set
	consumer Consumer
	acksLate bool // the consumer is a LateAcker
	// told ends Run; tell tells it to.
	told context.Context
	tell context.CancelFunc
}

// NewWorker makes a worker for the tasks of r. It fails if the registry or the
// config has mistakes; the broker is not asked before Run.
func NewWorker(t Transport, r *Registry, config WorkerConfig) (*Worker, error) {
	if err := r.Err(); err != nil {
		return nil, err
	}
	if err := config.complete(r); err != nil {
		return nil, err
	}
	accept, err := contentTypes(config.Accept)
	if err != nil {
		return nil, err
	}
	claims, err := claimStore(t, r)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		transport:  t,
		claims:     claims,
		config:     config,
		logger:     config.Logger,
		held:       newHolding(),
		copies:     newCopies(),
		lanes:      newLanes(),
		statistics: newStatistics(config.Logger, r),
		slots:      newSlots(),
		watchdog:   &watchdog{logger: config.Logger},
		login:      newLogin(config.WaitForLogin, config.Logger),
		started:    make(chan struct{}),
	}
	w.told, w.tell = context.WithCancel(context.Background())
	w.revocations = newRevocations(time.Now)
	if config.StateFile != "" {
		if w.state, err = openStateFile(config.StateFile, w.revocations); err != nil {
			return nil, err
		}
	}
	w.executor = &executor{
		registry: r, client: NewClient(t, ClientConfig{Origin: config.Name}), accept: accept,
		maxBody: config.MaxBody, maxDecompressed: int64(config.MaxDecompressed), maxResult: config.MaxResult, resultTTL: config.ResultTTL,
		now: time.Now, name: config.Name, logger: config.Logger, logFile: config.LogFile, logLevel: config.LogLevel,
		trackStarted: config.TrackStarted, hooks: config.Hooks, stats: w.Stats, revocations: w.revocations,
	}
	if s := StoreOf(t); s != nil {
		w.executor.answers = s.Serializer()
	}
	w.makePools()
	slots := 0
	for _, p := range w.pools {
		slots += p.size()
	}
	w.probation = newProbation(slots, w.count, func(r *request) { w.lanes.of(r.message.Queue).pool.putFirst(r) })
	w.limits = newLimits(config.DefaultRateLimit, w.lanes.prefetch, w.start, w.postpone)
	for name, rate := range config.RateLimits {
		if err := w.SetRateLimit(name, rate); err != nil {
			return nil, fmt.Errorf("task.WorkerConfig.RateLimits: %w", err)
		}
	}
	return w, nil
}

// complete fills in the defaults.
func (c *WorkerConfig) complete(r *Registry) error {
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		c.Name = "worker@" + host
	}
	if c.Concurrency < 0 || c.Prefetch < 0 || c.Drain < 0 || c.MaxStuck < 0 || c.DefaultRateLimit < 0 || c.MaxBody < 0 || c.MaxDecompressed < 0 || c.MaxResult < 0 {
		return errors.New("task.WorkerConfig: no number may be negative")
	}
	c.Concurrency = cmp.Or(c.Concurrency, DefaultConcurrency)
	c.Drain = cmp.Or(c.Drain, DefaultDrain)
	c.MaxBody = cmp.Or(c.MaxBody, DefaultMaxBody)
	c.MaxDecompressed = cmp.Or(c.MaxDecompressed, DefaultMaxDecompressed)
	c.MaxResult = cmp.Or(c.MaxResult, DefaultMaxResult)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = slog.New(calmHandler{c.Logger.Handler()})
	c.Queues = slices.Clone(c.Queues)
	if len(c.Queues) == 0 {
		for _, name := range r.Queues() {
			c.Queues = append(c.Queues, QueueConfig{Name: name})
		}
		if len(c.Queues) == 0 {
			c.Queues = []QueueConfig{{Name: DefaultQueue}}
		}
	}
	seen := map[string]bool{}
	for _, q := range c.Queues {
		if err := checkQueueName(q.Name); err != nil {
			return fmt.Errorf("task.WorkerConfig: %w", err)
		}
		if q.Concurrency < 0 || q.Prefetch < 0 {
			return fmt.Errorf("task.WorkerConfig: queue %q: no number may be negative", q.Name)
		}
		for _, b := range q.Bindings {
			if err := r.checkExchange(b, "the binding of queue "+q.Name); err != nil {
				return fmt.Errorf("task.WorkerConfig: %w", err)
			}
		}
		if seen[q.Name] {
			return fmt.Errorf("task.WorkerConfig: queue %q is given twice", q.Name)
		}
		seen[q.Name] = true
	}
	if len(c.Accept) == 0 {
		c.Accept = []string{"msgpack", "json"}
		for _, e := range r.Entries() {
			if s := e.spec.serializer(); !slices.Contains(c.Accept, s) {
				c.Accept = append(c.Accept, s)
			}
		}
	}
	return nil
}

// contentTypes are those of the named serializers.
func contentTypes(names []string) ([]string, error) {
	var out []string
	for _, name := range names {
		s, ok := codec.ByName(name)
		if !ok {
			return nil, fmt.Errorf("task.WorkerConfig.Accept: serializer %q is not registered", name)
		}
		out = append(out, s.ContentType())
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (w *Worker) makePools() {
	w.shared = newPool(w.config.Concurrency)
	for i, q := range w.config.Queues {
		p := w.shared
		if q.Concurrency > 0 {
			p = newPool(q.Concurrency)
			w.pools = append(w.pools, p)
		}
		l := w.newLane(q, p)
		w.config.Queues[i].Prefetch = l.prefetch
		w.lanes.set(l)
	}
	if len(w.lanes.queuesOf(w.shared)) == 0 {
		w.shared.slots = 0 // until a queue is added
	}
	w.pools = append(w.pools, w.shared)
}

// newLane is a lane with the slots of p.
func (w *Worker) newLane(q QueueConfig, p *pool) *lane {
	slots, given := p.size(), cmp.Or(q.Prefetch, w.config.Prefetch)
	l := &lane{queue: q.Name, pool: p, prefetch: max(slots, cmp.Or(given, prefetchPerSlot*slots)), bindings: q.Bindings}
	l.pace = newPace(given > 0, l.prefetch)
	return l
}

// Config is the configuration with the defaults filled in.
func (w *Worker) Config() WorkerConfig { return w.config }

// SetRateLimit changes how often this worker starts a task. 0 or Unlimited: no limit.
func (w *Worker) SetRateLimit(name string, rate Rate) error {
	if _, ok := w.executor.registry.Lookup(name); !ok {
		return fmt.Errorf("task %q is not registered at this worker", name)
	}
	w.limits.set(name, rate)
	return nil
}

// RateLimit is how often this worker starts a task now; Unlimited if there is no limit.
func (w *Worker) RateLimit(name string) Rate {
	entry, ok := w.executor.registry.Lookup(name)
	if !ok {
		return Unlimited
	}
	return w.limits.current(entry)
}

// Ready says whether the worker is consuming from all of its queues now, and not draining.
func (w *Worker) Ready() bool {
	select {
	case <-w.started:
		return !w.held.isClosed() && w.consumer.Ready()
	default:
		return false
	}
}

// Run works until ctx ends, then drains: it takes no more messages, hands back
// those that have not started, lets the running tasks finish for Config.Drain, and
// then ends their contexts with [ErrDraining]. It returns nil if every running task
// has ended by then; the broker delivers the others again. It returns at once if the broker can be reached and refuses
// the worker, unless Config.WaitForLogin is set. Run can be called once.
func (w *Worker) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(w.told, stop)()
	tasks, cancelTasks := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelTasks(nil)
	consumer, err := w.transport.Consume(ConsumeConfig{
		Worker: w.config.Name, Subscriptions: w.Subscriptions(), Deliver: w.deliver, Refused: w.login.refuse, Lost: w.lose,
		ResultLost: func(m *Message, err error) { w.loseResult(m.Task, m.ID, err) }, Logger: w.logger,
	})
	if err != nil {
		return fmt.Errorf("worker %s: %w", w.config.Name, err)
	}
	w.consumer = consumer
	_, w.acksLate = consumer.(LateAcker)
	close(w.started)
	w.warnOfStrangers()
	for _, p := range w.pools {
		p.open(func() { go w.slot(tasks, p) })
	}
	go w.watchdog.watch(tasks)
	go w.adaptPrefetches(ctx)
	if w.state != nil {
		defer w.state.keep(w.logger)()
	}
	err = errors.Join(w.login.await(ctx), w.drain(cancelTasks))
	for _, p := range w.pools {
		p.close()
	}
	return errors.Join(err, consumer.Close())
}

// warnOfStrangers tells of queues to which no registered task is sent: perhaps a slip of the pen. A queue with
// bindings is meant, and where the queue differs from call to call nobody can tell.
func (w *Worker) warnOfStrangers() {
	entries := w.executor.registry.Entries()
	if slices.ContainsFunc(entries, func(e *Entry) bool { return perCall(e.Queue()) }) {
		return
	}
	used := w.executor.registry.Queues()
	for _, q := range w.config.Queues {
		if !slices.Contains(used, q.Name) && len(q.Bindings) == 0 {
			w.logger.Warn("no registered task has this queue; consuming from it all the same", "queue", q.Name, "queues of the tasks", strings.Join(used, ","))
		}
	}
}

// Subscriptions are the queues that Run consumes, and what leads to them.
func (w *Worker) Subscriptions() []Subscription {
	var out []Subscription
	for _, q := range w.config.Queues {
		lane := w.lanes.of(q.Name)
		out = append(out, w.subscriptionsOf(lane)...)
		if w.offersSlots(q.Name) {
			out = append(out, w.slots.subscriptions(q.Name, lane.prefetch)...)
		}
	}
	return out
}

// subscriptionsOf are those of a queue and of its suspects.
func (w *Worker) subscriptionsOf(l *lane) []Subscription {
	s := Subscription{Queue: l.queue, Prefetch: l.prefetch, Bindings: slices.Clone(l.bindings)}
	for _, e := range w.executor.registry.Entries() {
		if e.Queue() != l.queue {
			continue
		}
		s.Prioritized = s.Prioritized || e.spec.Priority != nil
		s.Longest = longest(s.Longest, e.spec.Timeout)
		if b, ok := e.spec.binding(); ok && !slices.Contains(s.Bindings, b) {
			s.Bindings = append(s.Bindings, b)
		}
	}
	s.Longest = max(s.Longest, 0)
	return []Subscription{s, {Queue: ProbationQueue(l.queue), Prefetch: probationPrefetch * l.pool.size(), Longest: s.Longest}}
}

// longest is the longer of two time limits; one that there is not is -1, and longer than any.
func longest(a, b time.Duration) time.Duration {
	if a < 0 || b == 0 {
		return -1
	}
	return max(a, b)
}

// deliver takes one delivery from the transport, and never waits.
func (w *Worker) deliver(d *Delivery) {
	<-w.started
	if queue, ok := w.slots.asked[d.Message.Queue]; ok {
		w.asked(d, queue)
		return
	}
	if queue, ok := w.slots.own[d.Message.Queue]; ok {
		d.Message.Queue = queue
	}
	queue, onProbation := w.lanes.suspectsOf(d.Message.Queue)
	if onProbation {
		d.Message.Queue = queue
	}
	r, rejected := w.executor.read(d)
	if !onProbation {
		r.starts, r.origin = 0, "" // it has been parked, and sent again
	}
	switch what, outcome := w.copies.meet(r); what {
	case adopted:
		return
	case surplus, ended:
		w.logger.Info("a second copy of a task is not run", "task", r.name, "id", r.id, "queue", d.Message.Queue)
		go w.settleCopy(r, what, outcome)
		return
	}
	r.suspect = r.suspect && !w.copies.neverStarted(r)
	if rejected == nil && r.suspect && r.starts >= maxStarts {
		rejected = crashed(r)
	}
	if rejected != nil {
		w.logger.Error("message can't be run, parked", "queue", d.Message.Queue, "task", r.name, "id", r.id, "reason", rejected.reason, "error", safeText(rejected.err))
		w.executor.stages.tell(r, Failure, rejected)
		go func() { w.settle(r, w.executor.rejected(r, rejected)) }()
		return
	}
	if w.revocations.has(r) {
		w.logger.Info("task was revoked, not run", "task", r.name, "id", r.id)
		w.executor.stages.tell(r, Revoked, nil)
		go func() { w.settle(r, w.executor.revoked(r, "revoked")) }()
		return
	}
	if !w.held.add(r) {
		go w.release(r, Outcome{Requeue: true})
		return
	}
	w.executor.stages.tell(r, Received, nil)
	if d.Attempts >= maxAttempts {
		w.refresh(r)
		return
	}
	if w.slots.give(r) {
		return
	}
	wait := r.eta.Sub(w.executor.now())
	switch {
	case r.eta.IsZero() || wait <= 0:
		w.limits.admit(r)
	case wait <= maxLocalWait:
		time.AfterFunc(wait, func() { w.limits.admit(r) })
	default:
		w.postpone(r, r.eta)
	}
}

// start puts a request in line for a slot.
func (w *Worker) start(r *request) {
	if w.probation.wants(r) {
		w.probation.put(r)
		return
	}
	w.lanes.of(r.message.Queue).pool.put(r)
}

// refresh sends a message anew that was delivered again and again, before the broker has had enough of it.
func (w *Worker) refresh(r *request) {
	if w.held.take(r) {
		go func() {
			defer w.held.done()
			w.release(r, Outcome{Publish: []*Message{onProbation(r, r.starts)}})
		}()
	}
}

// count sends a suspect to be started; see probation.
func (w *Worker) count(r *request) {
	r.moves = true
	w.probation.sends(r)
	if w.copies.drop(r) || !w.held.take(r) {
		w.probation.unsent(r)
		return
	}
	go func() {
		defer w.held.done()
		w.probation.sent(r, w.settle(r, Outcome{Publish: []*Message{onProbation(r, r.nextStart())}}))
	}()
}

// slot runs one task after the other.
func (w *Worker) slot(ctx context.Context, p *pool) {
	ctx = w.watchdog.slot(ctx, p)
	runs, cancel := context.WithCancel(ctx) // its own, for slots not to get in each other's way
	defer cancel()
	closed := false
	defer func() {
		if !closed { // a task has ended the goroutine
			go w.slot(ctx, p)
		}
	}()
	bell := newBell()
	for r := p.next(bell); r != nil; r = p.next(bell) {
		if r.question != nil {
			w.answer(runs, r)
			continue
		}
		w.run(runs, r)
	}
	closed = true
	w.watchdog.leave(ctx)
}

// postpone has the broker hold the request until t.
func (w *Worker) postpone(r *request, t time.Time) {
	if !w.held.take(r) {
		return
	}
	next := later(r.message)
	next.ETA = t
	go func() {
		defer w.held.done()
		w.release(r, Outcome{Publish: []*Message{next}})
	}()
}

// run runs a request in a slot.
func (w *Worker) run(ctx context.Context, r *request) {
	if !w.held.take(r) {
		w.probation.done(r, false)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !w.copies.begin(r, cancel) {
		w.drop(r)
		return
	}
	if outcome, expired := w.executor.expired(r); expired {
		w.logger.Warn("task expired before it ran", "task", r.name, "id", r.id, "expires", r.expires)
		w.executor.stages.tell(r, Revoked, errExpired)
		go w.conclude(r, outcome, false)
		return
	}
	if w.revocations.has(r) {
		w.logger.Info("task was revoked, not run", "task", r.name, "id", r.id)
		go w.concludeRevoked(r)
		return
	}
	if r.entry.spec.Once && !w.once(ctx, r) {
		return
	}
	early := r.entry.spec.AckEarly
	if early && !w.settleEarly(r) {
		w.unclaim(r.claim)
		w.drop(r)
		return
	}
	w.probation.running(r)
	start := time.Now()
	w.executor.execute(ctx, r, func(outcome Outcome) {
		busy := time.Since(start)
		w.countEnd(w.lanes.of(r.message.Queue), busy)
		r.overhead = busy - r.took
		// A suspect too: until it is settled, the end of the process would be taken for its doing.
		if r.turn != nil || r.took >= settleInSlot {
			w.conclude(r, outcome, early)
			return
		}
		outcome.Late = true
		if w.acksSoon(&outcome) && !early && r.claim == nil {
			w.conclude(r, outcome, early) // a goroutine costs more
			return
		}
		go w.conclude(r, outcome, early)
	})
}

// acksSoon says whether there is nothing to wait for in carrying out an outcome.
func (w *Worker) acksSoon(o *Outcome) bool { return w.acksLate && o.Late && o.isAck() }

// drop lets go of a request that was taken and does not run.
func (w *Worker) drop(r *request) {
	w.probation.done(r, false)
	w.held.done()
}

// conclude carries an outcome out and counts the request as done.
func (w *Worker) conclude(r *request, outcome Outcome, acked bool) {
	defer w.held.done()
	// Not before the outcome is with the broker: the next suspect may end the process at once.
	defer w.probation.done(r, true)
	if acked || !w.acksSoon(&outcome) {
		w.statistics.settles()
		defer w.statistics.settled()
	}
	defer w.statistics.count(r)
	if outcome.Requeue || r.ended == Retried {
		w.unclaim(r.claim) // the next run may begin before this one is settled
	} else {
		defer w.unclaim(r.claim) // or a copy could begin before the result is stored
	}
	if outcome.Requeue {
		if r.starts > 0 { // or it would come again as one that has ended its process
			outcome = Outcome{Publish: []*Message{onProbation(r, r.starts-1)}}
		}
		w.release(r, outcome)
		return
	}
	if !acked {
		w.settle(r, outcome)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	for _, m := range outcome.Publish {
		if err := w.transport.Publish(ctx, m); err != nil {
			w.logger.Error("what follows an early-acked task is lost", "task", r.name, "id", r.id, "lost", m.Task, "lost id", m.ID, "error", err)
		}
	}
	for _, result := range append(outcome.Others, outcome.Result) {
		if result == nil {
			continue
		}
		if err := w.transport.StoreResult(ctx, result); err != nil {
			w.loseResult(r.name, result.ID, err)
		}
	}
	w.forgetChords(outcome.chords)
}

// settle ends a request. If its session has ended, the next delivery of its message ends so; if the broker
// refuses the outcome, the message goes back to its queue: work may be repeated, but is not lost.
func (w *Worker) settle(r *request, outcome Outcome) bool {
	for {
		d := r.newest()
		err := w.trySettle(d, outcome)
		switch {
		case err == nil:
			w.endCopies(r, d)
			return true
		case !isGone(err):
			w.refused(r, w.copies.leave(r), err)
			return false
		case w.copies.keep(r, d, outcome):
			w.logger.Warn("the connection was lost before the task was settled: that is done when the broker delivers it again", "task", r.name, "id", r.id)
			return false
		}
	}
}

// settleEarly ends a request that is about to run, and says whether it may.
func (w *Worker) settleEarly(r *request) bool {
	d := r.newest()
	if err := w.trySettle(d, Outcome{Early: true}); err != nil {
		w.logger.Warn("the task can't be acked before it runs: the broker delivers it again", "task", r.name, "id", r.id, "error", err)
		w.copies.leave(r)
		return false
	}
	w.endCopies(r, d)
	return true
}

// endCopies takes note that a request was settled by d.
func (w *Worker) endCopies(r *request, d *Delivery) {
	if newer := w.copies.end(r, d); newer != nil {
		_ = w.trySettle(newer, Outcome{}) // else it comes again, and is known
	}
}

// release gives a request back to the broker, in one form or another. It may be here again at once.
func (w *Worker) release(r *request, outcome Outcome) bool {
	d := w.copies.leave(r)
	err := w.trySettle(d, outcome)
	switch {
	case err == nil && !outcome.Requeue:
		w.copies.replaced(r)
	case err != nil && !isGone(err):
		w.refused(r, d, err)
	}
	return err == nil
}

// settleCopy ends a delivery whose request has ended, or goes on with another delivery.
func (w *Worker) settleCopy(r *request, what meeting, outcome Outcome) {
	err := w.trySettle(r.delivery, outcome)
	if err == nil {
		return
	}
	if what == ended {
		w.copies.keepAgain(r, outcome)
	}
	if !isGone(err) {
		w.refused(r, r.delivery, err)
	}
}

// refused gives a message back whose outcome the broker does not take.
func (w *Worker) refused(r *request, d *Delivery, err error) {
	w.logger.Error("the task can't be settled: it goes back to its queue", "task", r.name, "id", r.id, "queue", r.message.Queue, "error", err)
	time.Sleep(settleRetryDelay)
	if err := w.trySettle(d, Outcome{Requeue: true}); err != nil && !isGone(err) {
		w.logger.Error("the task can't be given back either", "task", r.name, "id", r.id, "error", err)
	}
}

func (w *Worker) trySettle(d *Delivery, outcome Outcome) error {
	ctx := context.Background()
	if !outcome.Late || !outcome.isAck() { // else there is nothing to wait for
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, settleTimeout)
		defer cancel()
	}
	err := w.consumer.Settle(ctx, d, outcome)
	if errors.Is(err, ErrResultLost) {
		w.loseResult(d.Message.Task, d.Message.ID, err)
		err = nil
	}
	if err == nil && len(outcome.chords) > 0 {
		w.forgetChords(outcome.chords)
	}
	return err
}

// loseResult tells of a result that can't be stored. The task has run, and is not run again for that.
func (w *Worker) loseResult(task, id string, err error) {
	w.statistics.lostResults.Add(1)
	w.logger.Error("the result of a task is lost", "task", task, "id", id, "error", err)
}

// isGone says that the broker has taken a delivery back.
func isGone(err error) bool { return errors.Is(err, ErrStale) || errors.Is(err, ErrClosed) }

// lose takes note that a session has ended. What had not started comes again.
func (w *Worker) lose(session uint64, cause error) {
	w.login.admit()
	w.copies.lose(session)
	if errors.Is(cause, ErrDeliveryTimeout) {
		return // the tasks that took too long may still be the first to end
	}
	go w.cancelOrphans(session)
}

// cancelOrphans cancels the tasks whose messages have not come back some time after there is a session again:
// another worker runs them.
func (w *Worker) cancelOrphans(session uint64) {
	<-w.started
	for back := time.Duration(0); back < orphanPatience; back += readyInterval {
		time.Sleep(readyInterval)
		if w.held.isClosed() {
			return
		}
		if !w.consumer.Ready() {
			back = 0
		}
	}
	for _, r := range w.copies.orphans(session) {
		w.logger.Warn("the connection was lost, and another worker has the task: cancelled here", "task", r.name, "id", r.id)
		r.cancel(ErrConnectionLost)
	}
}

// drain ends the work. See Run.
func (w *Worker) drain(cancelTasks context.CancelCauseFunc) error {
	// First of all nothing starts any more, whatever a slot or the broker is about to bring.
	unstarted, finished := w.held.close()
	if w.Refused() == nil { // else there never was anything to drain
		w.logger.Info("worker is draining", "worker", w.config.Name, "running", w.held.running(), "drain", w.config.Drain)
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	if err := w.consumer.Stop(ctx); err != nil {
		w.logger.Warn("consuming could not be stopped in order", "error", err)
	}
	var back sync.WaitGroup
	for _, r := range unstarted {
		back.Go(func() { w.release(r, Outcome{Requeue: true}) })
	}
	back.Wait()
	select {
	case <-finished:
		return nil
	case <-time.After(w.config.Drain):
	}
	w.logger.Warn("drain time is over: tasks are cancelled", "running", w.held.running())
	cancelTasks(ErrDraining)
	select {
	case <-finished:
		return nil
	case <-time.After(cancelGrace):
	}
	w.watchdog.abandon()
	return fmt.Errorf("worker %s: %d tasks still ran %s after they were told to stop: the broker delivers them again", w.config.Name, w.held.running(), cancelGrace)
}
