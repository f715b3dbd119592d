package tasktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// guideTests prove rows of docs/celery-guide.md that no other group does.
var guideTests = map[string]func(*testing.T, *world){
	"a task of somebody else's function":      testFunc,
	"a task without arguments or result":      testNoArguments,
	"hooks of the task and of the worker":     testHooks,
	"hooks of a struct":                       testStructHooks,
	"a hook that panics changes nothing":      testHookPanics,
	"hooks see wrong arguments":               testHookRejection,
	"a retry goes to the same destination":    testRetryDestination,
	"countdown overrides the retry delay":     testRetryCountdown,
	"retries without end":                     testRetryForever,
	"STARTED is tracked where asked for":      testStarted,
	"a rate limit changes while it works":     testRateLimitChange,
	"the worker's own rate limits":            testWorkerRateLimits,
	"urgent tasks run first":                  testTaskPriority,
	"a serializer of one's own":               testCustomSerializer,
	"unregistered serializers":                testUnknownSerializer,
	"the client's default serializer":         testClientSerializer,
	"a routing key without exchange":          testDefaultExchange,
	"nobody takes an immediate task":          testImmediateAlone,
	"immediate tasks take free slots only":    testImmediateSlots,
	"immediate tasks and a worker that stops": testImmediateStop,
	"immediate tasks keep to the rate limit":  testImmediateRateLimit,
	"missing and extra arguments":             testArgumentsDiffer,
	"a task too small to send is told of":     testGranularity,
	"results expire":                          testResultExpires,
	"built-in tasks":                          testBuiltIn,
	"a list in one message":                   testMap,
}

// handler answers the arguments' text.
func answer(_ context.Context, a *Args) (string, error) { return a.Text, nil }

type resize struct {
	Path   string `json:"path"`
	Width  int    `json:"width"`
	Secret []byte `json:"secret"`
}

func testFunc(t *testing.T, w *world) {
	upper := task.New("conformance.upper", func(ctx context.Context, s string) (string, error) {
		if s == "again" && task.InfoFrom(ctx).Retries == 0 {
			return "", task.RetryIn(0, errors.New("once more"))
		}
		return strings.ToUpper(s), nil
	}, task.Spec{Queue: w.queue})
	shrink := task.New("conformance.shrink", func(_ context.Context, r resize) (resize, error) {
		r.Width /= 2
		return r, nil
	}, task.Spec{Queue: w.queue, Serializer: "json", RoutingKey: "", MaxRetries: new(0)})
	r := task.NewRegistry()
	upper.Register(r)
	shrink.Register(r)
	w.run(r, task.WorkerConfig{})
	ctx := w.client()
	for in, want := range map[string]string{"ada": "ADA", "again": "AGAIN"} {
		call, err := upper.Delay(ctx, in)
		w.check(err)
		if got, err := call.Get(ctx); got != want {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
	in := resize{"a.png", 1 << 40, []byte{0, 255}}
	call, err := shrink.With(task.Priority(1)).Delay(ctx, in)
	w.check(err)
	got, err := call.Get(ctx)
	if diff := cmp.Diff(resize{in.Path, in.Width / 2, in.Secret}, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	calls, err := upper.DelayMany(ctx, []string{"a", "b"})
	w.check(err)
	for i, want := range []string{"A", "B"} {
		if got, err := calls[i].Get(ctx); got != want {
			t.Errorf("element %d: %q, %v", i, got, err)
		}
	}
	for name, want := range map[string]string{
		"conformance.upper":  "(value string) string",
		"conformance.shrink": "(path string, width int, secret []byte) tasktest.resize",
	} {
		if e, _ := r.Lookup(name); e.Signature() != want {
			t.Errorf("%s%s, want %s", name, e.Signature(), want)
		}
	}
}

func testNoArguments(t *testing.T, w *world) {
	var ran atomic.Int64
	tick := task.New("conformance.tick", func(context.Context, task.None) (task.None, error) {
		ran.Add(1)
		return task.None{}, nil
	}, task.Spec{Queue: w.queue})
	r := task.NewRegistry()
	tick.Register(r)
	w.run(r, task.WorkerConfig{})
	ctx := w.client()
	call, err := tick.Delay(ctx, task.None{})
	w.check(err)
	if _, err := call.Get(ctx); err != nil || ran.Load() != 1 {
		t.Errorf("%v, ran %d times", err, ran.Load())
	}
	if e, _ := r.Lookup("conformance.tick"); e.Signature() != "()" {
		t.Errorf("signature %s", e.Signature())
	}
}

// journal is what hooks have seen.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(hook string) func(context.Context, *task.Attempt) {
	return func(ctx context.Context, a *task.Attempt) {
		line := fmt.Sprintf("%s %s %d", hook, a.State, a.Info.Retries)
		if a.Err != nil {
			line += " " + a.Err.Error()
		}
		if a.Result != nil {
			line += fmt.Sprintf(" %q", a.Result)
		}
		if args, ok := a.Args.(*Args); ok {
			line += " args " + args.Text
		}
		if info := task.InfoFrom(ctx); info.ID != a.Info.ID || info.ID == "" {
			line += " in a wrong context"
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, line)
	}
}

func (j *journal) hooks(prefix string) task.Hooks {
	return task.Hooks{
		OnSuccess: j.note(prefix + "success"), OnRetry: j.note(prefix + "retry"),
		OnFailure: j.note(prefix + "failure"), AfterReturn: j.note(prefix + "return"),
	}
}

func (j *journal) read() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// flaky fails once, or for ever.
func flaky(ctx context.Context, a *Args) (string, error) {
	switch {
	case a.Text == "never":
		return "", errors.New("no use")
	case task.InfoFrom(ctx).Retries == 0:
		return "", task.RetryIn(0, errors.New("not yet"))
	}
	return "done", nil
}

func testHooks(t *testing.T, w *world) {
	var j journal
	try := w.define("try")
	r := task.NewRegistry()
	try.Handle(r, flaky, j.hooks("task "))
	w.run(r, task.WorkerConfig{Hooks: []task.Hooks{{AfterReturn: j.note("worker return")}}})
	ctx := w.client()
	_, err := w.send(ctx, try, Args{Text: "x"}).Get(ctx)
	w.check(err)
	w.failed(ctx, w.send(ctx, try, Args{Text: "never"}))
	want := []string{
		"task retry RETRY 0 not yet args x", "task return RETRY 0 not yet args x", "worker return RETRY 0 not yet args x",
		`task success SUCCESS 1 "done" args x`, `task return SUCCESS 1 "done" args x`, `worker return SUCCESS 1 "done" args x`,
		"task failure FAILURE 0 no use args never", "task return FAILURE 0 no use args never", "worker return FAILURE 0 no use args never",
	}
	if diff := cmp.Diff(want, j.read()); diff != "" {
		t.Errorf("hooks (-want +got):\n%s", diff)
	}
}

// base is what an abstract struct is: hooks for the tasks of those who embed it.
type base struct{ seen chan string }

func (b *base) OnFailure(_ context.Context, a *task.Attempt) {
	b.seen <- "failure: " + a.Err.Error() + " " + a.Arguments()
}

type mailer struct{ base }

func (m *mailer) AfterReturn(_ context.Context, a *task.Attempt) {
	m.seen <- "return: " + string(a.State)
}

// stranger has a method with the name of a hook that is none.
type stranger struct{}

func (stranger) OnRetry(int) {}

func testStructHooks(t *testing.T, w *world) {
	m := &mailer{base{make(chan string, 10)}}
	send := w.define("send", func(s *task.Spec) { s.Secret = []string{"number"} })
	r := task.NewRegistry()
	send.Handle(r, flaky, task.HooksOf(m))
	w.run(r, task.WorkerConfig{})
	ctx := w.client()
	w.failed(ctx, w.send(ctx, send, Args{Text: "never", Number: 42}))
	for _, want := range []string{"failure: no use {'text': 'never', 'number': '***', 'list': []}", "return: FAILURE"} {
		if got := <-m.seen; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// A registry that only lists tasks has no values.
	nothing := task.NewRegistry()
	send.Handle(nothing, flaky, task.HooksOf((*mailer)(nil)))
	w.check(nothing.Err())
	wrong := task.NewRegistry()
	send.Handle(wrong, flaky, task.HooksOf(stranger{}))
	if err := wrong.Err(); err == nil || !strings.Contains(err.Error(), "OnRetry") {
		t.Errorf("a method that looks like a hook: %v", err)
	}
}

func testHookPanics(t *testing.T, w *world) {
	fine := w.define("fine")
	r := task.NewRegistry()
	fine.Handle(r, answer, task.Hooks{OnSuccess: func(context.Context, *task.Attempt) { panic("hook") }})
	w.run(r, task.WorkerConfig{})
	ctx := w.client()
	for range 2 {
		if got, err := w.send(ctx, fine, Args{Text: "x"}).Get(ctx); got != "x" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func testHookRejection(t *testing.T, w *world) {
	var j journal
	fine := w.define("fine")
	r := task.NewRegistry()
	fine.Handle(r, answer, task.Hooks{OnFailure: j.note("failure")})
	w.run(r, task.WorkerConfig{})
	ctx := w.client()
	other := task.Define[otherArgs](task.Spec{Name: fine.Name(), Queue: w.queue}, codec.String[string])
	call, err := other.Send(ctx, &otherArgs{Text: 7})
	w.check(err)
	w.failed(ctx, call)
	if lines := j.read(); len(lines) != 1 || !strings.HasPrefix(lines[0], "failure FAILURE 0") || !strings.Contains(lines[0], "text") {
		t.Errorf("the hook saw %q", lines)
	}
}

func testRetryDestination(t *testing.T, w *world) {
	other := w.queue + "-other"
	again := w.define("again")
	places := make(chan task.Info, 2)
	w.work(task.WorkerConfig{Queues: []task.QueueConfig{{Name: w.queue}, {Name: other}}}, handle{again, func(ctx context.Context, a *Args) (string, error) {
		places <- task.InfoFrom(ctx)
		if task.InfoFrom(ctx).Retries == 0 {
			return "", task.RetryIn(0, nil)
		}
		return a.Text, nil
	}})
	ctx := w.client()
	call := w.send(ctx, again.With(task.Queue(other), task.Priority(2)), Args{Text: "x"})
	_, err := call.Get(ctx)
	w.check(err)
	for retries := range 2 {
		got := <-places
		if got.ID != call.ID || got.Retries != retries || got.Delivery.Queue != other || got.Delivery.Priority != 2 {
			t.Errorf("attempt %d: %+v", retries, got)
		}
	}
}

func testRetryCountdown(t *testing.T, w *world) {
	slow := w.define("slow", func(s *task.Spec) { s.DefaultRetryDelay = new(time.Hour) })
	w.work(task.WorkerConfig{}, handle{slow, func(ctx context.Context, a *Args) (string, error) {
		if task.InfoFrom(ctx).Retries == 0 {
			return "", slow.With(task.In(10*time.Millisecond)).Again(ctx, nil, a)
		}
		return a.Text, nil
	}})
	ctx := w.client()
	if got, err := w.send(ctx, slow, Args{Text: "x"}).Get(ctx); got != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testRetryForever(t *testing.T, w *world) {
	stubborn := w.define("stubborn", func(s *task.Spec) { s.MaxRetries = new(task.Forever) })
	w.work(task.WorkerConfig{}, handle{stubborn, func(ctx context.Context, _ *Args) (string, error) {
		if retries := task.InfoFrom(ctx).Retries; retries < 10 {
			return "", task.RetryIn(0, nil)
		}
		return "at last", nil
	}})
	ctx := w.client()
	if got, err := w.send(ctx, stubborn, Args{}).Get(ctx); got != "at last" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testStarted(t *testing.T, w *world) {
	tracked := w.define("tracked", func(s *task.Spec) { s.TrackStarted = true })
	plain := w.define("plain")
	running, finish := make(chan string, 2), make(chan struct{})
	wait := func(ctx context.Context, a *Args) (string, error) {
		running <- task.InfoFrom(ctx).Name
		<-finish
		return a.Text, nil
	}
	w.work(task.WorkerConfig{}, handle{tracked, wait}, handle{plain, wait})
	ctx := w.client()
	calls := map[task.State]*task.Call[string]{
		task.Started: w.send(ctx, tracked, Args{Text: "x"}),
		task.Pending: w.send(ctx, plain, Args{Text: "x"}),
	}
	<-running
	<-running
	for want, call := range calls {
		w.eventually("the state is "+string(want), func() bool {
			status, err := call.Status(ctx)
			w.check(err)
			return status.State == want
		})
	}
	close(finish)
	for _, call := range calls {
		if got, err := call.Get(ctx); got != "x" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func testRateLimitChange(t *testing.T, w *world) {
	rare := w.define("rare", func(s *task.Spec) { s.RateLimit = task.PerHour })
	worker := w.work(task.WorkerConfig{}, handle{rare, answer})
	ctx := w.client()
	var calls []*task.Call[string]
	for range 5 {
		calls = append(calls, w.send(ctx, rare, Args{Text: "x"}))
	}
	w.eventually("one of them runs", func() bool {
		return slices.ContainsFunc(calls, func(c *task.Call[string]) bool {
			status, err := c.Status(ctx)
			w.check(err)
			return status.State == task.Success
		})
	})
	w.check(worker.SetRateLimit(rare.Name(), task.Unlimited))
	for i, call := range calls {
		if _, err := call.Get(ctx); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if err := worker.SetRateLimit("nosuch", 1); err == nil {
		t.Error("a limit for an unknown task was taken")
	}
}

func testWorkerRateLimits(t *testing.T, w *world) {
	// Each may run once an hour but the one that says otherwise.
	limited, free, named := w.define("limited"), w.define("free", func(s *task.Spec) { s.RateLimit = task.Unlimited }), w.define("named")
	w.work(task.WorkerConfig{DefaultRateLimit: task.PerHour, RateLimits: map[string]task.Rate{named.Name(): task.Unlimited}},
		handle{limited, answer}, handle{free, answer}, handle{named, answer})
	ctx := w.client()
	for _, unlimited := range []suiteTask{free, named} {
		for range 3 {
			_, err := w.send(ctx, unlimited, Args{}).Get(ctx)
			w.check(err)
		}
	}
	_, err := w.send(ctx, limited, Args{}).Get(ctx)
	w.check(err)
	waits, cancel := context.WithTimeout(ctx, 10*quiet)
	defer cancel()
	if _, err := w.send(ctx, limited, Args{}).Get(waits); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), task.ClientFrom(ctx).Transport().String()) {
		t.Errorf("a second run within the hour: %v", err)
	}
}

func testTaskPriority(t *testing.T, w *world) {
	ordered := w.define("ordered", func(s *task.Spec) { s.Priority = new(5) })
	ctx := w.client()
	var calls []*task.Call[string]
	for _, p := range []int{9, 5, 0, 3, 7} {
		calls = append(calls, w.send(ctx, ordered.With(task.Priority(p)), Args{Number: int64(p)}))
	}
	var mu sync.Mutex
	var order []int64
	w.work(task.WorkerConfig{Concurrency: 1}, handle{ordered, func(_ context.Context, a *Args) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, a.Number)
		return "", nil
	}})
	for _, call := range calls {
		_, err := call.Get(ctx)
		w.check(err)
	}
	if want := []int64{0, 3, 5, 7, 9}; !slices.Equal(order, want) {
		t.Errorf("ran in the order %v, want %v", order, want)
	}
}

// lines is a serializer of the suite's own: a tree as Go prints it would be no format, so it is JSON
// with a comment before it.
var registerLines = sync.OnceValue(func() error {
	json, _ := codec.ByName("json")
	return codec.Register(codec.NewSerializer("conformance-lines", "application/x-conformance-lines", "utf-8",
		func(tree any) ([]byte, error) {
			text, err := json.EncodeMap(func(f codec.Fields) { codec.Any(f.Field("tree"), &tree) })
			return append([]byte("# conformance\n"), text...), err
		},
		func(data []byte, p any) error {
			text, ok := bytes.CutPrefix(data, []byte("# conformance\n"))
			if !ok {
				return errors.New("the comment is missing")
			}
			tree, err := json.DecodeTree(text)
			if fields, ok := tree.(map[string]any); ok {
				*p.(*any) = fields["tree"]
			}
			return err
		}))
})

func testCustomSerializer(t *testing.T, w *world) {
	w.check(registerLines())
	echo := w.define("echo", func(s *task.Spec) { s.Serializer = "conformance-lines" })
	w.work(task.WorkerConfig{}, handle{echo, func(_ context.Context, a *Args) (string, error) {
		return fmt.Sprint(a.Text, a.Number, a.List), nil
	}})
	ctx := w.client()
	if got, err := w.send(ctx, echo, Args{Text: "ü", Number: 1 << 60, List: []string{"a"}}).Get(ctx); got != "ü1152921504606846976 [a]" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testUnknownSerializer(t *testing.T, w *world) {
	pickled := w.define("pickled", func(s *task.Spec) { s.Serializer = "pickle" })
	r := task.NewRegistry()
	pickled.Handle(r, answer)
	_, starting := task.NewWorker(w.open(), r, task.WorkerConfig{})
	_, sending := pickled.Send(w.client(), &Args{})
	for _, err := range []error{starting, sending} {
		if err == nil || !strings.Contains(err.Error(), `"pickle"`) || !strings.Contains(err.Error(), "msgpack") {
			t.Errorf("%v: want the unknown name, and those that are registered", err)
		}
	}
}

func testClientSerializer(t *testing.T, w *world) {
	in := w.consume(w.open(), task.Subscription{})
	ctx := task.WithClient(w.ctx, task.NewClient(w.open(), task.ClientConfig{Serializer: "yaml", Compression: "gzip"}))
	w.send(ctx, w.define("plain"), Args{Text: "x"})
	w.send(ctx, w.define("own", func(s *task.Spec) { s.Serializer = "json" }), Args{Text: "x"})
	for _, want := range []string{"application/x-yaml", "application/json"} {
		d := in.next()
		if d.Message.ContentType != want || d.Message.Headers["compression"] == nil {
			t.Errorf("content type %s, headers %v; want %s, compressed", d.Message.ContentType, d.Message.Headers, want)
		}
		in.settle(d, task.Outcome{})
	}
}

func testDefaultExchange(t *testing.T, w *world) {
	sited := task.Define[Args](task.Spec{Name: "conformance.sited", RoutingKey: w.queue + "-{text}"}, codec.String[string])
	ctx := w.client()
	call := w.send(ctx, sited, Args{Text: "eu"})
	w.work(task.WorkerConfig{Queues: []task.QueueConfig{{Name: w.queue + "-eu"}}}, handle{sited, func(ctx context.Context, _ *Args) (string, error) {
		return task.InfoFrom(ctx).Delivery.Queue, nil
	}})
	if got, err := call.Get(ctx); got != w.queue+"-eu" {
		t.Errorf("ran in queue %q, %v", got, err)
	}
	if _, err := sited.Send(ctx, &Args{Text: "no queue"}); err == nil || !strings.Contains(err.Error(), "no queue") {
		t.Errorf("a key that is no name of a queue: %v", err)
	}
}

func testArgumentsDiffer(t *testing.T, w *world) {
	join := w.define("join")
	w.work(task.WorkerConfig{}, handle{join, answer})
	ctx := w.client()
	for want, visit := range map[string]func(codec.Fields){
		`argument "list": missing`: func(f codec.Fields) {
			codec.String(f.Field("text"), new(string))
			codec.Int(f.Field("number"), new(int))
		},
		`argument "colour": `: func(f codec.Fields) {
			new(Args).Visit(f)
			codec.String(f.Field("colour"), new(string))
		},
	} {
		visitDiffering := visit
		older := task.Define[differing](task.Spec{Name: join.Name(), Queue: w.queue}, codec.String[string])
		call, err := older.Send(ctx, &differing{visitDiffering})
		w.check(err)
		if failure := w.failed(ctx, call); failure.Type != "TypeError" || !strings.Contains(failure.Message, want) {
			t.Errorf("%v; want %q", failure, want)
		}
		if dead := w.deadLetter(); dead.Reason != task.ReasonBadArguments {
			t.Errorf("parked as %+v", dead)
		}
	}
	if got, err := w.send(ctx, join, Args{Text: "x"}).Get(ctx); got != "x" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
}

// differing are the arguments of another version of a task.
type differing struct{ visit func(codec.Fields) }

// Visit visits them.
func (d *differing) Visit(f codec.Fields) { d.visit(f) }

func testGranularity(t *testing.T, w *world) {
	tiny, slow := w.define("tiny"), w.define("slow")
	var log syncBuffer
	r := task.NewRegistry()
	tiny.Handle(r, answer)
	slow.Handle(r, func(_ context.Context, a *Args) (string, error) {
		time.Sleep(20 * time.Millisecond)
		return a.Text, nil
	})
	worker := w.run(r, task.WorkerConfig{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	ctx := w.client()
	for name, many := range map[string]suiteTask{"tiny": tiny, "slow": slow} {
		calls, err := many.DelayMany(ctx, make([]Args, 150))
		w.check(err)
		for _, call := range calls {
			if _, err := call.Get(ctx); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	w.eventually("all runs are counted", func() bool {
		stats := worker.Stats()
		return len(stats.Tasks) == 2 && stats.Tasks[0].Succeeded == 150 && stats.Tasks[1].Succeeded == 150
	})
	stats := worker.Stats().Tasks
	if stats[0].Name != slow.Name() || stats[0].InLine() || stats[0].MeanRun < 20*time.Millisecond || stats[0].MeanOverhead <= 0 {
		t.Errorf("the slow one: %+v", stats[0])
	}
	if !stats[1].InLine() {
		t.Errorf("the tiny one: %+v", stats[1])
	}
	if told := strings.Count(log.String(), "in line"); told != 1 {
		t.Errorf("the log tells it %d times:\n%s", told, log.String())
	}
}

func testResultExpires(t *testing.T, w *world) {
	if !w.StoresResults {
		t.Skip("this broker sends results, and stores none")
	}
	echo := w.define("echo")
	w.work(task.WorkerConfig{ResultTTL: time.Second}, handle{echo, answer})
	ctx := w.client()
	call := w.send(ctx, echo, Args{Text: "x"})
	_, err := call.Get(ctx)
	w.check(err)
	w.eventually("the result expires", func() bool {
		status, err := call.Status(ctx)
		w.check(err)
		return status.State == task.Pending
	})
}

// startBuiltIn starts a worker that has the built-in tasks besides echo, and returns a client's context.
func (w *world) startBuiltIn(echo suiteTask, h *builtin.HTTP) context.Context {
	r := task.NewRegistry()
	echo.Handle(r, flakyEcho)
	w.check(builtin.Register(r, h))
	w.run(r, task.WorkerConfig{})
	return w.client()
}

// flakyEcho answers its text, and fails if it is "fail".
func flakyEcho(_ context.Context, a *Args) (string, error) {
	if a.Text == "fail" {
		return "", errors.New("failed")
	}
	return a.Text, nil
}

func testBuiltIn(t *testing.T, w *world) {
	service := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		_, _ = fmt.Fprintf(out, `{"status": "success", "retval": %q}`, in.Method+" "+in.FormValue("x"))
	}))
	t.Cleanup(service.Close)
	echo := w.define("echo")
	ctx := w.startBuiltIn(echo, &builtin.HTTP{AllowedHosts: []string{strings.TrimPrefix(service.URL, "http://")}, AllowPrivate: true})
	here := task.Queue(w.queue)

	ping, err := builtin.Ping.With(here).Delay(ctx)
	w.check(err)
	if got, err := ping.Get(ctx); got != "pong" {
		t.Errorf("ping: %q, %v", got, err)
	}
	run, err := builtin.ByNameRun.With(here).Delay(ctx, echo.Name(), json.RawMessage(`["by name", 1, []]`))
	w.check(err)
	if got, err := run.Get(ctx); string(got) != `"by name"` {
		t.Errorf("run: %s, %v", got, err)
	}
	for _, method := range []string{"GET", "POST"} {
		call, err := builtin.HTTPCall.With(here).Delay(ctx, method, service.URL, json.RawMessage(`{"x": 7}`))
		w.check(err)
		if got, err := call.Get(ctx); string(got) != `"`+method+` 7"` {
			t.Errorf("http: %s, %v", got, err)
		}
	}
	deleted, err := builtin.DeleteExpiredResults.With(here).Delay(ctx)
	w.check(err)
	if got, err := deleted.Get(ctx); got != 0 || err != nil {
		t.Errorf("delete expired results: %d, %v", got, err)
	}
	stats, err := builtin.Stats.With(here).Delay(ctx)
	w.check(err)
	if got, err := stats.Get(ctx); len(got.Tasks) == 0 {
		t.Errorf("stats: %+v, %v", got, err)
	}
}

func testMap(t *testing.T, w *world) {
	echo := w.define("echo")
	ctx := w.startBuiltIn(echo, nil)
	call, err := echo.Map(ctx, []Args{{Text: "a"}, {Text: "b"}, {Text: "c"}})
	w.check(err)
	got, err := call.Get(ctx)
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	call, err = echo.Map(ctx, []Args{{Text: "a"}, {Text: "fail"}})
	w.check(err)
	if _, err := call.Get(ctx); err == nil || !strings.Contains(err.Error(), "item 2 of 2: failed") {
		t.Errorf("an element that fails: %v", err)
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}
