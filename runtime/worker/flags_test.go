package worker

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/taskgen/taskgen/runtime/task"
)

// send sends a task.
func send(t *testing.T, ctx context.Context, task testTask, a args) *task.Call[string] {
	t.Helper()
	call, err := task.Send(ctx, &a)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// get waits for a result.
func get(t *testing.T, ctx context.Context, call *task.Call[string], want string) {
	t.Helper()
	if got, err := call.Get(ctx); got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestRateLimitFlag(t *testing.T) {
	t.Parallel()
	url := "memory:" + t.Name()
	start(t, func(s *shell) {
		define(task.Spec{Name: "example.com/app/users.limited", RateLimit: 1 * task.PerHour}).
			Handle(s.registry, func(_ context.Context, a *args) (string, error) { return a.Text, nil })
	}, "-broker", url, "-rate-limit", "users.echo=1/h", "-rate-limit", "limited=none")
	ctx := sender(t, url)
	get(t, ctx, send(t, ctx, echo, args{Text: "first"}), "first")
	second := send(t, ctx, echo, args{Text: "second"})
	free := define(task.Spec{Name: "example.com/app/users.limited"})
	for range 20 {
		get(t, ctx, send(t, ctx, free, args{Text: "free"}), "free")
	}
	if status, err := second.Status(ctx); status.State != task.Pending || err != nil {
		t.Errorf("the second run in an hour: %v, %v", status, err)
	}
}

func TestTrackStartedFlag(t *testing.T) {
	t.Parallel()
	for want, flags := range map[task.State][]string{task.Pending: nil, task.Started: {"-track-started"}} {
		url := "memory:" + t.Name() + string(want)
		start(t, nil, append(flags, "-broker", url)...)
		ctx := sender(t, url)
		holder := newHolder(t)
		call := holder.send(ctx)
		conn := holder.started()
		if status, err := call.Status(ctx); status.State != want || err != nil {
			t.Errorf("%s: %v, %v", flags, status, err)
		}
		holder.finish(conn, "done")
		get(t, ctx, call, "done\n")
	}
}

func TestResultTTLFlag(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	start(t, nil, "-broker", url, "-result-ttl", "1ms")
	ctx := sender(t, url)
	send(t, ctx, echo, args{})
	// There is no news of a result that is not there any more.
	for deleted := 0; deleted == 0; time.Sleep(time.Millisecond) {
		var err error
		if deleted, err = task.ClientFrom(ctx).Transport().DeleteExpiredResults(ctx); err != nil {
			t.Fatal(err)
		}
	}

	f := &runFlags{concurrency: 1, maxBody: 1, maxResult: 1, resultTTL: 0, hostname: "w", control: "full"}
	if config, err := f.config(newCatalog(testTasks())); config.ResultTTL >= 0 || err != nil {
		t.Errorf("-result-ttl 0: %s, %v; want a negative one, which is for ever", config.ResultTTL, err)
	}
}

func TestBindFlag(t *testing.T) {
	t.Parallel()
	url := "memory:" + t.Name()
	order := define(task.Spec{Name: "example.com/app/orders.book", Exchange: "orders", ExchangeType: task.Topic, RoutingKey: "{text}", Queue: "orders"})
	start(t, func(s *shell) {
		order.Handle(s.registry, func(ctx context.Context, a *args) (string, error) {
			return a.Text + " by " + task.InfoFrom(ctx).Delivery.Queue, nil
		})
	}, "-broker", url, "-Q", "eu,us=1", "-bind", "eu=orders:topic/eu.#", "-bind", "us=orders:topic/us.*", "-bind", "us=orders:topic/ca.*")
	ctx := sender(t, url)
	for key, queue := range map[string]string{"eu.de.berlin": "eu", "us.east": "us", "ca.east": "us"} {
		get(t, ctx, send(t, ctx, order, args{Text: key}), key+" by "+queue)
	}
	if _, err := order.Send(ctx, &args{Text: "us.east.boston"}); err == nil || !strings.Contains(err.Error(), task.ErrUnroutable.Error()) {
		t.Errorf("a key that nothing is bound to: %v", err)
	}
}

func TestAcceptFlag(t *testing.T) {
	t.Parallel()
	url := "memory:" + t.Name()
	start(t, nil, "-broker", url, "-accept", "json, yaml")
	ctx := sender(t, url)
	get(t, ctx, send(t, ctx, echo.With(task.UseSerializer("json")), args{Text: "json"}), "json")
	if _, err := send(t, ctx, echo, args{}).Get(ctx); err == nil || !strings.Contains(err.Error(), "application/x-msgpack") {
		t.Errorf("msgpack: %v", err)
	}
}

func TestMaxBodyFlag(t *testing.T) {
	t.Parallel()
	url := "memory:" + t.Name()
	start(t, nil, "-broker", url, "-max-body", "1000")
	ctx := sender(t, url)
	get(t, ctx, send(t, ctx, echo, args{Text: "short"}), "short")
	if _, err := send(t, ctx, echo, args{Text: strings.Repeat("x", 1000)}).Get(ctx); err == nil || !strings.Contains(err.Error(), "more than the worker's limit of 1000") {
		t.Errorf("a body that is too large: %v", err)
	}
}

func TestHTTPFlags(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "retval": "hello " + r.FormValue("name")})
	}))
	t.Cleanup(service.Close)
	host := service.Listener.Addr().String()
	for _, test := range []struct {
		flags     []string
		code      int
		out, told string
	}{
		{nil, 1, "", "start it with -http-allow"},
		{[]string{"-http-allow", "example.com"}, 1, "", "not on the worker's list"},
		{[]string{"-http-allow", "example.com, " + host}, 1, "", "no public address"},
		{[]string{"-http-allow", "example.com", "-http-allow", host, "-http-private"}, 0, "\"hello ada\"\n", "sent taskgen.http"},
	} {
		url := "memory:" + t.Name() + strings.Join(test.flags, "")
		start(t, nil, append(test.flags, "-broker", url)...)
		s := newShell(t)
		code := s.run("-broker", url, "call", "taskgen.http", `["GET", "`+service.URL+`", {"name": "ada"}]`)
		if code != test.code || s.out.String() != test.out || !strings.Contains(s.err.String(), test.told) {
			t.Errorf("%s: exit code %d, %s%s", test.flags, code, s.out.String(), &s.err)
		}
	}
}

// The flags of call reach the broker: what comes first runs first.
func TestCallPriority(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	s := newShell(t)
	for _, priority := range []string{"9", "5", "0"} {
		if code := s.run("-broker", url, "call", "-no-wait", "-priority", priority, "echo", `["`+priority+`", 0]`); code != 0 {
			t.Fatalf("exit code %d: %s", code, &s.err)
		}
	}
	var mu sync.Mutex
	var ran []string
	all := make(chan struct{})
	start(t, func(s *shell) {
		s.registry = task.NewRegistry()
		echo.Handle(s.registry, func(_ context.Context, a *args) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			if ran = append(ran, a.Text); len(ran) == 3 {
				close(all)
			}
			return "", nil
		})
	}, "-broker", url, "-c", "1")
	select {
	case <-all:
	case <-time.After(patience):
		t.Fatal("not all have run")
	}
	if diff := cmp.Diff([]string{"0", "5", "9"}, ran); diff != "" {
		t.Errorf("the order, -want +got:\n%s", diff)
	}
}

func TestCallImmediate(t *testing.T) {
	t.Parallel()
	url := "sqlite:" + t.TempDir()
	s := newShell(t)
	s.want(1, "", "worker: sending task example.com/app/users.echo to queue \"tasks\": no worker takes the task now: none that runs immediate tasks takes from queue \"tasks\"\n",
		"-broker", url, "call", "-immediate", "echo", `["now", 0]`)
	start(t, func(s *shell) {
		define(task.Spec{Name: "example.com/app/users.now", Immediate: true}).Handle(s.registry, nil)
	}, "-broker", url)
	s.want(0, "\"now\"\n", "sent example.com/app/users.echo to queue \"tasks\", id ID\n", "-broker", url, "call", "-immediate", "echo", `["now", 0]`)
	s.want(0, "\"pong\"\n", "sent taskgen.ping to queue \"tasks\", id ID\n", "-broker", url, "call", "-immediate", "-queue", "tasks", "taskgen.ping")
}
