package task

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
)

// executor turns deliveries into outcomes. It knows nothing of slots, limits and
// sessions: that is the worker's business.
type executor struct {
	registry        *Registry
	client          *Client
	accept          []string // content types
	maxBody         int
	maxDecompressed int64
	maxResult       int
	resultTTL       time.Duration
	now             func() time.Time

	// answers is what all results are written in; nil: each in the serializer of its call.
	answers codec.Serializer

	name         string
	eager        bool
	trackStarted bool
	hooks        []Hooks // of all tasks
	stages       stages
	stats        func() Stats
	revocations  *revocations // nil: none
	timeouts     timeouts
	logger       *slog.Logger
	logFile      string
	logLevel     slog.Level

	// chordless has the names of tasks of which was told that nobody counts their chords.
	chordless sync.Map

	// large is held while a large body is read, so that several of them take no more memory than one.
	large sync.Mutex
}

// read reads a delivery as far as its headers go and finds its task.
func (e *executor) read(d *Delivery) (*request, *rejection) {
	e.upgrade(d.Message)
	r, rejected := readRequest(d)
	if s, ok := codec.ByContentType(d.Message.ContentType); ok && slices.Contains(e.accept, s.ContentType()) {
		r.serializer = s
	}
	switch {
	case rejected != nil:
		return r, rejected
	case len(d.Message.Body) > e.maxBody:
		return r, reject(ReasonTooLarge, "DecodeError", "kombu.exceptions", fmt.Errorf("the body has %d bytes, more than the worker's limit of %d", len(d.Message.Body), e.maxBody))
	case r.serializer == nil:
		return r, reject(ReasonContentType, "ContentDisallowed", "kombu.exceptions", fmt.Errorf("content type %q is not accepted (accepted: %s)", d.Message.ContentType, strings.Join(e.accept, ", ")))
	}
	entry, ok := e.registry.Lookup(r.name)
	if !ok {
		return r, reject(ReasonUnknownTask, "NotRegistered", "celery.exceptions", fmt.Errorf("no task %q is registered at this worker: is it the version that the caller has?", r.name))
	}
	r.entry = entry
	return r, nil
}

// rejected is the outcome of a message that can't be run: parked, and the caller told.
func (e *executor) rejected(r *request, rejected *rejection) Outcome {
	o, err := e.end(r, Failure, rejected)
	if err != nil {
		e.logger.Error("what was to follow a task that is parked is not told of its failure", "task", r.name, "id", r.id, "error", err)
	}
	o.Dead = &DeadLetter{
		Reason: rejected.reason,
		Error:  safeText(rejected.err),
		Worker: e.name,
		Time:   e.now(),
		Queue:  r.message.Queue,
	}
	return o
}

// expired says whether the request may not start any more, with its outcome.
func (e *executor) expired(r *request) (Outcome, bool) {
	if r.expires.IsZero() || e.now().Before(r.expires) {
		return Outcome{}, false
	}
	return e.revoked(r, "expired"), true
}

// revoked is the outcome of a request that is not run, for a reason that Celery has a word for: revoked, expired or terminated.
func (e *executor) revoked(r *request, why string) Outcome {
	o, err := e.end(r, Revoked, revoked(why))
	if err != nil {
		return e.giveBack(r, err)
	}
	return o
}

// giveBack is the outcome of a request that could not be brought to its end.
func (e *executor) giveBack(r *request, err error) Outcome {
	e.logger.Error("what follows a task can't be done now: it goes back to its queue", "task", r.name, "id", r.id, "error", err)
	time.Sleep(settleRetryDelay)
	return Outcome{Requeue: true}
}

// execute runs the request once and hands what follows to then, also if the task or a hook ends its
// goroutine (runtime.Goexit): all that comes after the run is deferred.
func (e *executor) execute(ctx context.Context, r *request, then func(Outcome)) {
	invocation, rejected := e.decode(r)
	if rejected != nil {
		e.logger.Error("task can't be decoded", "task", r.name, "id", r.id, "error", rejected.Error())
		e.stages.tell(r, Failure, rejected)
		defer then(e.rejected(r, rejected))
		e.ended(e.enter(ctx, r), r, &Attempt{State: Failure, Err: rejected.err})
		return
	}
	ctx = e.enter(ctx, r)
	e.started(ctx, r)
	e.stages.tell(r, Started, nil)
	r.began = time.Now()
	err := errEndedGoroutine
	defer func() {
		r.took = time.Since(r.began)
		if interrupted(ctx, err) {
			e.logger.Warn("task interrupted, given back", "task", r.name, "id", r.id, "after", r.took, "why", context.Cause(ctx))
			e.stages.tell(r, Rejected, nil)
			then(Outcome{Requeue: true})
			return
		}
		outcome, v := e.outcome(r, invocation, e.judge(ctx, r, err))
		defer then(outcome)
		r.ended = v.state
		e.report(r, v)
		if !e.tells(r) {
			return
		}
		attempt := &Attempt{State: v.state, Err: v.err, Took: r.took, Delay: v.delay, invocation: invocation}
		invocation.describe(attempt)
		e.stages.ended(r, attempt, v.state == Revoked && errors.Is(context.Cause(ctx), ErrTerminated))
		e.ended(ctx, r, attempt)
	}()
	err = e.run(ctx, r, invocation)
}

// errEndedGoroutine is what a task fails with that doesn't return, and doesn't panic either.
var errEndedGoroutine = errors.New("the task has ended its goroutine (runtime.Goexit, as FailNow of a test does)")

// judge decides what follows from a run.
func (e *executor) judge(ctx context.Context, r *request, err error) (v verdict) {
	if err != nil && errors.Is(context.Cause(ctx), ErrTerminated) {
		return verdict{state: Revoked, err: revoked("terminated")}
	}
	if err == nil {
		return verdict{state: Success}
	}
	if rejected, ok := errors.AsType[*rejection](err); ok { // revoked since it was taken
		return verdict{state: Revoked, err: rejected}
	}
	problem := guard(func() error {
		v = judge(r.entry.spec, r.retries, err, e.now(), rand.Float64())
		return nil
	})
	if problem != nil { // an option of the retry that the task asks for
		return verdict{state: Failure, err: problem}
	}
	return v
}

// outcome turns the verdict on a run into what is to be done. What can't be done makes another verdict of it.
func (e *executor) outcome(r *request, invocation invocation, v verdict) (Outcome, verdict) {
	switch v.state {
	case Success:
		o, err := e.succeed(r, invocation.result)
		if err == nil {
			return o, v
		}
		if _, store := errors.AsType[*chordStoreError](err); store {
			return e.giveBack(r, err), v
		}
		v = verdict{state: Failure, err: err}
	case Retried:
		var next *Message
		err := guard(func() (err error) {
			next, err = e.next(r, v)
			return err
		})
		if err == nil {
			return Outcome{Publish: []*Message{next}, Result: e.failure(r, Retried, v.err)}, v
		}
		v = verdict{state: Failure, err: errors.Join(v.err, fmt.Errorf("the retry can't be sent: %w", err))}
	}
	o, err := e.end(r, v.state, v.err)
	if _, store := errors.AsType[*chordStoreError](err); store {
		return e.giveBack(r, err), v
	}
	if err != nil {
		e.logger.Error("what follows the failure of a task can't be sent", "task", r.name, "id", r.id, "error", err)
	}
	return o, v
}

// success is the message of a result.
func (e *executor) success(r *request, result func(codec.Value), sent []child) (body []byte, err error) {
	err = guard(func() (err error) {
		body, err = writeResult(e.answer(r), r.id, Success, result, nil, sent)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("the result can't be encoded as %s: %w", e.answer(r).Name(), err)
	case len(body) > e.maxResult:
		return nil, fmt.Errorf("the result has %d bytes, more than the limit of %d: return a reference instead, or raise WorkerConfig.MaxResult", len(body), e.maxResult)
	}
	return body, nil
}

// report logs how a run ended.
func (e *executor) report(r *request, v verdict) {
	if v.state == Success {
		// The arguments of Info would be allocated though nobody wants them.
		e.logger.LogAttrs(context.Background(), slog.LevelInfo, "task succeeded",
			slog.String("task", r.name), slog.String("id", r.id), slog.Duration("took", r.took))
		return
	}
	attrs := []any{"task", r.name, "id", r.id, "took", r.took}
	switch v.state {
	case Retried:
		e.logger.Warn("task will be retried", append(attrs, "retries", r.retries+1, "in", v.delay, "error", safeText(v.err))...)
	case Revoked:
		e.logger.Warn("task was revoked while it ran", attrs...)
	default:
		attrs = append(attrs, "retries", r.retries, "error", safeText(v.err))
		if p, ok := errors.AsType[*PanicError](v.err); ok {
			attrs = append(attrs, "stack", string(p.Stack))
		}
		e.logger.Error("task failed", attrs...)
	}
}

// interrupted says whether a run ended because the worker is shutting down or has lost the message, and not by itself.
func interrupted(ctx context.Context, err error) bool {
	cause := context.Cause(ctx)
	return (errors.Is(cause, ErrDraining) || errors.Is(cause, ErrConnectionLost)) && (errors.Is(err, cause) || errors.Is(err, context.Canceled))
}

// failure is the result that tells the caller of err; nil if it can't be told.
func (e *executor) failure(r *request, state State, err error) *Result {
	if r.id == "" {
		return nil
	}
	serializer := e.answer(r)
	var body []byte
	encodeErr := guard(func() (problem error) {
		body, problem = writeResult(serializer, r.id, state, nil, describe(err), r.sent.list())
		return problem
	})
	if encodeErr != nil {
		e.logger.Error("the failure of a task can't be encoded", "task", r.name, "id", r.id, "error", encodeErr.Error())
		return nil
	}
	return e.result(r, serializer, state, body)
}

func (e *executor) result(r *request, s codec.Serializer, state State, body []byte) *Result {
	group, _ := nameHeader(r.message.Headers, "group", "")
	return &Result{
		ID: r.id, State: state, ReplyTo: r.message.ReplyTo, TTL: e.resultTTL, GroupID: group, ParentID: r.parentID,
		ContentType: s.ContentType(), ContentEncoding: s.ContentEncoding(), Body: body,
	}
}

// answer is the serializer of what a request is answered with.
func (e *executor) answer(r *request) codec.Serializer {
	switch {
	case e.answers != nil:
		return e.answers
	case r.serializer != nil:
		return r.serializer
	}
	json, _ := codec.ByName("json")
	return json
}

// decode decompresses the body and reads the arguments from it.
func (e *executor) decode(r *request) (invocation invocation, rejected *rejection) {
	body, err := decompress(r.message, min(largeBody, e.maxDecompressed))
	if _, large := errors.AsType[*codec.LimitError](err); large || len(body) > largeBody {
		e.large.Lock()
		defer e.large.Unlock()
		defer func() {
			if rejected != nil { // or the next one would have to do without this memory
				body, invocation = nil, nil
				debug.FreeOSMemory()
			}
		}()
		body, err = decompress(r.message, e.maxDecompressed)
	}
	if err == nil {
		invocation = r.entry.prepare()
		var embed []byte
		err = guard(func() (err error) {
			embed, err = r.serializer.DecodeCall(body, invocation.visit)
			return err
		})
		if err == nil {
			if r.follows, err = readEmbed(r.serializer, embed); err != nil {
				return nil, reject(ReasonBadHeader, "DecodeError", "kombu.exceptions", err)
			}
		}
	}
	if err == nil {
		return invocation, nil
	}
	reason := ReasonUndecodable
	if _, wrong := errors.AsType[*codec.ArgumentError](err); wrong {
		return nil, reject(ReasonBadArguments, "TypeError", "builtins", fmt.Errorf("%s%s: %w", r.name, r.entry.Signature(), err))
	}
	if _, large := errors.AsType[*codec.LimitError](err); large {
		reason = ReasonTooLarge
	}
	if p, panicked := errors.AsType[*PanicError](err); panicked { // its text may quote the arguments
		err = fmt.Errorf("%s: the decoder panicked (%T)", r.serializer.Name(), p.Value)
	}
	return nil, reject(reason, "DecodeError", "kombu.exceptions", err)
}

// largeBody is how large a body is, decompressed, that is not read beside another one as large.
const largeBody = 1 << 20

// decompress returns the body of m.
func decompress(m *Message, limit int64) ([]byte, error) {
	header, _ := textHeader(m.Headers, "compression", "")
	if header == "" {
		return m.Body, nil
	}
	return codec.Decompress(header, m.Body, limit)
}

// guard calls f, which calls code of users. A panic is a [*PanicError].
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: taskStack(debug.Stack())}
		}
	}()
	return f()
}

// enter returns the context of a run.
func (e *executor) enter(ctx context.Context, r *request) context.Context {
	var run struct {
		running
		offspring
	}
	r.sent = &run.offspring
	run.running = running{about: func() Info { return e.info(r) }, client: e.client, logger: e.logger, stats: e.stats, sent: r.sent}
	return context.WithValue(ctx, runningKey{}, &run.running)
}

// started stores the state STARTED where that is asked for. Nothing depends on it.
func (e *executor) started(ctx context.Context, r *request) {
	if !e.trackStarted && !r.entry.spec.TrackStarted || e.ignores(r) {
		return
	}
	body, err := writeResult(e.answer(r), r.id, Started, func(v codec.Value) {
		v.Map(2)
		v.String("pid")
		v.Int(int64(os.Getpid()), 64)
		v.String("hostname")
		v.String(e.name)
		v.End()
	}, nil, nil)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, startedTimeout)
		defer cancel()
		err = e.client.transport.StoreResult(ctx, e.result(r, e.answer(r), Started, body))
	}
	if err != nil {
		e.logger.Warn("the state STARTED of a task is not stored", "task", r.name, "id", r.id, "error", err)
	}
}

// startedTimeout is how long a task waits at most for its state STARTED to be stored.
const startedTimeout = 5 * time.Second

// ignores says whether success is not stored.
func (e *executor) ignores(r *request) bool {
	if r.entry.spec.Once {
		return false
	}
	if r.ignoreResult != nil {
		return *r.ignoreResult
	}
	return r.entry.spec.IgnoreResult
}

// run calls the task's function. A panic is an error.
func (e *executor) run(ctx context.Context, r *request, invocation invocation) (err error) {
	timeout := e.timeouts.of(r.entry.spec)
	if r.timeout > 0 && (timeout == 0 || r.timeout < timeout) {
		timeout = r.timeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%w (%s)", ErrTimeout, timeout))
		defer cancel()
	}
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: taskStack(debug.Stack())}
		}
		err = sound(err)
		if err != nil && errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), ErrTimeout) {
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}()
	defer slotOf(ctx).begin(ctx, r).end()
	if e.revocations.has(r) { // since it was taken
		return revoked("revoked")
	}
	return invocation.run(ctx)
}

// taskStack cuts what lies above the panic off a stack.
func taskStack(stack []byte) []byte {
	if _, after, found := bytes.Cut(stack, []byte("\npanic(")); found {
		if i := bytes.Index(after, []byte("\n\t")); i >= 0 {
			if j := bytes.IndexByte(after[i+1:], '\n'); j >= 0 {
				return after[i+1+j+1:]
			}
		}
	}
	return stack
}

func (e *executor) info(r *request) Info {
	m := r.message
	return Info{
		ID: r.id, Name: r.name, Retries: r.retries, IsEager: e.eager,
		Delivery: DeliveryInfo{
			Queue: m.Queue, Exchange: m.Exchange, RoutingKey: m.RoutingKey,
			Priority: 9 - int(min(m.Priority, 9)), Redelivered: r.suspect || r.starts > 0,
		},
		LogFile: e.logFile, LogLevel: e.logLevel, Worker: e.name,
		RootID: r.rootID, ParentID: r.parentID, ETA: r.eta, Expires: r.expires,
	}
}

// next is the message of the next attempt: the same id, headers, priority and queue,
// with the new arguments if there are any.
func (e *executor) next(r *request, v verdict) (*Message, error) {
	next := later(r.message)
	next.Headers["retries"] = int32(r.retries + 1)
	next.Headers["parent_id"] = r.id
	if v.retry != nil {
		o, err := newCallOptions(r.entry.spec, v.retry.options)
		if err != nil {
			return nil, err
		}
		if o.explicitQueue {
			next.Queue = o.queue
		}
		if o.priority != nil {
			next.Priority, next.Prioritized = o.wirePriority(), true
		}
		if err := addHeaders(next.Headers, o.headers); err != nil {
			return nil, err
		}
		if v.retry.visit != nil {
			if err := e.replaceArguments(next, r, v.retry.visit); err != nil {
				return nil, err
			}
		}
	}
	delete(next.Headers, "eta")
	if v.delay > 0 {
		next.ETA = e.now().Add(v.delay)
		next.Headers["eta"] = next.ETA.Format(timeFormat)
	}
	return next, nil
}

func (e *executor) replaceArguments(m *Message, r *request, visit func(codec.Fields)) error {
	embed, err := r.follows.encode(r.serializer)
	if err != nil {
		return fmt.Errorf("encoding what follows the task: %w", err)
	}
	body, err := r.serializer.EncodeCall(visit, embed)
	if err != nil {
		return fmt.Errorf("encoding the new arguments: %w", err)
	}
	for _, repr := range []string{"argsrepr", "kwargsrepr"} {
		delete(m.Headers, repr)
	}
	compression, _ := textHeader(m.Headers, "compression", "")
	delete(m.Headers, "compression")
	if compression != "" {
		compression = or(r.entry.spec.Compression, "gzip")
	}
	m.Body, err = compress(compression, body, m.Headers)
	return err
}

// later copies a message for another delivery, straight to the queue that it came from.
// What the broker wrote about its way here is left out: RabbitMQ takes
// its own x-death for a cycle. So is how often it was started on probation: it is another attempt.
func later(m *Message) *Message {
	next := *m
	next.Exchange, next.RoutingKey, next.Mandatory = "", "", true
	next.Headers = make(map[string]any, len(m.Headers)+2)
	for key, value := range m.Headers {
		if !strings.HasPrefix(key, "x-") && key != startsHeader && key != originHeader {
			next.Headers[key] = value
		}
	}
	return &next
}
