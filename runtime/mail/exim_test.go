package mail

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// A task that fails at a worker is mailed, over both kinds of TLS, to somebody who knows the password.
func TestDelivery(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		t.Run(map[bool]string{false: "STARTTLS", true: "TLS"}[implicit], func(t *testing.T) {
			t.Parallel()
			e := newExim(t)
			url := e.trusted()
			if implicit {
				url = e.implicit(url)
			}
			s, log := e.sender(url)
			id := run(t, startWorker(t, s.Hooks()), fails, "überzogen:\r\nBcc: evil@example.org")
			m := e.await(1)[0]
			if want := "[worker@web1] Error: Task shop.fails (" + id + "): BalanceError: überzogen: Bcc: evil@example.org"; m.subject != want {
				t.Errorf("subject %q", m.subject)
			}
			for _, want := range []string{
				"\ntask       shop.fails\n", "\nid         " + id + "\n", "\nworker     worker@web1\n", "\nqueue      tasks\n", "\nretries    0\n", "'password': '***'",
				"\n  BalanceError: überzogen:\n  Bcc: evil@example.org\n",
			} {
				if !strings.Contains(m.body, want) {
					t.Errorf("%q is missing in\n%s", want, m.body)
				}
			}
			if strings.Contains(m.body, "hunter2") {
				t.Errorf("a secret is in\n%s", m.body)
			}
			// With "a" the client has authenticated, with "s" over TLS.
			if way := m.Get("Received"); !strings.Contains(way, "with esmtpsa") {
				t.Errorf("it came this way: %s", way)
			}
			if m.Get("Bcc") != "" || m.Get("From") != `"Tasks" <tasks@example.com>` || m.Get("Return-Path") != "<tasks@example.com>" {
				t.Errorf("the headers: %v", m.Header)
			}
			if log.count("") > 1 {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}

// Without TLS there may be no password, and the server asks for none.
func TestWithoutTLS(t *testing.T) {
	t.Parallel()
	for options, way := range map[string]string{"tls=none": "with esmtp ", "tls=opportunistic": "with esmtps "} {
		e := newExim(t)
		e.receiver = strings.Replace(e.receiver, "example.org", "open.test", 1)
		e.url.User = nil
		s, _ := e.sender(e.trusted(options))
		run(t, startWorker(t, s.Hooks()), fails, "no money")
		if m := e.await(1)[0]; !strings.Contains(m.Get("Received"), way) {
			t.Errorf("%s: it came this way: %s", options, m.Get("Received"))
		}
	}
}

func TestWhatIsMailed(t *testing.T) {
	t.Parallel()
	e := newExim(t)
	s, _ := e.sender(e.trusted())
	ctx := startWorker(t, s.Hooks())
	run(t, ctx, silent, "no money")
	run(t, ctx, succeeds, "all is well")
	run(t, ctx, retries, "no money")
	run(t, ctx, panics, "at the disco")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e.check(s.Close(ctx))
	found := map[string]received{}
	for _, m := range e.await(2) {
		found[strings.Fields(m.subject)[3]] = m
	}
	if m := found["shop.retries"]; !strings.Contains(m.body, "\nretries    2\n") {
		t.Errorf("the mail about the retried task: %q\n%s", m.subject, m.body)
	}
	if m := found["shop.panics"]; !strings.Contains(m.subject, "panic: at the disco") || !strings.Contains(m.body, "\nStack\n\n") || !strings.Contains(m.body, "world_test.go:") {
		t.Errorf("the mail about the panic: %q\n%s", m.subject, m.body)
	}
}

func TestDigestArrives(t *testing.T) {
	t.Parallel()
	e := newExim(t)
	s, _ := e.sender(e.trusted(), func(c *Config) { c.Interval = 2 * time.Second })
	ctx := startWorker(t, s.Hooks())
	for _, text := range []string{"user 17 not found", "user 18 not found", "user 19 not found"} {
		run(t, ctx, fails, text)
	}
	var mails []received
	e.eventually("all failures are told", func() bool {
		mails = e.delivered()
		return told(t, mails) == 3
	})
	all := strings.Join(subjects(mails), "\n")
	if !strings.Contains(all, "BalanceError: user 17 not found") || !strings.Contains(all, " more: BalanceError: user 19 not found") {
		t.Errorf("the mails: %s", all)
	}
}

func TestRefusedSessions(t *testing.T) {
	t.Parallel()
	e := newExim(t)
	wrong := strings.Replace(e.trusted(), url.UserPassword("", e.password).String()[1:], "wr0ng", 1)
	open := *e.url
	open.User = nil
	untrusted := e.url.String() + "?server_name_indication=" + e.name
	for name, c := range map[string]struct{ url, want string }{
		"wrong password":       {wrong, "535"},
		"no password":          {strings.Replace(e.trusted(), e.url.String(), open.String(), 1), "authentication required"},
		"untrusted, STARTTLS":  {untrusted, "unknown authority (option cacertfile"},
		"untrusted, TLS":       {e.implicit(untrusted), "unknown authority (option cacertfile"},
		"name of another host": {e.url.String() + "?cacertfile=" + url.QueryEscape(e.authority), "certificate"},
	} {
		s, log := e.sender(c.url)
		run(t, startWorker(t, s.Hooks()), fails, "no money")
		e.eventually(name+" is in the log", func() bool { return log.count("error=") > 0 })
		if log.count(c.want) == 0 || log.count("wr0ng") > 0 {
			t.Errorf("%s: want %q in the log:\n%s", name, c.want, log)
		}
	}
	if mails := e.delivered(); len(mails) > 0 {
		t.Errorf("mails have come: %q", subjects(mails))
	}
}

// The server is not there when the tasks fail, and comes later.
func TestServerComesLater(t *testing.T) {
	t.Parallel()
	e := newExim(t)
	target := e.url.Host
	gate, err := net.Listen("tcp", "127.0.0.1:0")
	e.check(err)
	e.url.Host = gate.Addr().String()
	gate.Close()
	s, log := e.sender(e.trusted())
	ctx := startWorker(t, s.Hooks())
	run(t, ctx, fails, "no money")
	run(t, ctx, fails, "no credit")
	e.eventually("the log says it", func() bool { return log.count("connection refused") > 0 })
	gate, err = net.Listen("tcp", e.url.Host)
	e.check(err)
	defer gate.Close()
	go forward(gate, target)
	e.await(2)
	e.eventually("the log says it", func() bool { return log.count("sent again") == 1 })
}

// forward passes connections on.
func forward(gate net.Listener, target string) {
	for {
		in, err := gate.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", target)
		if err != nil {
			in.Close()
			return
		}
		go func() { _, _ = io.Copy(out, in); out.Close() }()
		go func() { _, _ = io.Copy(in, out); in.Close() }()
	}
}

// TestHungServer has tasks fail as fast as they can while the mail server takes connections and says nothing.
func TestHungServer(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	s, err := New(Config{URL: "smtp://" + server.Addr().String() + "?tls=none", From: "tasks@example.com", To: []string{"ops@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	const tasks = 1000
	without, with := startWorker(t), startWorker(t, s.Hooks())
	failAll(t, without, tasks) // warms up
	plain := failAll(t, without, tasks)
	mailed := failAll(t, with, tasks)
	select {
	case conn := <-accepted:
		defer conn.Close()
	case <-time.After(patience):
		t.Fatal("the server was not asked")
	}
	t.Logf("%d failed tasks took %s, and %s with mails to a hung server", tasks, plain, mailed)
	if mailed > 10*plain+time.Second {
		t.Error("the mails slow the tasks")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = s.Close(ctx)
	if took := time.Since(began); took > time.Second {
		t.Errorf("closing took %s", took)
	}
	if err == nil || !strings.Contains(err.Error(), "about 1000 failures could not be sent") {
		t.Errorf("closing: %v", err)
	}
}

// failAll runs tasks that fail, each with an error of its own, and returns how long that took.
func failAll(t *testing.T, ctx context.Context, tasks int) time.Duration {
	t.Helper()
	began := time.Now()
	var calls []*task.Call[string]
	for n := range tasks {
		call, err := fails.Send(ctx, &workerArgs{Text: word(n)})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	for _, call := range calls {
		if _, err := call.Get(ctx); err == nil || ctx.Err() != nil {
			t.Fatalf("got %v", err)
		}
	}
	return time.Since(began)
}

// BenchmarkHook is what a failed task costs more, once its error has been mailed.
func BenchmarkHook(b *testing.B) {
	s, err := New(Config{URL: "smtp://127.0.0.1:1?tls=none", From: "tasks@example.com", To: []string{"ops@example.com"}})
	if err != nil {
		b.Fatal(err)
	}
	a := &task.Attempt{Info: task.Info{Name: "a.task", ID: "17", Worker: "worker@host"}, State: task.Failure, Err: &BalanceError{"user 17 (ada) of shop 4 is not found"}}
	for b.Loop() {
		s.Hooks().OnFailure(b.Context(), a)
	}
	ctx, cancel := context.WithCancel(b.Context())
	cancel()
	_ = s.Close(ctx)
}
