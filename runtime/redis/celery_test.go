package redis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/task"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// fleet is a RabbitMQ and a Redis that Go and Python share.
type fleet struct {
	*testing.T
	ctx             context.Context
	python          string
	broker, results string
	queue           string // a classic one, as Celery declares it
}

func newFleet(t *testing.T) *fleet {
	t.Parallel()
	u, _ := server(t)
	f := &fleet{T: t, results: u.String(), broker: os.Getenv("TASKGEN_TEST_AMQP"), python: os.Getenv("TASKGEN_TEST_PYTHON"), queue: "redis-" + uuid.NewString()}
	if f.broker == "" || f.python == "" {
		t.Skip("TASKGEN_TEST_AMQP (scripts/rabbitmq.sh start) or TASKGEN_TEST_PYTHON (scripts/celery.sh) is not set")
	}
	var cancel context.CancelFunc
	f.ctx, cancel = context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return f
}

func (f *fleet) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// transport is RabbitMQ with results in Redis.
func (f *fleet) transport() task.Transport {
	f.Helper()
	broker, err := rabbitmq.Open(f.ctx, f.broker)
	f.check(err)
	s := open(f, f.results)
	t := task.WithResults(broker, s)
	f.Cleanup(func() { f.check(t.Close()) })
	return t
}

// peer is a Python client.
type peer struct {
	f  *fleet
	mu sync.Mutex
	in io.WriteCloser
	*bufio.Scanner
}

// start starts peer.py.
func (f *fleet) start(args ...string) (*exec.Cmd, io.WriteCloser, io.ReadCloser) {
	f.Helper()
	cmd := exec.CommandContext(f.ctx, f.python, append([]string{"testdata/peer.py"}, args...)...)
	in, err := cmd.StdinPipe()
	f.check(err)
	out, err := cmd.StdoutPipe()
	f.check(err)
	problems := new(strings.Builder)
	cmd.Stderr = problems
	f.check(cmd.Start())
	f.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if f.Failed() {
			f.Logf("Python says:\n%s", problems)
		}
	})
	return cmd, in, out
}

// client starts a Python client, which has declared the queue.
func (f *fleet) client() *peer {
	f.Helper()
	_, in, out := f.start("client", f.broker, f.results)
	p := &peer{f: f, in: in, Scanner: bufio.NewScanner(out)}
	p.ask(map[string]any{"do": "declare", "queue": f.queue})
	return p
}

type answer struct {
	ID, State, Type, Module, Text, Info, Traceback, Broken string
	Bases                                                  []string
	Value                                                  json.RawMessage
	Children                                               []any
	Timeout                                                bool
	DateDone                                               string `json:"date_done"`
}

// ask has the peer do something.
func (p *peer) ask(command map[string]any) (a answer) {
	p.f.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.f.check(json.NewEncoder(p.in).Encode(command))
	if !p.Scan() {
		p.f.Fatalf("the Python client has ended: %v", p.Err())
	}
	p.f.check(json.Unmarshal(p.Bytes(), &a))
	if a.Broken != "" {
		p.f.Fatalf("the Python client can't %v: %s", command, a.Broken)
	}
	return a
}

// send sends a task to the queue.
func (p *peer) send(name string, kwargs map[string]any, options map[string]any) string {
	p.f.Helper()
	if options == nil {
		options = map[string]any{}
	}
	options["queue"] = p.f.queue
	return p.ask(map[string]any{"do": "send", "task": name, "kwargs": kwargs, "options": options}).ID
}

func (p *peer) get(id string) answer { return p.ask(map[string]any{"do": "get", "id": id}) }

// worker starts a Python worker for the queue.
func (f *fleet) worker() {
	f.Helper()
	f.start("worker", f.broker, f.results, f.queue)
}

// numbers are the arguments of the Go tasks.
type numbers struct {
	X, Y int64
	Text string
}

func (n *numbers) Visit(f codec.Fields) {
	codec.Int(f.Field("x"), &n.X)
	codec.Int(f.Field("y"), &n.Y)
	codec.String(f.Field("text"), &n.Text)
}

// OverdrawnError is what a Go task fails with.
type OverdrawnError struct{ text string }

func (e *OverdrawnError) Error() string { return e.text }

// values are a result with all that may go wrong on the way.
type values struct {
	Big  uint64
	None *int
	Text string
	List []any
	Raw  json.RawMessage
	Data []byte
}

// goTasks are the tasks of the Go worker.
func (f *fleet) goTasks() *task.Registry {
	r := task.NewRegistry()
	spec := func(name string) task.Spec {
		return task.Spec{Name: name, Queue: f.queue, DefaultRetryDelay: new(time.Duration(0)), MaxRetries: new(1)}
	}
	task.Define[numbers](spec("go.add"), codec.Int[int64]).Handle(r, func(_ context.Context, n *numbers) (int64, error) { return n.X + n.Y, nil })
	text := func(name string, run func(context.Context, *numbers) (string, error)) {
		task.Define[numbers](spec(name), codec.String[string]).Handle(r, run)
	}
	text("go.fail", func(_ context.Context, n *numbers) (string, error) { return "", &OverdrawnError{n.Text} })
	text("go.panic", func(_ context.Context, n *numbers) (string, error) { panic(n.Text) })
	text("go.retry", func(context.Context, *numbers) (string, error) { return "", task.RetryIn(0, nil) })
	text("go.wait", func(_ context.Context, _ *numbers) (string, error) {
		return "", task.RetryIn(time.Hour, errors.New("not today"))
	})
	limited := spec("go.slow")
	limited.Timeout, limited.TrackStarted = time.Second, true
	task.Define[numbers](limited, codec.String[string]).Handle(r, func(ctx context.Context, _ *numbers) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	})
	task.Define[numbers](spec("go.values"), func(v codec.Value, x *values) { codec.Any(v, x) }).Handle(r, func(_ context.Context, _ *numbers) (values, error) {
		return values{
			Big: 1<<64 - 1, Text: "grüße", List: []any{1, nil, []any{"x"}},
			Raw: json.RawMessage(`{"a": [1.10]}`), Data: []byte{0, 255},
		}, nil
	})
	return r
}

// goWorker starts a Go worker.
func (f *fleet) goWorker() {
	f.Helper()
	w, err := task.NewWorker(f.transport(), f.goTasks(), task.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	f.check(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.ctx))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	f.Cleanup(func() {
		cancel()
		f.check(<-ended)
	})
}

// A Python client, which knows nothing of Go, reads what Go tasks end with.
func TestPythonReadsResults(t *testing.T) {
	f := newFleet(t)
	python := f.client()
	f.goWorker()

	for _, serializer := range []string{"json", "msgpack"} {
		id := python.send("go.add", map[string]any{"x": 2, "y": int64(1) << 40, "text": ""}, map[string]any{"serializer": serializer})
		if a := python.get(id); string(a.Value) != "1099511627778" || a.State != "SUCCESS" || a.Children == nil || len(a.Children) != 0 {
			t.Errorf("%s: go.add ended with %s %s, children %v, %s %s", serializer, a.State, a.Value, a.Children, a.Type, a.Text)
		}
		a := python.get(python.send("go.values", map[string]any{"x": 0, "y": 0, "text": ""}, map[string]any{"serializer": serializer}))
		const want = `{"Big": 18446744073709551615, "None": null, "Text": "gr\u00fc\u00dfe", "List": [1, null, ["x"]], "Raw": {"a": [1.1]}, "Data": "AP8="}`
		if string(a.Value) != want {
			t.Errorf("%s: go.values returned %s %s %s\nwant %s", serializer, a.Value, a.Type, a.Text, want)
		}
	}

	none := map[string]any{"x": 0, "y": 0, "text": "over the quota"}
	for _, test := range []struct {
		name, task    string
		kwargs        map[string]any
		options       map[string]any
		state         string
		exc, module   string
		text          string
		needTraceback bool
	}{
		{"a Go error", "go.fail", none, nil, "FAILURE", "OverdrawnError", "", "over the quota", false},
		{"a panic", "go.panic", none, nil, "FAILURE", "PanicError", "", "over the quota", true},
		{"no such task", "go.gone", none, nil, "FAILURE", "NotRegistered", "celery.exceptions", "go.gone", false},
		{"wrong arguments", "go.add", map[string]any{"x": 1}, nil, "FAILURE", "TypeError", "builtins", "y", false},
		{"a timeout", "go.slow", none, nil, "FAILURE", "SoftTimeLimitExceeded", "billiard.exceptions", "1s", false},
		{"retries end", "go.retry", none, nil, "FAILURE", "MaxRetriesExceededError", "celery.exceptions", "limit of 1", false},
	} {
		a := python.get(python.send(test.task, test.kwargs, test.options))
		if a.State != test.state || a.Type != test.exc || test.module != "" && a.Module != test.module ||
			!strings.Contains(a.Text, test.text) || !slices.Contains(a.Bases, "Exception") || test.needTraceback && a.Traceback == "" || a.DateDone == "None" {
			t.Errorf("%s: %+v", test.name, a)
		}
	}

	// The step after one that fails has the same error, which names that one to Go alone.
	last := "last-" + f.queue
	python.send("go.fail", none, map[string]any{"chain": []any{map[string]any{
		"task": "go.add", "args": []any{}, "kwargs": map[string]any{}, "options": map[string]any{"task_id": last, "queue": f.queue}, "subtask_type": nil, "immutable": true,
	}}})
	if a := python.get(last); a.State != "FAILURE" || a.Type != "OverdrawnError" || a.Text != "over the quota" {
		t.Errorf("the step after one that fails: %+v", a)
	}

	// Celery's client and RabbitMQ would drop it between them.
	ctx := task.WithClient(f.ctx, task.NewClient(f.transport(), task.ClientConfig{}))
	late, err := task.Define[numbers](task.Spec{Name: "go.add", Queue: f.queue}, codec.Int[int64]).With(task.ExpiresAt(time.Unix(0, 0))).Send(ctx, &numbers{})
	f.check(err)
	if a := python.get(late.ID); a.State != "REVOKED" || a.Type != "TaskRevokedError" || a.Module != "celery.exceptions" || a.Text != "expired" {
		t.Errorf("too late: %+v", a)
	}

	retried := python.send("go.wait", none, nil)
	for {
		a := python.ask(map[string]any{"do": "state", "id": retried})
		if a.State == "RETRY" && strings.Contains(a.Info, "not today") {
			break
		}
		if a.State != "PENDING" || f.ctx.Err() != nil {
			t.Fatalf("a task that waits for a retry is %s, %s", a.State, a.Info)
		}
	}
	started := python.send("go.slow", none, nil)
	for python.ask(map[string]any{"do": "state", "id": started}).State != "STARTED" {
		f.check(f.ctx.Err())
	}
}

// A Go client reads what Python tasks end with.
func TestGoReadsResults(t *testing.T) {
	f := newFleet(t)
	f.client() // declares the queue
	f.worker()
	ctx := task.WithClient(f.ctx, task.NewClient(f.transport(), task.ClientConfig{Serializer: "json"}))
	spec := func(name string) task.Spec { return task.Spec{Name: name, Queue: f.queue, Serializer: "json"} }

	add := task.Define[sum](spec("py.add"), codec.Int[int64])
	var calls []*task.Call[int64]
	for i := range int64(20) {
		call, err := add.Send(ctx, &sum{i, 1})
		f.check(err)
		calls = append(calls, call)
	}
	for i, call := range calls {
		if got, err := call.Get(ctx); got != int64(i)+1 || err != nil {
			t.Errorf("%d + 1 = %d, %v", i, got, err)
		}
	}

	call, err := task.Define[said](spec("py.fail"), codec.String[string]).Send(ctx, &said{"no entry"})
	f.check(err)
	_, err = call.Get(ctx)
	failure, ok := errors.AsType[*task.TaskError](err)
	if !ok || failure.Type != "ValueError" || failure.Module != "builtins" || failure.Message != "no entry" || !strings.Contains(failure.Traceback, "peer.py") {
		t.Errorf("py.fail ended with %#v", err)
	}

	retry, err := task.Define[countdown](spec("py.retry"), codec.String[string]).Send(ctx, &countdown{1})
	f.check(err)
	for {
		status, err := retry.Status(ctx)
		f.check(err)
		if status.State == task.Retried {
			if status.Err.Type != "KeyError" {
				t.Errorf("a retry is told as %v", status.Err)
			}
			break
		}
		if status.State.Final() {
			t.Fatalf("py.retry ended with %v before it was seen to wait", status.Err)
		}
		time.Sleep(5 * time.Millisecond)
	}

	tree, err := task.Define[nothing](spec("py.values"), func(v codec.Value, x *any) { codec.Any(v, x) }).Send(ctx, &nothing{})
	f.check(err)
	got, err := tree.Get(ctx)
	f.check(err)
	m, _ := got.(map[string]any)
	if m["big"] == nil || m["none"] != nil || m["text"] != "grüße" {
		t.Errorf("py.values returned %#v", got)
	}
}

type (
	sum       struct{ X, Y int64 }
	said      struct{ Text string }
	countdown struct{ Countdown int64 }
	nothing   struct{}
)

func (a *sum) Visit(f codec.Fields) {
	codec.Int(f.Field("x"), &a.X)
	codec.Int(f.Field("y"), &a.Y)
}
func (a *said) Visit(f codec.Fields)      { codec.String(f.Field("text"), &a.Text) }
func (a *countdown) Visit(f codec.Fields) { codec.Int(f.Field("countdown"), &a.Countdown) }
func (*nothing) Visit(codec.Fields)       {}

// Parts of one chord run in Python and in Go; whichever is last has all of them.
func TestChordOfBoth(t *testing.T) {
	f := newFleet(t)
	python := f.client()
	goQueue := f.queue + "-go"
	python.ask(map[string]any{"do": "declare", "queue": goQueue})
	chord := func() string {
		return python.ask(map[string]any{"do": "chord", "queue": f.queue, "header": []map[string]any{
			{"task": "py.add", "args": []int{1, 2}, "queue": f.queue},
			{"task": "go.part", "args": []int{}, "queue": goQueue},
		}}).ID
	}
	s := open(t, f.results)
	deliveries := make(chan *task.Delivery, 10)
	consumer, err := f.transport().Consume(task.ConsumeConfig{
		Worker: "go@test", Subscriptions: []task.Subscription{{Queue: goQueue, Prefetch: 10}},
		Deliver: func(d *task.Delivery) { deliveries <- d },
	})
	f.check(err)
	t.Cleanup(func() { f.check(consumer.Close()) })
	// end ends the Go part of a chord with a value.
	end := func(value string) []task.ChordPart {
		select {
		case d := <-deliveries:
			group, _ := d.Message.Headers["group"].(string)
			parts, err := s.EndChordPart(f.ctx, group, task.ChordPart{ID: d.Message.ID, Index: 1, State: task.Success, ContentType: "application/json", Body: []byte(value)})
			f.check(err)
			f.check(consumer.Settle(f.ctx, d, task.Outcome{}))
			return parts
		case <-f.ctx.Done():
			t.Fatal("the Go part of the chord never came")
			return nil
		}
	}

	// Go first: no Python worker runs yet.
	body := chord()
	if parts := end("39"); parts != nil {
		t.Errorf("one of two parts brings %v", parts)
	}
	f.worker()
	if a := python.get(body); string(a.Value) != "42" {
		t.Errorf("the sum that Python made of both is %+v", a)
	}

	// Python first.
	chord()
	var first string
	for first == "" { // its part is the only task that this worker has
		d := <-deliveries
		group, _ := d.Message.Headers["group"].(string)
		first = group
		deliveries <- d
	}
	f.eventuallyEnded(first)
	parts := end(`"from Go"`)
	if len(parts) != 2 || string(parts[0].Body) != "3" || parts[0].State != task.Success || string(parts[1].Body) != `"from Go"` {
		t.Fatalf("the last part, Go's, brings %+v", parts)
	}
	f.check(s.ForgetChord(f.ctx, first))
	if n, err := f.redis().Exists(f.ctx, "celery-taskset-meta-"+first+".j", "celery-taskset-meta-"+first+".s", "celery-taskset-meta-"+first+".t").Result(); n != 0 || err != nil {
		t.Errorf("%d keys of the chord are left, %v", n, err)
	}
}

// redis is a plain client.
func (f *fleet) redis() *goredis.Client {
	options, err := goredis.ParseURL(f.results)
	f.check(err)
	c := goredis.NewClient(options)
	f.Cleanup(func() { f.check(c.Close()) })
	return c
}

// eventuallyEnded waits until a part of a chord has ended.
func (f *fleet) eventuallyEnded(group string) {
	f.Helper()
	for c := f.redis(); ; {
		n, err := c.ZCard(f.ctx, "celery-taskset-meta-"+group+".j").Result()
		f.check(err)
		if n == 1 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
