package tasktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
)

// canvasTests prove what follows a task: callbacks, chains and groups.
var canvasTests = map[string]func(*testing.T, *world){
	"a chain hands results on":                 testChain,
	"a chain that fails tells of every step":   testChainFails,
	"a step that takes no result":              testFollow,
	"a step of its own time and serializer":    testStepOptions,
	"callbacks and errbacks":                   testLinks,
	"a retry keeps what follows":               testRetryFollowed,
	"a callback of another type is refused":    testLinkType,
	"a group answers in order":                 testGroup,
	"a group at the end of a chain":            testGroupStep,
	"a result tells of what was sent":          testChildren,
	"signatures as Python sends them":          testPythonSignatures,
	"a message of protocol 1":                  testProtocol1,
	"a broken embed is parked and answered":    testBrokenEmbed,
	"steps after a parked message are told of": testParkedChain,
}

// pair are the arguments of sums and products.
type pair struct {
	X int `json:"x"`
	Y int `json:"y"`
}

// sums are the tasks of these tests, and what they note.
type sums struct {
	add, fail task.Func[pair, int]
	total     task.Func[[]int, int]
	heard     task.Func[heard, task.None]

	mu    sync.Mutex
	notes []string
	infos []task.Info
}

// heard are the arguments of a task that only notes them.
type heard struct {
	What string `json:"what"`
	Who  string `json:"who"`
}

var errSum = errors.New("no sum")

// sums starts a worker that can add.
func (w *world) sums(config task.WorkerConfig) *sums {
	w.Helper()
	s := &sums{}
	spec := task.Spec{Queue: w.queue}
	s.add = task.New("conformance.add", func(ctx context.Context, p pair) (int, error) {
		s.note(ctx, fmt.Sprint(p.X, "+", p.Y))
		return p.X + p.Y, nil
	}, spec)
	s.fail = task.New("conformance.fail", func(ctx context.Context, _ pair) (int, error) {
		s.note(ctx, "fail")
		return 0, errSum
	}, spec)
	s.total = task.New("conformance.total", func(ctx context.Context, list []int) (int, error) {
		s.note(ctx, fmt.Sprint("total", list))
		sum := 0
		for _, n := range list {
			sum += n
		}
		return sum, nil
	}, spec)
	s.heard = task.New("conformance.heard", func(ctx context.Context, h heard) (task.None, error) {
		s.note(ctx, h.What+" "+h.Who)
		return task.None{}, nil
	}, spec)
	r := task.NewRegistry()
	s.add.Register(r)
	s.fail.Register(r)
	s.total.Register(r)
	s.heard.Register(r)
	w.run(r, config)
	return s
}

func (s *sums) note(ctx context.Context, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, text)
	s.infos = append(s.infos, task.InfoFrom(ctx))
}

func (s *sums) noted(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.notes, text)
}

// plus adds y to the result before it.
func (s *sums) plus(y int) task.Step[int, int] {
	return task.NewStep(s.add.Task, &task.FuncArgs[pair]{Value: pair{Y: y}}, 0)
}

func (s *sums) sum() task.Step[[]int, int] {
	return task.NewStep(s.total.Task, &task.FuncArgs[[]int]{}, []int(nil))
}

// tell notes who, and the result before it.
func (s *sums) tell(who string) task.Step[string, task.None] {
	return task.NewStep(s.heard.Task, &task.FuncArgs[heard]{Value: heard{Who: who}}, "")
}

// get sends a call and waits for its result.
func get[R any](w *world, ctx context.Context, s task.Sig[R]) R {
	w.Helper()
	call, err := s.Delay(ctx)
	w.check(err)
	value, err := call.Get(ctx)
	w.check(err)
	return value
}

func testChain(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	chain := task.Chain(task.Chain(s.add.Sig(pair{1, 2}), s.plus(3)), s.plus(4))
	if n := get(w, ctx, chain); n != 10 {
		t.Errorf("1 + 2 + 3 + 4 is %d", n)
	}
	if diff := cmp.Diff([]string{"1+2", "3+3", "6+4"}, s.notes); diff != "" {
		t.Error(diff)
	}
	first := s.infos[0]
	for i, info := range s.infos[1:] {
		if info.RootID != first.ID || info.ParentID != s.infos[i].ID {
			t.Errorf("step %d has root %s and parent %s", i+1, info.RootID, info.ParentID)
		}
	}
}

func testChainFails(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	chain := task.Chain(task.Chain(s.fail.Sig(pair{}), s.plus(1)), s.plus(2)).LinkError(s.tell("failed"))
	call, err := chain.Delay(ctx)
	w.check(err)
	var failure *task.TaskError
	if _, err := call.Get(ctx); !errors.As(err, &failure) || failure.Message != errSum.Error() {
		t.Fatalf("the last step ends with %v", err)
	}
	w.eventually("the errback runs", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.notes) == 2 })
	if first := s.infos[0]; failure.Task != first.Name || failure.ID != first.ID || first.ID == call.ID {
		t.Errorf("%s %s failed, and the last step's error names %s %s", first.Name, first.ID, failure.Task, failure.ID)
	}
	if want := s.infos[0].ID + " failed"; s.notes[1] != want {
		t.Errorf("the errback heard %q, want %q", s.notes[1], want)
	}
}

func testFollow(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	if n := get(w, ctx, task.Follow(s.add.Sig(pair{1, 2}), s.add.Sig(pair{3, 4}))); n != 7 {
		t.Errorf("3 + 4 is %d", n)
	}
}

func testStepOptions(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{Accept: []string{"json", "msgpack", "yaml"}}), w.client()
	start := time.Now()
	const wait = time.Second
	step := s.plus(3).With(task.In(wait), task.UseSerializer("yaml"), task.UseCompression("gzip"))
	if n := get(w, ctx, task.Chain(task.Chain(s.add.With(task.UseSerializer("json")).Sig(pair{1, 2}), step), s.plus(4).With(task.UseSerializer("msgpack")))); n != 10 {
		t.Errorf("1 + 2 + 3 + 4 is %d", n)
	}
	if took := time.Since(start); took < wait {
		t.Errorf("the step ran after %s", took)
	}
}

func testLinks(_ *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	for _, links := range [][]task.Callback[int]{{s.plus(10)}, {s.plus(20), task.Ignore[int](s.heard.Sig(heard{"done", "all"}))}} {
		_, err := s.add.With(task.Link(links...)).Delay(ctx, pair{1, 2})
		w.check(err)
	}
	call, err := s.fail.With(task.LinkError(s.tell("one"), s.tell("two"))).Delay(ctx, pair{})
	w.check(err)
	for _, note := range []string{"3+10", "3+20", "done all", call.ID + " one", call.ID + " two"} {
		w.eventually(note, func() bool { return s.noted(note) })
	}
}

func testRetryFollowed(t *testing.T, w *world) {
	ctx := w.client()
	s := w.sums(task.WorkerConfig{Queues: []task.QueueConfig{{Name: w.queue}}})
	queue := w.queue + "-retry"
	w.queues = append(w.queues, queue, queue+".dead", task.ProbationQueue(queue))
	var again task.Func[pair, int]
	again = task.New("conformance.again", func(ctx context.Context, p pair) (int, error) {
		if task.InfoFrom(ctx).Retries == 0 {
			return 0, again.With(task.In(0)).Retry(ctx, errSum, pair{p.X + 1, p.Y})
		}
		return p.X + p.Y, nil
	}, task.Spec{Queue: queue})
	r := task.NewRegistry()
	again.Register(r)
	w.run(r, task.WorkerConfig{Name: "again@test", Queues: []task.QueueConfig{{Name: queue}}})
	if n := get(w, ctx, task.Chain(again.Sig(pair{1, 2}), s.plus(3))); n != 7 {
		t.Errorf("2 + 2 + 3 is %d", n)
	}
}

func testLinkType(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	_, err := s.add.With(task.Link(s.tell("nobody"))).Delay(ctx, pair{1, 2})
	if err == nil || !strings.Contains(err.Error(), "takes string, and the result is int") {
		t.Errorf("a callback that takes text: %v", err)
	}
}

func testGroup(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	var calls []task.Sig[int]
	var want []int
	for i := range 20 {
		calls, want = append(calls, s.add.Sig(pair{i, i})), append(want, 2*i)
	}
	call, err := task.Group(calls...).Delay(ctx)
	w.check(err)
	got, err := call.Get(ctx)
	w.check(err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if status, err := call.Status(ctx); err != nil || status.State != task.Success {
		t.Errorf("the group is %v, %v", status, err)
	}
}

func testGroupStep(t *testing.T, w *world) {
	s, ctx := w.sums(task.WorkerConfig{}), w.client()
	group := task.Chain(s.add.Sig(pair{1, 2}), task.GroupStep(s.plus(10), s.plus(20)))
	if diff := cmp.Diff([]int{13, 23}, get(w, ctx, group)); diff != "" {
		t.Error(diff)
	}
}

// children are what the result of a task says of those it has sent.
func (w *world) children(t task.Transport, id string) any {
	w.Helper()
	result, err := t.AwaitResult(w.ctx, id)
	w.check(err)
	s, _ := codec.ByContentType(result.ContentType)
	tree, err := s.DecodeTree(result.Body)
	w.check(err)
	return tree.(map[string]any)["children"]
}

func testChildren(t *testing.T, w *world) {
	transport := w.open()
	ctx := task.WithClient(w.ctx, task.NewClient(transport, task.ClientConfig{}))
	s := w.sums(task.WorkerConfig{})
	queue := w.queue + "-parent"
	w.queues = append(w.queues, queue, queue+".dead", task.ProbationQueue(queue))
	parent := task.New("conformance.parent", func(ctx context.Context, _ pair) (int, error) {
		_, err := s.heard.With(task.ID("child-of-"+task.InfoFrom(ctx).ID)).Delay(ctx, heard{"a", "child"})
		return 1, err
	}, task.Spec{Queue: queue})
	r := task.NewRegistry()
	parent.Register(r)
	w.run(r, task.WorkerConfig{Name: "parent@test", Queues: []task.QueueConfig{{Name: queue}}})

	call, err := task.Chain(parent.With(task.ID("p-"+w.queue)).Sig(pair{}), s.plus(1).With(task.ID("next-"+w.queue))).Delay(ctx)
	w.check(err)
	if _, err := call.Get(ctx); err != nil {
		t.Fatal(err)
	}
	one := func(id string) any { return []any{[]any{id, nil}, nil} }
	want := []any{one("child-of-p-" + w.queue), one("next-" + w.queue)}
	if diff := cmp.Diff(any(want), w.children(transport, "p-"+w.queue)); diff != "" {
		t.Error(diff)
	}
}

// sendBody publishes a body as a Python client does.
func (w *world) sendBody(t task.Transport, name, id, body string, headers map[string]any) {
	w.Helper()
	if headers == nil {
		headers = map[string]any{}
	}
	w.check(t.Publish(w.ctx, &task.Message{
		ID: id, Task: name, Queue: w.queue, Mandatory: true, ReplyTo: t.ReplyTo(),
		ContentType: "application/json", ContentEncoding: "utf-8", Headers: headers, Body: []byte(body),
	}))
}

// state waits for the final result of a task.
func (w *world) state(t task.Transport, id string) (task.State, any) {
	w.Helper()
	result, err := t.AwaitResult(w.ctx, id)
	w.check(err)
	s, _ := codec.ByContentType(result.ContentType)
	tree, err := s.DecodeTree(result.Body)
	w.check(err)
	return result.State, tree.(map[string]any)["result"]
}

func testPythonSignatures(t *testing.T, w *world) {
	transport := w.open()
	w.sums(task.WorkerConfig{})
	id := func(name string) string { return name + "-" + w.queue }
	sig := func(y int, name string) string {
		return fmt.Sprintf(`{"task": "conformance.add", "args": [%d], "kwargs": {}, "subtask_type": null, "immutable": false,
			"options": {"queue": %q, "task_id": %q, "reply_to": %q, "priority": 3, "shadow": null, "headers": {"a": 1}}}`, y, w.queue, id(name), transport.ReplyTo())
	}
	group := fmt.Sprintf(`{"task": "celery.group", "args": [], "kwargs": {"tasks": [%s, %s]}, "options": {"task_id": %q, "root_id": null}, "subtask_type": "group", "immutable": false}`,
		sig(10, "c"), sig(20, "d"), id("group"))
	body := fmt.Sprintf(`[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": [%s, %s], "chord": null}]`, group, sig(3, "b"))
	w.sendBody(transport, "conformance.add", id("a"), body, map[string]any{"task": "conformance.add", "id": id("a"), "timelimit": []any{nil, nil}, "group": nil})
	for name, want := range map[string]int64{"a": 3, "b": 6, "c": 16, "d": 26} {
		if state, value := w.state(transport, id(name)); state != task.Success || value != want {
			t.Errorf("%s is %s %v, want %d", name, state, value, want)
		}
	}
	members := []any{[]any{[]any{id("c"), nil}, nil}, []any{[]any{id("d"), nil}, nil}}
	if diff := cmp.Diff(any([]any{[]any{[]any{id("group"), nil}, members}}), w.children(transport, id("b"))); diff != "" {
		t.Errorf("the children of b: %s", diff)
	}
}

func testProtocol1(t *testing.T, w *world) {
	transport := w.open()
	s := w.sums(task.WorkerConfig{})
	id := "v1-" + w.queue
	w.sendBody(transport, "", id, fmt.Sprintf(`{"task": "conformance.add", "id": %q, "args": [1], "kwargs": {"y": 2}, "retries": 1, "eta": null, "expires": null, "utc": true,
		"callbacks": [{"task": "conformance.add", "args": [7], "kwargs": {}, "options": {}, "subtask_type": null, "immutable": false}],
		"errbacks": null, "timelimit": [30, 20], "taskset": null, "chord": null}`, id), nil)
	if state, value := w.state(transport, id); state != task.Success || value != int64(3) {
		t.Errorf("1 + 2 is %s %v", state, value)
	}
	w.eventually("the callback runs", func() bool { return s.noted("3+7") })
	if s.infos[0].Retries != 1 || s.infos[1].ParentID != id {
		t.Errorf("it ran as %+v", s.infos)
	}
}

func testBrokenEmbed(t *testing.T, w *world) {
	transport := w.open()
	w.sums(task.WorkerConfig{})
	for i, embed := range []string{`{"chain": 7}`, `{"callbacks": [{"args": []}]}`, `{"chord": {"task": "x", "options": {"countdown": "soon"}}}`, `[1, 2]`} {
		id := fmt.Sprint("broken-", i, w.queue)
		w.sendBody(transport, "conformance.add", id, `[[1, 2], {}, `+embed+`]`, map[string]any{"task": "conformance.add", "id": id})
		if state, _ := w.state(transport, id); state != task.Failure {
			t.Errorf("the embed %s: %s", embed, state)
		}
	}
	var reasons []string
	w.eventually("they are parked", func() bool {
		reasons = nil
		w.check(transport.DeadLetters(w.ctx, w.queue, func(d *task.DeadMessage) (task.DeadAction, error) {
			if d.Reason != task.ReasonBadHeader || !strings.Contains(d.Error, "embed") {
				t.Errorf("parked as %s: %s", d.Reason, d.Error)
			}
			reasons = append(reasons, d.Reason)
			return task.KeepDead, nil
		}))
		return len(reasons) == 4
	})
}

func testParkedChain(t *testing.T, w *world) {
	transport := w.open()
	w.sums(task.WorkerConfig{})
	id := func(name string) string { return name + "-" + w.queue }
	step := fmt.Sprintf(`{"task": "conformance.add", "args": [1], "kwargs": {}, "options": {"task_id": %q, "reply_to": %q}, "subtask_type": null, "immutable": false}`, id("b"), transport.ReplyTo())
	w.sendBody(transport, "conformance.nobody", id("a"), `[[], {}, {"chain": [`+step+`]}]`, map[string]any{"task": "conformance.nobody", "id": id("a")})
	for _, name := range []string{"a", "b"} {
		state, value := w.state(transport, id(name))
		if exception, _ := value.(map[string]any); state != task.Failure || exception["exc_type"] != "NotRegistered" {
			t.Errorf("%s is %s %v", name, state, value)
		}
	}
}
