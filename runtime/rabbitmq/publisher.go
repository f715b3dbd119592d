package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"

	"github.com/taskgen/taskgen/runtime/task"
)

// publisher sends messages over one connection at a time. Calls don't wait
// for each other: each puts its message on the wire and waits for its own confirm.
type publisher struct {
	dialer *dialer
	name   string // of the connection
	prefix string // of message ids
	window *semaphore.Weighted
	ctx    context.Context // ends when the transport is closed
	cancel context.CancelCauseFunc

	sequence atomic.Uint64 // of message ids

	mu      sync.Mutex
	session *publishSession
	attempt *attempt // to connect, while there is one
	backoff backoff
	refusal struct { // the last refused login; it stands for a while
		err   error
		until time.Time
	}
}

const (
	// windowMessages and windowBytes bound what is on its way to the broker and not confirmed:
	// more is hardly faster, and this is also the bound of the connection's buffer.
	windowMessages = 1024
	windowBytes    = 64 << 20
	// refusalStands is how long a refused login or declaration answers further calls without a try.
	refusalStands = time.Second
)

func newPublisher(ctx context.Context, d *dialer, name, prefix string) *publisher {
	p := &publisher{dialer: d, name: name, prefix: prefix + "-", window: semaphore.NewWeighted(windowBytes)}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	return p
}

// publish returns nil once the broker has taken responsibility for the
// message. It connects and sends as often as ctx allows.
func (p *publisher) publish(ctx context.Context, m *publishing) error {
	d := &dispatch{publishing: m}
	if err := d.send(ctx, p); err != nil {
		return err
	}
	return d.confirmed(ctx)
}

// publishMany sends n messages, each before the one before it is confirmed. message makes the i-th when its turn comes,
// so that only those on their way are in memory. It returns nil if all went well, or else one error or nil for each.
func (p *publisher) publishMany(ctx context.Context, n int, message func(i int) (*publishing, error)) []error {
	b := &batch{publisher: p, size: n}
	next := 0
	again := b.round(ctx, func() (batched, bool) {
		for next < n {
			i := next
			next++
			m, err := message(i)
			if err == nil {
				return batched{&dispatch{publishing: m}, i}, true
			}
			b.fail(i, err)
		}
		return batched{}, false
	})
	for len(again) > 0 {
		todo := again
		again = b.round(ctx, func() (next batched, ok bool) {
			if len(todo) == 0 {
				return batched{}, false
			}
			next, todo = todo[0], todo[1:]
			return next, true
		})
	}
	return b.errs
}

// batch is what publishMany sends.
type batch struct {
	publisher *publisher
	size      int
	errs      []error // nil: none
}

// batched is a message of a batch, and which it is.
type batched struct {
	*dispatch
	i int
}

func (b *batch) fail(i int, err error) {
	if b.errs == nil {
		b.errs = make([]error, b.size)
	}
	b.errs[i] = err
}

// round sends each message once, and returns those that need another try. They are
// left to the next round, when this one holds nothing of the window any more: waiting
// for a place in it while holding some could be for ever.
func (b *batch) round(ctx context.Context, next func() (batched, bool)) (again []batched) {
	var sent []batched
	settle := func() {
		oldest := sent[0]
		sent[0] = batched{}
		sent = sent[1:]
		switch retry, err := oldest.wait(ctx); {
		case retry:
			again = append(again, oldest)
		case err != nil:
			b.fail(oldest.i, err)
		}
	}
	for m, ok := next(); ok; m, ok = next() {
		for len(sent) > 0 && !m.tryReserve(b.publisher) {
			settle()
		}
		if err := m.send(ctx, b.publisher); err != nil {
			b.fail(m.i, err)
			continue
		}
		sent = append(sent, m)
	}
	for len(sent) > 0 {
		settle()
	}
	return again
}

// messageID is unique to one publish: returned messages are told apart by it.
func (p *publisher) messageID() string {
	return p.prefix + strconv.FormatUint(p.sequence.Add(1), 36)
}

// attempt is a try to connect that runs beside those who wait for it.
type attempt struct {
	done    chan struct{} // closed when session or err is set
	session *publishSession
	err     error
	waiters int   // under publisher.mu
	last    error // why there is no session yet; under publisher.mu
}

// connected returns a live session. It connects if there is none, for as long as ctx lasts.
func (p *publisher) connected(ctx context.Context) (*publishSession, error) {
	p.mu.Lock()
	if s := p.session; s != nil && s.alive() {
		p.mu.Unlock()
		return s, nil
	}
	if p.refusal.err != nil && time.Now().Before(p.refusal.until) {
		defer p.mu.Unlock()
		return nil, p.refusal.err
	}
	if p.ctx.Err() != nil {
		p.mu.Unlock()
		return nil, context.Cause(p.ctx)
	}
	a := p.attempt
	if a == nil {
		a = &attempt{done: make(chan struct{})}
		p.attempt = a
		go p.connect(a, p.session)
	}
	a.waiters++
	p.mu.Unlock()

	select {
	case <-a.done:
		return a.session, a.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a.waiters--
	if a.last != nil {
		return nil, fmt.Errorf("%w: %w", context.Cause(ctx), a.last)
	}
	return nil, fmt.Errorf("%w: still connecting to %s", context.Cause(ctx), p.dialer.address)
}

// connect dials until it has a session, the login is refused, the transport is
// closed, or nobody waits any more. before is the session that was lost, or nil.
func (p *publisher) connect(a *attempt, before *publishSession) {
	defer close(a.done)
	var refusals refusals
	switch {
	case before == nil:
	case time.Since(before.since) > healthy:
		p.backoff.reset()
	default:
		sleep(p.ctx, p.backoff.delay())
	}
	for {
		conn, err := p.dialer.dial(p.ctx, p.name)
		p.mu.Lock()
		refused := err != nil && refusals.refused(err)
		switch {
		case p.ctx.Err() != nil:
			a.err = context.Cause(p.ctx)
		case err == nil:
			a.session = newPublishSession(conn)
			p.session = a.session
		case refused:
			a.err = fmt.Errorf("rabbitmq: %w", err)
			p.refusal.err, p.refusal.until = a.err, time.Now().Add(refusalStands)
		case a.waiters == 0:
			a.err = fmt.Errorf("rabbitmq: %w", err)
		}
		over := a.err != nil || a.session != nil
		if over {
			p.attempt = nil
		}
		a.last = err
		p.mu.Unlock()
		if over {
			if a.session == nil && conn != nil {
				conn.shut()
			}
			return
		}
		sleep(p.ctx, p.backoff.delay())
	}
}

// purge empties a queue. One that is missing is empty.
func (p *publisher) purge(ctx context.Context, queue string) (int, error) {
	s, err := p.connected(ctx)
	if err != nil {
		return 0, err
	}
	type answer struct {
		n   int
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		t := newTopology(s.connection)
		defer t.close()
		var a answer
		a.err = t.try(func(ch *amqp.Channel) (err error) {
			a.n, err = ch.QueuePurge(queue, false)
			return err
		})
		answers <- a
	}()
	select {
	case a := <-answers:
		if code(a.err) == amqp.NotFound {
			return 0, nil
		}
		return a.n, a.err
	case <-ctx.Done():
		return 0, s.explain(context.Cause(ctx))
	}
}

// close ends the connection; what waits for a confirm is left unconfirmed.
func (p *publisher) close() {
	p.cancel(task.ErrClosed)
	p.mu.Lock()
	session, attempt := p.session, p.attempt
	p.mu.Unlock()
	if session != nil {
		session.shut()
	}
	if attempt != nil {
		<-attempt.done
	}
}
