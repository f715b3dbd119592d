// Package mail tells people by e-mail of tasks that have failed.
//
//	sender, err := mail.New(mail.Config{URL: "smtp://user:password@host:587", From: "tasks@example.com", To: []string{"ops@example.com"}})
//	…
//	defer sender.Close(ctx)
//	worker, err := task.NewWorker(t, registry, task.WorkerConfig{Hooks: []task.Hooks{sender.Hooks()}})
//
// A mail is sent when a task has failed for good, unless its directive disable_error_emails forbids. The same
// error of the same task is mailed once in 5 minutes, and then counted in one mail; docs/mail.md has the
// rules. Tasks never wait for the mail server.
package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Config says who is told, and through which server.
type Config struct {
	// URL of the mail server:
	//
	//	smtp://user:password@host:587    with STARTTLS, which must succeed
	//	smtps://user:password@host:465   with TLS from the start
	//
	// The port may be left out, and so may user and password. Options after a ?: cacertfile (PEM, instead of the system's
	// authorities), server_name_indication (the name in the certificate, if it isn't the host), and with smtp://
	// tls=none or tls=opportunistic, which allow a password on this machine only.
	URL string
	// From is the address that the mails come from.
	From string
	// To are those who get them. An entry may list several, separated by commas.
	To []string
	// Interval is the time in which an error is mailed once, and in which no more than 30 mails
	// are sent, 4 of them about one task. 5 minutes by default.
	Interval time.Duration
	// Logger is told of mails that can't be sent. slog.Default() by default.
	Logger *slog.Logger

	dial func(ctx context.Context, network, address string) (net.Conn, error) // of tests; nil: a net.Dialer's
}

const (
	defaultInterval = 5 * time.Minute
	// maxWaiting bounds the mails that wait for the server.
	maxWaiting = 100
	// maxAge is how old a mail may become while the server can't be reached.
	maxAge = time.Hour
	// firstPause and lastPause bound the wait between two attempts to reach the server.
	firstPause = time.Second
	lastPause  = time.Minute
)

// Sender sends the mails, in a goroutine of its own. Make it with [New].
type Sender struct {
	server   *server
	envelope envelope
	logger   *slog.Logger

	wake  chan struct{} // there may be something to do
	done  chan struct{} // the goroutine has ended
	abort context.CancelFunc

	mu       sync.Mutex
	throttle *throttle
	waiting  []*letter
	closed   bool
	problem  error // why the last attempt failed, nil if it did not
}

// New checks the config and returns a Sender that has to be closed. It does not talk to the server. No error
// quotes the password.
func New(c Config) (*Sender, error) {
	server, err := parseURL(c.URL)
	if err != nil {
		return nil, fmt.Errorf("URL of the mail server: %w", err)
	}
	if c.dial != nil {
		server.dial = c.dial
	}
	envelope, err := newEnvelope(c.From, c.To)
	if err != nil {
		return nil, err
	}
	if c.Interval < 0 {
		return nil, fmt.Errorf("mail.Config: the interval %s is negative", c.Interval)
	}
	s := &Sender{
		server: server, envelope: envelope, logger: c.Logger,
		throttle: newThrottle(cmp.Or(c.Interval, defaultInterval)),
		wake:     make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	ctx, abort := context.WithCancel(context.Background())
	s.abort = abort
	go s.run(ctx)
	return s, nil
}

// Hooks are those of a worker whose failed tasks are to be mailed, see [task.WorkerConfig].
func (s *Sender) Hooks() task.Hooks { return task.Hooks{OnFailure: s.failed} }

// Close sends what waits and what has only been counted, until ctx ends. An error says how
// much could not be sent. What fails later is not mailed.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.rouse()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
	s.abort()
	<-s.done
	unsent, _, _ := s.collect(time.Now())
	if len(unsent) == 0 {
		return nil
	}
	failures := 0
	for _, l := range unsent {
		failures += l.failures
	}
	problem := s.problem
	if problem == nil {
		problem = context.Cause(ctx)
	}
	return fmt.Errorf("%s about %s could not be sent to %s: %w", plural(len(unsent), "mail"), plural(failures, "failure"), s.server, problem)
}

// failed is the hook. It does not wait for anything but other hooks.
func (s *Sender) failed(_ context.Context, a *task.Attempt) {
	if a.Spec.DisableErrorEmails {
		return
	}
	f := newFailure(a, time.Now())
	s.mu.Lock()
	mail := !s.closed && s.throttle.admit(f)
	s.mu.Unlock()
	if !mail {
		return
	}
	l := report(f, a, s.throttle.interval)
	s.mu.Lock()
	s.post(l)
	s.mu.Unlock()
	s.rouse()
}

// post puts a mail in line. What it tells of is in the next digest if there are too many; there is
// none after the last one. s.mu is held.
func (s *Sender) post(l *letter) {
	if len(s.waiting) < maxWaiting || s.closed {
		s.waiting = append(s.waiting, l)
		return
	}
	s.throttle.lose(l, time.Now())
	s.logger.Error("too many mails wait for the mail server: one is dropped, and counted in the next digest", "subject", l.subject, "failures", l.failures)
}

func (s *Sender) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run sends mails and writes digests until the Sender is closed.
func (s *Sender) run(ctx context.Context) {
	defer close(s.done)
	var again pause
	closing := false
	for ctx.Err() == nil {
		letters, closed, next := s.collect(time.Now())
		if closed && !closing {
			closing, again = true, pause{}
		}
		if len(letters) == 0 && closing {
			return
		}
		if len(letters) > 0 {
			if now := time.Now(); !again.end.After(now) {
				s.send(ctx, letters, &again)
				continue
			}
			next = earlier(next, again.end)
		}
		s.sleep(ctx, next)
	}
}

// collect writes the digests that are due, and returns what waits, whether the Sender is closed, and when to
// look again: the zero time is never.
func (s *Sender) collect(now time.Time) (letters []*letter, closed bool, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		for _, l := range s.throttle.rest(now) {
			s.post(l)
		}
		return s.waiting, true, time.Time{}
	}
	for _, l := range s.throttle.due(now) {
		s.post(l)
	}
	return s.waiting, false, s.throttle.next(now)
}

// sleep waits until t, or until there is something to do.
func (s *Sender) sleep(ctx context.Context, t time.Time) {
	var alarm <-chan time.Time
	if !t.IsZero() {
		timer := time.NewTimer(time.Until(t))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-alarm:
	case <-s.wake:
	case <-ctx.Done():
	}
}

// send sends the mails that wait, as far as that goes.
func (s *Sender) send(ctx context.Context, letters []*letter, again *pause) {
	sent, err := s.server.send(ctx, s.envelope, letters)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = s.waiting[sent:]
	if err == nil || sent > 0 {
		again.reset()
	}
	if err != nil && ctx.Err() != nil {
		return // Close says it
	}
	before := s.problem
	s.problem = err
	if err == nil {
		if before != nil {
			s.logger.Info("mails about failed tasks are sent again", "server", s.server.String())
		}
		return
	}
	now := time.Now()
	again.extend(now)
	refused := errors.As(err, new(*refusal))
	if before == nil && !refused {
		s.logger.Warn("mails about failed tasks can't be sent now; trying again", "server", s.server.String(), "waiting", len(s.waiting), "error", err)
	}
	for len(s.waiting) > 0 && (refused || now.Sub(s.waiting[0].born) > maxAge) {
		l := s.waiting[0]
		s.waiting = s.waiting[1:]
		if !s.closed {
			s.throttle.lose(l, now)
		}
		s.logger.Error("a mail about failed tasks is given up", "server", s.server.String(), "subject", l.subject, "failures", l.failures, "error", err)
		refused = false
	}
}

// pause spaces the attempts to reach a server that fails.
type pause struct {
	end  time.Time
	step time.Duration
}

func (p *pause) reset() { *p = pause{} }

// extend starts the next pause, of between half and all of the step.
func (p *pause) extend(now time.Time) {
	p.step = min(max(2*p.step, firstPause), lastPause)
	p.end = now.Add(p.step/2 + rand.N(p.step/2+1))
}

// earlier is the earlier of two times, of which the zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
