package tasktest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

var workerTests = map[string]func(*testing.T, *world){
	"typed result":                            testTypedResult,
	"every serializer and compression":        testEncodings,
	"failure reaches the caller":              testFailure,
	"panic is a failure":                      testPanic,
	"retry with new arguments":                testRetry,
	"retries end":                             testMaxRetries,
	"autoretry":                               testAutoRetry,
	"permanent errors are final":              testPermanent,
	"never before its time":                   testETA,
	"expired is revoked":                      testExpired,
	"a limited task holds up no other":        testRateLimit,
	"timeout ends the context":                testTimeout,
	"ignored results":                         testIgnoreResult,
	"early ack":                               testEarlyAck,
	"unknown task is parked and answered":     testUnknownTask,
	"wrong arguments are parked and answered": testWrongArguments,
	"refused serializer is parked":            testRefusedSerializer,
	"short tasks are held in numbers":         testPace,
	"drain hands back what has not started":   testDrain,
	"drain cancels what does not end":         testDrainCancels,
	"slots bound what runs":                   testSlots,
	"many at once":                            testDelayMany,
	"a task sends a task":                     testNested,
	"info":                                    testInfo,
	"routing":                                 testRouting,
	"what a dead worker had runs once":        testSuspects,
	"what ends its workers is parked":         testCrashes,
	"long suspects run together":              testLongSuspects,
	"a call sent twice runs once":             testSentTwice,
	"once means once in all processes":        testOnce,
	"once waits for a run elsewhere":          testOnceElsewhere,
	"what follows once is not left out":       testOnceFollowed,
}

// Args are the arguments of the suite's tasks.
type Args struct {
	Text   string
	Number int64
	List   []string
}

// Visit visits the arguments.
func (a *Args) Visit(f codec.Fields) {
	codec.String(f.Field("text"), &a.Text)
	codec.Int(f.Field("number"), &a.Number)
	codec.Slice(f.Field("list"), &a.List, codec.String)
}

type (
	suiteTask = task.Task[Args, string]
	function  = func(context.Context, *Args) (string, error)
)

// define makes a task of the test's queue.
func (w *world) define(name string, change ...func(*task.Spec)) suiteTask {
	spec := task.Spec{Name: "conformance." + name, Queue: w.queue}
	for _, c := range change {
		c(&spec)
	}
	return task.Define[Args](spec, codec.String[string])
}

// client returns a context with a client.
func (w *world) client() context.Context {
	return task.WithClient(w.ctx, task.NewClient(w.open(), task.ClientConfig{}))
}

// handle is a task with its function.
type handle struct {
	task     suiteTask
	function function
}

// worker is a running worker.
type worker struct {
	*task.Worker
	// stop ends it, and returns what Run returned.
	stop func() error
}

// work starts a worker for the tasks.
func (w *world) work(config task.WorkerConfig, handles ...handle) *worker {
	w.Helper()
	r := task.NewRegistry()
	for _, h := range handles {
		h.task.Handle(r, h.function)
	}
	return w.run(r, config)
}

// run starts a worker for the tasks of a registry.
func (w *world) run(r *task.Registry, config task.WorkerConfig) *worker {
	w.Helper()
	if config.Queues == nil {
		config.Queues = []task.QueueConfig{{Name: w.queue}}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	tw, err := task.NewWorker(w.open(), r, config)
	w.check(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.ctx))
	ended := make(chan error, 1)
	go func() { ended <- tw.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	w.Cleanup(func() { stop() })
	return &worker{Worker: tw, stop: stop}
}

// failed waits for the error of a call.
func (w *world) failed(ctx context.Context, call *task.Call[string]) *task.TaskError {
	w.Helper()
	_, err := call.Get(ctx)
	var failure *task.TaskError
	if !errors.As(err, &failure) {
		w.Fatalf("the task ended with %v, want a TaskError", err)
	}
	return failure
}

// send sends a task and fails the test if it can't.
func (w *world) send(ctx context.Context, t suiteTask, args Args) *task.Call[string] {
	w.Helper()
	call, err := t.Send(ctx, &args)
	w.check(err)
	return call
}

func testTypedResult(t *testing.T, w *world) {
	join := w.define("join")
	w.work(task.WorkerConfig{}, handle{join, func(_ context.Context, a *Args) (string, error) {
		return fmt.Sprint(a.Text, a.Number, a.List), nil
	}})
	ctx := w.client()
	call := w.send(ctx, join, Args{Text: "ü", Number: 1<<62 + 1, List: []string{"a", "b"}})
	got, err := call.Get(ctx)
	w.check(err)
	if want := "ü4611686018427387905[a b]"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %q, want %q", got, want)
	}
	status, err := call.Status(ctx)
	w.check(err)
	if status.State != task.Success || status.Err != nil {
		t.Errorf("status %+v", status)
	}
}

func testEncodings(t *testing.T, w *world) {
	echo := w.define("echo")
	w.work(task.WorkerConfig{Accept: []string{"msgpack", "json", "yaml", "gob"}}, handle{echo, func(_ context.Context, a *Args) (string, error) {
		if a.Number < 0 {
			return "", errors.New("negative")
		}
		return a.Text, nil
	}})
	ctx := w.client()
	text := strings.Repeat("long enough to compress ", 100)
	for _, serializer := range []string{"msgpack", "json", "yaml", "gob"} {
		for _, compression := range []string{"", "gzip", "zstd"} {
			with := echo.With(task.UseSerializer(serializer), task.UseCompression(compression))
			got, err := w.send(ctx, with, Args{Text: text}).Get(ctx)
			if err != nil || got != text {
				t.Errorf("%s %s: got %.20q, %v", serializer, compression, got, err)
			}
		}
		failure := w.failed(ctx, w.send(ctx, echo.With(task.UseSerializer(serializer)), Args{Number: -1}))
		if failure.Message != "negative" {
			t.Errorf("%s: the failure is %v", serializer, failure)
		}
	}
}

// quotaError is an error with a type that callers know.
type quotaError struct{ limit int }

func (e *quotaError) Error() string { return fmt.Sprintf("over the quota of %d", e.limit) }

func testFailure(t *testing.T, w *world) {
	fail := w.define("fail")
	w.work(task.WorkerConfig{}, handle{fail, func(context.Context, *Args) (string, error) {
		return "", fmt.Errorf("storing: %w", &quotaError{3})
	}})
	ctx := w.client()
	call := w.send(ctx, fail, Args{})
	got := w.failed(ctx, call)
	want := &task.TaskError{
		Task: "conformance.fail", ID: call.ID, State: task.Failure,
		Type: "quotaError", Module: "github.com/taskgen/taskgen/runtime/tasktest", Message: "storing: over the quota of 3",
		Traceback: "*fmt.wrapError: storing: over the quota of 3\n*tasktest.quotaError: over the quota of 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failure (-want +got):\n%s", diff)
	}
	status, err := call.Status(ctx)
	w.check(err)
	if status.State != task.Failure || status.Err.Message != want.Message {
		t.Errorf("status %+v", status)
	}
}

func testPanic(t *testing.T, w *world) {
	explode, fine := w.define("explode"), w.define("fine")
	w.work(task.WorkerConfig{},
		handle{explode, func(context.Context, *Args) (string, error) { panic("boom") }},
		handle{fine, func(context.Context, *Args) (string, error) { return "fine", nil }})
	ctx := w.client()
	failure := w.failed(ctx, w.send(ctx, explode, Args{}))
	if failure.Message != "panic: boom" || failure.Type != "PanicError" || !strings.Contains(failure.Traceback, "testPanic") {
		t.Errorf("the failure is %+v", failure)
	}
	if _, err := w.send(ctx, fine, Args{}).Get(ctx); err != nil {
		t.Errorf("after the panic: %v", err)
	}
}

func testRetry(t *testing.T, w *world) {
	climb := w.define("climb", func(s *task.Spec) { s.DefaultRetryDelay = new(1200 * time.Millisecond) })
	var ids sync.Map
	w.work(task.WorkerConfig{}, handle{climb, func(ctx context.Context, a *Args) (string, error) {
		info := task.InfoFrom(ctx)
		ids.Store(info.ID, true)
		if a.Number < 2 {
			return "", climb.Again(ctx, errors.New("too low"), &Args{Text: a.Text + "+", Number: a.Number + 1})
		}
		return fmt.Sprintf("%s after %d", a.Text, info.Retries), nil
	}})
	ctx := w.client()
	call := w.send(ctx, climb, Args{Text: "x"})
	w.eventually("the state is RETRY, with the error", func() bool {
		status, err := call.Status(ctx)
		w.check(err)
		return status.State == task.Retried && status.Err.Message == "too low"
	})
	got, err := call.Get(ctx)
	w.check(err)
	if got != "x++ after 2" {
		t.Errorf("got %q", got)
	}
	ids.Range(func(id, _ any) bool {
		if id != call.ID {
			t.Errorf("a retry ran as %s, not as %s", id, call.ID)
		}
		return true
	})
}

func testMaxRetries(t *testing.T, w *world) {
	var runs atomic.Int64
	again := w.define("again", func(s *task.Spec) { s.MaxRetries = new(2) })
	w.work(task.WorkerConfig{}, handle{again, func(_ context.Context, a *Args) (string, error) {
		runs.Add(1)
		if a.Text == "cause" {
			return "", task.RetryIn(0, errors.New("the cause"))
		}
		return "", task.RetryIn(0, nil)
	}})
	ctx := w.client()
	if failure := w.failed(ctx, w.send(ctx, again, Args{Text: "cause"})); failure.Message != "the cause" {
		t.Errorf("with a cause: %v", failure)
	}
	if n := runs.Load(); n != 3 {
		t.Errorf("ran %d times, want 3", n)
	}
	if failure := w.failed(ctx, w.send(ctx, again, Args{})); failure.Type != "MaxRetriesExceededError" {
		t.Errorf("without a cause: %v", failure)
	}
}

func testAutoRetry(t *testing.T, w *world) {
	var runs atomic.Int64
	flaky := w.define("flaky", func(s *task.Spec) { s.AutoRetry, s.DefaultRetryDelay = true, new(time.Duration(0)) })
	w.work(task.WorkerConfig{}, handle{flaky, func(context.Context, *Args) (string, error) {
		switch runs.Add(1) {
		case 1:
			return "", errors.New("flaky")
		case 2:
			panic("flaky")
		}
		return "done", nil
	}})
	ctx := w.client()
	if got, err := w.send(ctx, flaky, Args{}).Get(ctx); got != "done" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testPermanent(t *testing.T, w *world) {
	var runs atomic.Int64
	final := w.define("final", func(s *task.Spec) { s.AutoRetry = true })
	w.work(task.WorkerConfig{}, handle{final, func(context.Context, *Args) (string, error) {
		runs.Add(1)
		return "", task.Permanent(errors.New("no use"))
	}})
	ctx := w.client()
	if failure := w.failed(ctx, w.send(ctx, final, Args{})); failure.Message != "no use" || runs.Load() != 1 {
		t.Errorf("%v after %d runs", failure, runs.Load())
	}
}

func testETA(t *testing.T, w *world) {
	stamp := w.define("stamp")
	w.work(task.WorkerConfig{}, handle{stamp, func(context.Context, *Args) (string, error) {
		return time.Now().Format(time.RFC3339Nano), nil
	}})
	ctx := w.client()
	for _, delay := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond} {
		due := time.Now().Add(delay)
		got, err := w.send(ctx, stamp.With(task.At(due)), Args{}).Get(ctx)
		w.check(err)
		ran, err := time.Parse(time.RFC3339Nano, got)
		w.check(err)
		if ran.Before(due.Truncate(time.Microsecond)) {
			t.Errorf("due in %s, ran %s too early", delay, due.Sub(ran))
		}
	}
}

func testExpired(t *testing.T, w *world) {
	var ran atomic.Bool
	stale := w.define("stale")
	ctx := w.client()
	call := w.send(ctx, stale.With(task.ExpiresAt(time.Now().Add(-time.Second))), Args{})
	w.work(task.WorkerConfig{}, handle{stale, func(context.Context, *Args) (string, error) {
		ran.Store(true)
		return "", nil
	}})
	failure := w.failed(ctx, call)
	if !errors.Is(failure, task.ErrRevoked) || failure.Message != "expired" || ran.Load() {
		t.Errorf("%v, ran %v", failure, ran.Load())
	}
}

func testRateLimit(t *testing.T, w *world) {
	var mu sync.Mutex
	var starts []time.Time
	slow := w.define("slow", func(s *task.Spec) { s.RateLimit = 5 * task.PerSecond })
	quick := w.define("quick")
	ctx := w.client()
	const limited = 12
	calls, err := slow.DelayMany(ctx, make([]Args, limited))
	w.check(err)
	others := w.send(ctx, quick, Args{})
	// Fewer messages at a time than there are limited ones in front of the other task.
	w.work(task.WorkerConfig{Concurrency: 1, Prefetch: 4},
		handle{slow, func(context.Context, *Args) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			starts = append(starts, time.Now())
			return "", nil
		}},
		handle{quick, func(context.Context, *Args) (string, error) { return "quick", nil }})
	_, err = others.Get(ctx)
	w.check(err)
	mu.Lock()
	before := len(starts)
	mu.Unlock()
	if before == limited {
		t.Error("the other task ran after all limited ones")
	}
	for _, c := range calls {
		_, err := c.Get(ctx)
		w.check(err)
	}
	// n starts at 5 a second take (n-1)/5 s at the least; clocks may be a little off.
	if took := starts[limited-1].Sub(starts[0]); took < (limited-1)*200*time.Millisecond*95/100 {
		t.Errorf("%d starts took %s", limited, took)
	}
}

func testTimeout(t *testing.T, w *world) {
	hang := w.define("hang", func(s *task.Spec) { s.Timeout = 50 * time.Millisecond })
	w.work(task.WorkerConfig{}, handle{hang, func(ctx context.Context, _ *Args) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}})
	ctx := w.client()
	if failure := w.failed(ctx, w.send(ctx, hang, Args{})); !strings.Contains(failure.Message, "timeout") || !errors.Is(failure, task.ErrTimeout) {
		t.Errorf("the failure is %v", failure)
	}
}

func testIgnoreResult(t *testing.T, w *world) {
	quiet := w.define("quiet", func(s *task.Spec) { s.IgnoreResult = true })
	ran := make(chan struct{}, 2)
	w.work(task.WorkerConfig{}, handle{quiet, func(_ context.Context, a *Args) (string, error) {
		if a.Text == "fail" {
			return "", errors.New("failed all the same")
		}
		ran <- struct{}{}
		return "unseen", nil
	}})
	ctx := w.client()
	call := w.send(ctx, quiet, Args{})
	<-ran
	if _, err := call.Get(ctx); !errors.Is(err, task.ErrNoResult) {
		t.Errorf("Get: %v, want ErrNoResult", err)
	}
	if got, err := w.send(ctx, quiet.With(task.IgnoreResult(false)), Args{}).Get(ctx); got != "unseen" {
		t.Errorf("a call that asks for its result got %q, %v", got, err)
	}
	failing := w.send(ctx, quiet, Args{Text: "fail"})
	w.eventually("the failure is stored", func() bool {
		status, err := failing.Status(ctx)
		w.check(err)
		return status.State == task.Failure
	})
	if status, err := call.Status(ctx); err != nil || status.State != task.Pending {
		t.Errorf("the ignored success shows as %s, %v", status.State, err)
	}
}

func testEarlyAck(t *testing.T, w *world) {
	atMostOnce := w.define("once", func(s *task.Spec) { s.AckEarly = true })
	started, release := make(chan struct{}), make(chan struct{})
	worker := w.work(task.WorkerConfig{Drain: 50 * time.Millisecond}, handle{atMostOnce, func(_ context.Context, a *Args) (string, error) {
		if a.Text == "hang" {
			started <- struct{}{}
			<-release
		}
		return "done", nil
	}})
	ctx := w.client()
	if got, err := w.send(ctx, atMostOnce, Args{}).Get(ctx); got != "done" {
		t.Errorf("got %q, %v", got, err)
	}
	w.send(ctx, atMostOnce, Args{Text: "hang"})
	<-started
	if err := worker.stop(); err == nil {
		t.Error("a worker whose task hangs ended without an error")
	}
	close(release)
	w.consume(w.open(), task.Subscription{}).none("the task was acked before it ran")
}

func (w *world) deadLetter() *task.DeadMessage {
	w.Helper()
	return w.deadLetters(1)[0]
}

func testUnknownTask(t *testing.T, w *world) {
	known, unknown := w.define("known"), w.define("unknown")
	w.work(task.WorkerConfig{}, handle{known, func(context.Context, *Args) (string, error) { return "known", nil }})
	ctx := w.client()
	failure := w.failed(ctx, w.send(ctx, unknown, Args{Text: "kept"}))
	if failure.Type != "NotRegistered" || !strings.Contains(failure.Message, "conformance.unknown") {
		t.Errorf("the failure is %v", failure)
	}
	if dead := w.deadLetter(); dead.Reason != task.ReasonUnknownTask || !strings.Contains(string(dead.Message.Body), "kept") {
		t.Errorf("parked as %+v", dead)
	}
	if _, err := w.send(ctx, known, Args{}).Get(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func testWrongArguments(t *testing.T, w *world) {
	ours := w.define("changed")
	// The same name, as another version of the code has it.
	other := task.Define[otherArgs](task.Spec{Name: "conformance.changed", Queue: w.queue}, codec.String[string])
	w.work(task.WorkerConfig{}, handle{ours, func(context.Context, *Args) (string, error) { return "ran", nil }})
	ctx := w.client()
	call, err := other.Send(ctx, &otherArgs{Text: 7})
	w.check(err)
	failure := w.failed(ctx, call)
	if failure.Type != "TypeError" || !strings.Contains(failure.Message, `"text"`) {
		t.Errorf("the failure is %v", failure)
	}
	if dead := w.deadLetter(); dead.Reason != task.ReasonBadArguments {
		t.Errorf("parked as %+v", dead)
	}
}

type otherArgs struct{ Text int64 }

func (a *otherArgs) Visit(f codec.Fields) { codec.Int(f.Field("text"), &a.Text) }

func testRefusedSerializer(t *testing.T, w *world) {
	echo := w.define("echo")
	w.work(task.WorkerConfig{Accept: []string{"json"}}, handle{echo, func(_ context.Context, a *Args) (string, error) { return a.Text, nil }})
	ctx := w.client()
	if failure := w.failed(ctx, w.send(ctx, echo.With(task.UseSerializer("gob")), Args{})); failure.Type != "ContentDisallowed" {
		t.Errorf("the failure is %v", failure)
	}
	if dead := w.deadLetter(); dead.Reason != task.ReasonContentType {
		t.Errorf("parked as %+v", dead)
	}
}

// A worker of short tasks holds many of them. When they become long, others get their part.
func testPace(_ *testing.T, w *world) {
	const short, long = 500, 60
	add := w.define("add")
	hold := make(chan struct{})
	var running atomic.Int64
	run := func() handle {
		return handle{add, func(ctx context.Context, a *Args) (string, error) {
			if a.Text == "long" {
				running.Add(1)
				select {
				case <-hold:
				case <-ctx.Done():
				}
			}
			return "", nil
		}}
	}
	config := task.WorkerConfig{Concurrency: 1, Queues: []task.QueueConfig{{Name: w.queue}}}
	worker := w.work(config, run())
	ctx := w.client()
	held := func() int { return worker.Queues()[0].Prefetch }
	ordinary := held()
	send := func(n int, text string) []*task.Call[string] {
		calls, err := add.DelayMany(ctx, slices.Repeat([]Args{{Text: text}}, n))
		w.check(err)
		return calls
	}
	ended := func(calls []*task.Call[string]) {
		for _, call := range calls {
			_, err := call.Get(ctx)
			w.check(err)
		}
	}
	w.eventually("the prefetch is wide", func() bool {
		ended(send(short, "short"))
		return held() > ordinary
	})
	calls := send(long, "long")
	w.eventually("the prefetch is as it was", func() bool { return held() == ordinary })
	w.work(task.WorkerConfig{Concurrency: long, Queues: config.Queues}, run())
	// The first one runs one and keeps some, perhaps as many of those that it held before as of others.
	w.eventually("the other worker has the rest", func() bool { return int(running.Load()) >= long-2*ordinary })
	close(hold)
	ended(calls)
}

func testDrain(t *testing.T, w *world) {
	step := w.define("step")
	started, release := make(chan struct{}, 10), make(chan struct{})
	block := func(context.Context, *Args) (string, error) {
		started <- struct{}{}
		<-release
		return "finished", nil
	}
	ctx := w.client()
	calls, err := step.DelayMany(ctx, make([]Args, 5))
	w.check(err)
	first := w.work(task.WorkerConfig{Concurrency: 1, Prefetch: 5}, handle{step, block})
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- first.stop() }()
	second := w.work(task.WorkerConfig{Concurrency: 5}, handle{step, block})
	for range 4 {
		<-started // by the second worker, while the first one still runs its task
	}
	close(release)
	w.check(<-stopped)
	for _, c := range calls {
		if got, err := c.Get(ctx); got != "finished" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if len(started) != 0 {
		t.Error("a task was started twice")
	}
	w.check(second.stop())
}

func testDrainCancels(t *testing.T, w *world) {
	wait := w.define("wait")
	started, causes := make(chan struct{}, 2), make(chan error, 2)
	handler := func(ctx context.Context, a *Args) (string, error) {
		started <- struct{}{}
		select {
		case <-ctx.Done():
			causes <- context.Cause(ctx)
			if a.Text == "cause" {
				return "", fmt.Errorf("interrupted: %w", context.Cause(ctx))
			}
			return "", ctx.Err()
		case <-w.ctx.Done():
			return "", nil
		}
	}
	ctx := w.client()
	calls, err := wait.DelayMany(ctx, []Args{{}, {Text: "cause"}})
	w.check(err)
	first := w.work(task.WorkerConfig{Drain: 30 * time.Millisecond}, handle{wait, handler})
	<-started
	<-started
	w.check(first.stop())
	for range calls {
		if cause := <-causes; !errors.Is(cause, task.ErrDraining) {
			t.Errorf("the context's cause is %v", cause)
		}
	}
	w.work(task.WorkerConfig{}, handle{wait, func(ctx context.Context, _ *Args) (string, error) {
		return fmt.Sprint(task.InfoFrom(ctx).Retries), nil
	}})
	for _, call := range calls {
		if got, err := call.Get(ctx); got != "0" {
			t.Errorf("the interrupted task ended with %q, %v; want a run that counts no retry", got, err)
		}
	}
}

func testSlots(t *testing.T, w *world) {
	own := w.queue + "-own"
	shared, separate := w.define("shared"), w.define("separate", func(s *task.Spec) { s.Queue = own })
	var running, peak [2]atomic.Int64
	count := func(i int) function {
		return func(context.Context, *Args) (string, error) {
			n := running[i].Add(1)
			defer running[i].Add(-1)
			for p := peak[i].Load(); n > p && !peak[i].CompareAndSwap(p, n); p = peak[i].Load() {
			}
			time.Sleep(5 * time.Millisecond)
			return "", nil
		}
	}
	w.work(task.WorkerConfig{Concurrency: 3, Queues: []task.QueueConfig{{Name: w.queue}, {Name: own, Concurrency: 1}}},
		handle{shared, count(0)}, handle{separate, count(1)})
	ctx := w.client()
	for _, t := range []suiteTask{shared, separate} {
		calls, err := t.DelayMany(ctx, make([]Args, 20))
		w.check(err)
		for _, c := range calls {
			_, err := c.Get(ctx)
			w.check(err)
		}
	}
	if a, b := peak[0].Load(), peak[1].Load(); a > 3 || b > 1 {
		t.Errorf("%d and %d ran at a time, want at most 3 and 1", a, b)
	}
}

func testDelayMany(t *testing.T, w *world) {
	number := w.define("number")
	w.work(task.WorkerConfig{}, handle{number, func(_ context.Context, a *Args) (string, error) { return fmt.Sprint(a.Number), nil }})
	ctx := w.client()
	args := make([]Args, 300)
	for i := range args {
		args[i].Number = int64(i)
	}
	calls, err := number.DelayMany(ctx, args)
	w.check(err)
	for i, c := range calls {
		if got, err := c.Get(ctx); got != fmt.Sprint(i) {
			t.Fatalf("call %d: %q, %v", i, got, err)
		}
	}
}

func testNested(t *testing.T, w *world) {
	parent, child := w.define("parent"), w.define("child")
	w.work(task.WorkerConfig{},
		handle{parent, func(ctx context.Context, _ *Args) (string, error) {
			call, err := child.Send(ctx, &Args{})
			if err != nil {
				return "", err
			}
			return call.Get(ctx)
		}},
		handle{child, func(ctx context.Context, _ *Args) (string, error) {
			info := task.InfoFrom(ctx)
			return info.ParentID + " " + info.RootID, nil
		}})
	ctx := w.client()
	call := w.send(ctx, parent, Args{})
	if got, err := call.Get(ctx); got != call.ID+" "+call.ID {
		t.Errorf("parent and root are %q, %v; want %s", got, err, call.ID)
	}
}

func testInfo(t *testing.T, w *world) {
	look := w.define("look", func(s *task.Spec) { s.Priority = new(3) })
	infos := make(chan task.Info, 1)
	w.work(task.WorkerConfig{Name: "looker@here", LogFile: "worker.log", LogLevel: slog.LevelWarn}, handle{look, func(ctx context.Context, _ *Args) (string, error) {
		infos <- task.InfoFrom(ctx)
		return "", nil
	}})
	ctx := w.client()
	call := w.send(ctx, look.With(task.ID("my-own-id."+w.queue)), Args{})
	got := <-infos
	if got.Delivery.Queue != w.queue || got.Delivery.Priority != 3 {
		t.Errorf("delivery info %+v", got.Delivery)
	}
	got.Delivery = task.DeliveryInfo{}
	want := task.Info{
		ID: call.ID, Name: "conformance.look", RootID: call.ID,
		Worker: "looker@here", LogFile: "worker.log", LogLevel: slog.LevelWarn,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}

func testRouting(t *testing.T, w *world) {
	other := w.queue + "-other"
	exchange := task.Spec{Exchange: w.queue + "-exchange", RoutingKey: "site.{text}"}
	plain := w.define("plain")
	routed := w.define("routed", func(s *task.Spec) { s.Exchange, s.RoutingKey = exchange.Exchange, exchange.RoutingKey })
	where := func(ctx context.Context, _ *Args) (string, error) { return task.InfoFrom(ctx).Delivery.Queue, nil }
	w.work(task.WorkerConfig{Queues: []task.QueueConfig{{Name: w.queue, Bindings: []task.Binding{
		{Exchange: exchange.Exchange, RoutingKey: "site.paris"},
	}}, {Name: other}}}, handle{plain, where}, handle{routed, where})
	ctx := w.client()
	for _, c := range []struct {
		task  suiteTask
		queue string
	}{{plain, w.queue}, {plain.With(task.Queue(other)), other}, {routed, w.queue}} {
		if got, err := w.send(ctx, c.task, Args{Text: "paris"}).Get(ctx); got != c.queue {
			t.Errorf("ran in queue %q, %v; want %q", got, err, c.queue)
		}
	}
	_, err := plain.With(task.RoutingKey("{nosuch}"), task.Exchange("x")).Send(ctx, &Args{})
	if err == nil || !slices.Contains(strings.Fields(err.Error()), "{nosuch}") {
		t.Errorf("an unknown {param}: %v", err)
	}
}
