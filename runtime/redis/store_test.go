package redis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/redis"
	"github.com/taskgen/taskgen/runtime/task"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{ // nobody listens there
		"redis://:s3cret@127.0.0.1:1":                                                       "redis://127.0.0.1:1/0",
		"redis://ada:s3%2Fcret@127.0.0.1:1/3?keyprefix=x":                                   "redis://ada@127.0.0.1:1/3",
		"rediss://127.0.0.1:1/?ssl_cert_reqs=CERT_REQUIRED":                                 "rediss://127.0.0.1:1/0",
		"redis://127.0.0.1:1?virtual_host=2&password=s3cret":                                "redis://127.0.0.1:1/2",
		"redis+socket:///nowhere/redis.sock?password=s3cret":                                "redis+socket:///nowhere/redis.sock",
		"redis://127.0.0.1:1?max_connections=3&socket_timeout=1.5&socket_connect_timeout=1": "redis://127.0.0.1:1/0",
	} {
		s, err := redis.Open(t.Context(), url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got := s.String(); got != want {
			t.Errorf("%s is %s, want %s", url, got, want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := s.Result(ctx, "x"); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: asked for a result: %v", url, err)
		}
		cancel()
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Errorf("%s: closed: %v", url, err)
		}
		if _, err := s.AwaitResult(t.Context(), "x"); !errors.Is(err, task.ErrClosed) {
			t.Errorf("%s: after Close: %v", url, err)
		}
	}
	for url, want := range map[string]string{
		"redis://:s3cret@host:x":                      "the port is not a port number",
		"redis://:s3/cret@host":                       "can be (in a user name or password",
		"redis://:s3cret%zz@host":                     "bad %-escape",
		"redis://:s3cret@host/db":                     "the database is not a number",
		"redis://:s3cret@one,two":                     "not the name of one host",
		"redis://:s3cret@host?ssl_ca_certs=x":         `option "ssl_ca_certs": it needs rediss://`,
		"rediss://:s3cret@host?ssl_cert_reqs=none":    "the server's certificate is always verified",
		"rediss://:s3cret@host?ssl_ca_certs=/nowhere": "no such file",
		"redis://:s3cret@host?colour=red":             `option "colour": no such option`,
		"redis+socket://relative?password=s3cret":     "an absolute path",
		"redis://:s3cret@host#":                       "it has a #",
	} {
		_, err := redis.Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A server that refuses is an error at once, without the password.
func TestRefused(t *testing.T) {
	t.Parallel()
	u, socket := server(t)
	wrong := "redis://:wr0ng@" + u.Host
	for _, url := range []string{wrong, "redis://" + u.Host, u.String() + "9999"} {
		if s, err := redis.Open(t.Context(), url); err == nil {
			t.Errorf("%s was opened as %s", url, s)
		} else if password, _ := u.User.Password(); strings.Contains(err.Error(), "wr0ng") || strings.Contains(err.Error(), password) {
			t.Errorf("the error has the password: %v", err)
		}
	}
	if socket == "" {
		return
	}
	password, _ := u.User.Password()
	s := open(t, "redis+socket://"+socket+"?password="+strings.ReplaceAll(strings.ReplaceAll(password, "+", "%2B"), " ", "+"))
	if r, err := s.Result(t.Context(), uuid.NewString()); r != nil || err != nil {
		t.Errorf("by the socket: %v, %v", r, err)
	}
}

// proxy stands between a store and the server.
type proxy struct {
	net.Listener
	server string

	mu     sync.Mutex
	frozen bool
	conns  []net.Conn
}

func newProxy(t *testing.T) (p *proxy, url string) {
	u, _ := server(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{Listener: l, server: u.Host}
	t.Cleanup(func() { p.Close(); p.cut() })
	go p.serve()
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve() {
	for {
		c, err := p.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", p.server)
		if err != nil {
			c.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, c, s)
		p.mu.Unlock()
		go p.copy(c, s)
		go p.copy(s, c)
	}
}

func (p *proxy) copy(to, from net.Conn) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		frozen := p.frozen
		p.mu.Unlock()
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			to.Close()
			return
		}
		if !frozen {
			_, _ = to.Write(buffer[:n])
		}
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// freeze lets nothing through any more, and nothing else be noticed of it.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

func success(id string) *task.Result {
	return &task.Result{
		ID: id, State: task.Success, ContentType: "application/json", ContentEncoding: "utf-8",
		Body: []byte(`{"task_id": "` + id + `", "status": "SUCCESS", "result": 1, "traceback": null, "children": []}`),
	}
}

// Who waits goes on doing so when connections are lost, and hears of what was stored meanwhile.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	p, url := newProxy(t)
	waits := open(t, url)
	u, _ := server(t)
	stores := open(t, u.String())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var waiting sync.WaitGroup
	for range 20 {
		id := uuid.NewString()
		waiting.Go(func() {
			if r, err := waits.AwaitResult(ctx, id); err != nil || r.State != task.Success {
				t.Errorf("waited for: %v, %v", r, err)
			}
		})
		if err := waits.StoreResult(ctx, success(uuid.NewString())); err != nil {
			t.Errorf("stored beside lost connections: %v", err)
		}
		p.cut()
		if err := stores.StoreResult(ctx, success(id)); err != nil {
			t.Error(err)
		}
	}
	waiting.Wait()
}

// The end of a context is heeded, also by a server that answers nothing.
func TestFrozenServer(t *testing.T) {
	t.Parallel()
	p, url := newProxy(t)
	s := open(t, url)
	if _, err := s.Result(t.Context(), uuid.NewString()); err != nil {
		t.Fatal(err)
	}
	p.freeze()
	for name, call := range map[string]func(context.Context) error{
		"Result":      func(ctx context.Context) error { _, err := s.Result(ctx, "x"); return err },
		"AwaitResult": func(ctx context.Context) error { _, err := s.AwaitResult(ctx, "x"); return err },
		"StoreResult": func(ctx context.Context) error { return s.StoreResult(ctx, success("x")) },
		"Claim":       func(ctx context.Context) error { _, err := s.Claim(ctx, "x", "o", time.Minute); return err },
		"StartChord":  func(ctx context.Context) error { return s.StartChord(ctx, "x", 1) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := call(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 2*time.Second {
			t.Errorf("%s: %v after %s", name, err, time.Since(start))
		}
		cancel()
	}
}

// A result that can't be stored is lost; the task is settled all the same.
func TestLostResult(t *testing.T) {
	t.Parallel()
	s, err := redis.Open(t.Context(), "redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	broker := memory.New()
	transport := task.WithResults(broker, s)
	t.Cleanup(func() { transport.Close() })
	m := &task.Message{ID: uuid.NewString(), Task: "x", Queue: "q", Mandatory: true}
	if err := transport.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	deliveries := make(chan *task.Delivery, 10)
	consumer, err := transport.Consume(task.ConsumeConfig{
		Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 10}}, Deliver: func(d *task.Delivery) { deliveries <- d },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = consumer.Settle(ctx, <-deliveries, task.Outcome{Result: success(m.ID)})
	if !errors.Is(err, task.ErrResultLost) || !strings.Contains(err.Error(), m.ID) {
		t.Errorf("settled with %v, want ErrResultLost", err)
	}
	if err := consumer.Close(); err != nil {
		t.Error(err)
	}
	if n, err := broker.Purge(t.Context(), "q"); n != 0 || err != nil {
		t.Errorf("%d messages are left in the queue, %v", n, err)
	}
}
