package rabbitmq

import (
	"context"
	"errors"
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
	// refusalStands is how long a refused login answers further calls without a try.
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
	for {
		if err := d.send(ctx, p); err != nil {
			return err
		}
		if again, err := d.wait(ctx); !again {
			return err
		}
	}
}

// publishMany sends a batch, each message before the one before it is
// confirmed. It returns nil if all went well, or else one error or nil for
// each. A nil message is left out.
func (p *publisher) publishMany(ctx context.Context, ms []*publishing) []error {
	errs, failed := make([]error, len(ms)), false
	batch := make([]*dispatch, len(ms))
	for i, m := range ms {
		if m != nil {
			batch[i] = &dispatch{publishing: m}
		}
	}
	for again := true; again; {
		again = false
		for i, round := range p.round(ctx, batch) {
			if batch[i] == nil {
				continue
			}
			if errs[i] = round.err; !round.again {
				batch[i] = nil
			}
			again = again || round.again
		}
	}
	for _, err := range errs {
		failed = failed || err != nil
	}
	if !failed {
		return nil
	}
	return errs
}

// outcome is how one try to send a message ended.
type outcome struct {
	again bool
	err   error
}

// round sends each message of a batch once. Messages that need another try are
// left to the next round, when this one holds nothing of the window any more: waiting
// for a place in it while holding some could be for ever.
func (p *publisher) round(ctx context.Context, batch []*dispatch) []outcome {
	outcomes := make([]outcome, len(batch))
	sent := make([]*dispatch, len(batch))
	oldest := 0
	settle := func() {
		if d := sent[oldest]; d != nil {
			outcomes[oldest].again, outcomes[oldest].err = d.wait(ctx)
		}
		oldest++
	}
	for i, d := range batch {
		if d == nil {
			continue
		}
		for oldest < i && !d.tryReserve(p) {
			settle()
		}
		if err := d.send(ctx, p); err != nil {
			outcomes[i].err = err
			continue
		}
		sent[i] = d
	}
	for oldest < len(batch) {
		settle()
	}
	return outcomes
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
		t := topology{connection: s.connection}
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

// dispatch is one message on its way, over as many sessions as it takes.
type dispatch struct {
	*publishing
	reserved  int64 // of the window
	publisher *publisher
	channel   *publishChannel
	confirm   *amqp.DeferredConfirmation
	sent      time.Time
	// uncertain says that an earlier try got no answer: the message may be queued.
	uncertain bool
	broken    int  // channels in a row that the broker closed under this message
	redrawn   bool // the topology was declared anew because the message was not taken
}

func (d *dispatch) tryReserve(p *publisher) bool {
	if d.reserved == 0 && p.window.TryAcquire(d.weight()) {
		d.reserved, d.publisher = d.weight(), p
	}
	return d.reserved > 0
}

func (d *dispatch) reserve(ctx context.Context, p *publisher) error {
	if d.tryReserve(p) {
		return nil
	}
	if err := p.window.Acquire(ctx, d.weight()); err != nil {
		return err
	}
	d.reserved, d.publisher = d.weight(), p
	return nil
}

func (d *dispatch) release() {
	if d.reserved > 0 {
		d.publisher.window.Release(d.reserved)
		d.reserved = 0
	}
}

// weight is the message's part of the window, which bounds bytes and, by this minimum, messages.
func (d *dispatch) weight() int64 {
	return min(max(d.size(), windowBytes/windowMessages), windowBytes)
}

// send puts the message on the wire, waiting for a connection, its topology, an alarm and the
// window as long as ctx lasts. After an error nothing is reserved.
func (d *dispatch) send(ctx context.Context, p *publisher) error {
	err := d.trySend(ctx, p)
	if err != nil {
		d.release()
		return d.failed(err)
	}
	return nil
}

func (d *dispatch) trySend(ctx context.Context, p *publisher) error {
	d.publisher = p
	for {
		s, err := p.connected(ctx)
		if err != nil {
			return err
		}
		err = d.sendOver(ctx, s)
		if err == nil || ctx.Err() != nil || !lost(err) {
			return err
		}
		// The session or the channel ended on the way: the next one is another chance.
		select {
		case <-s.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(firstBackoff):
		}
	}
}

func (d *dispatch) sendOver(ctx context.Context, s *publishSession) error {
	d.aimIfDelayed()
	if err := s.ready(ctx, d.publishing); err != nil {
		return err
	}
	if err := d.reserve(ctx, d.publisher); err != nil {
		return s.explain(err)
	}
	d.aimIfDelayed() // to create the ladder, or to wait, took its time
	var err error
	if d.channel, err = s.channel(ctx, d.exchange); err != nil {
		return err
	}
	d.sent = time.Now()
	d.properties.MessageId = d.publisher.messageID()
	// The write goes to a buffer: it never blocks, and if it fails the message is not on its way.
	d.confirm, err = d.channel.PublishWithDeferredConfirm(d.exchange, d.key, d.Mandatory, false, d.properties)
	if err != nil {
		s.forgetChannel(d.channel)
	}
	return err
}

func (d *dispatch) aimIfDelayed() {
	if d.delayed {
		d.aim(time.Now())
	}
}

// wait waits for the answer to the last send. again says that there is none to be had, and that
// the message is to be sent once more.
func (d *dispatch) wait(ctx context.Context) (again bool, err error) {
	select {
	case <-d.confirm.Done():
	case <-ctx.Done():
		select {
		case <-d.confirm.Done():
		default:
			go d.abandon()
			d.uncertain = true
			return false, d.failed(d.channel.session.explain(context.Cause(ctx)))
		}
	}
	returned := d.Mandatory && d.channel.returned(d.properties.MessageId)
	d.release()
	switch {
	case d.confirm.Acked() && !returned:
		return false, nil
	case returned:
		return d.notTaken(task.ErrUnroutable)
	case !d.channel.IsClosed():
		return d.notTaken(errors.New("the broker refused it (basic.nack): the queue is full, or the broker has failed to store it"))
	}
	d.uncertain = true
	cause := d.channel.cause()
	d.channel.session.forgetChannel(d.channel)
	if d.publisher.ctx.Err() != nil {
		return false, d.failed(context.Cause(d.publisher.ctx))
	}
	// The first time, an exchange or queue may have been deleted, and is now declared anew.
	if d.channel.session.alive() {
		if d.broken++; d.broken > 1 {
			return false, d.failed(cause)
		}
		d.channel.session.forget(d.publishing, d.sent)
	}
	return true, nil
}

// notTaken handles a message that the broker has surely not queued: perhaps its
// queue was deleted after it was declared here, which is worth one more try.
func (d *dispatch) notTaken(err error) (again bool, _ error) {
	if d.Queue == "" || d.redrawn {
		return false, d.failed(err)
	}
	d.redrawn = true
	d.channel.session.forget(d.publishing, d.sent)
	return true, nil
}

// abandon lets go of a message whose caller has left, when its answer comes or its channel ends. There
// are never more of these than the window has places.
func (d *dispatch) abandon() {
	<-d.confirm.Done()
	d.channel.returned(d.properties.MessageId)
	d.release()
}

// failed names the message, and says if it may be queued all the same.
func (d *dispatch) failed(err error) error {
	err = d.wrap(err)
	if d.uncertain {
		return &task.UnconfirmedError{ID: d.ID, Cause: err}
	}
	return err
}
