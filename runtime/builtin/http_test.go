package builtin_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/task"
)

// service is a web service, and a worker that may ask it.
type service struct {
	*testing.T
	*httptest.Server
	ctx context.Context
	// asked counts the requests.
	asked atomic.Int64
}

// serve starts a service and a worker. Its host is on the list if there is none in h, and private hosts are allowed.
func serve(t *testing.T, h builtin.HTTP, handle http.HandlerFunc) *service {
	t.Helper()
	s := &service{T: t}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	if h.AllowedHosts == nil {
		h.AllowedHosts, h.AllowPrivate = []string{s.Listener.Addr().String()}, true
	}
	s.ctx = start(t, userTasks(), &h)
	return s
}

// call sends taskgen.http and waits.
func (s *service) call(method, address, params string) (string, error) {
	s.Helper()
	got, err := get[json.RawMessage](s.T, s.ctx)(builtin.HTTPCall.With(task.Queue("mail")).Delay(s.ctx, method, address, json.RawMessage(params)))
	return string(got), err
}

// refused makes sure that a call fails so, and asks nobody.
func (s *service) refused(want, method, address, params string) {
	s.Helper()
	before := s.asked.Load()
	if got, err := s.call(method, address, params); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
		s.Errorf("%s %s: %s, %v; want an error with %q", method, address, got, err, want)
	}
	if s.asked.Load() != before {
		s.Errorf("%s %s: the service was asked", method, address)
	}
}

// success answers with a value.
func success(w http.ResponseWriter, value any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "retval": value})
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	s := serve(t, builtin.HTTP{}, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		success(w, map[string]any{
			"method": r.Method, "query": r.URL.RawQuery, "form": r.PostForm.Encode(), "path": r.URL.Path,
			"accept": r.Header.Get("Accept"), "type": r.Header.Get("Content-Type"),
		})
	})
	const params = `{"n": 9007199254740993, "x": 1.50, "on": true, "tags": ["a b", "ü&="], "none": null, "empty": []}`
	encoded := url.Values{"n": {"9007199254740993"}, "x": {"1.50"}, "on": {"true"}, "tags": {"a b", "ü&="}}.Encode()
	for _, test := range []struct{ method, path, params, want string }{
		{"GET", "/add", params, `{"query": "` + encoded + `", "path": "/add"}`},
		{"GET", "/add?z=1", params, `{"query": "z=1&` + encoded + `", "path": "/add"}`},
		{"GET", "/add?z=1", "null", `{"query": "z=1", "path": "/add"}`},
		{"GET", "", "{}", `{"path": "/"}`},
		{"POST", "/add?z=1", params, `{"query": "z=1", "form": "` + encoded + `", "path": "/add", "type": "application/x-www-form-urlencoded"}`},
		{"POST", "/", "null", `{"path": "/", "type": "application/x-www-form-urlencoded"}`},
	} {
		want := map[string]string{"method": test.method, "query": "", "form": "", "type": "", "accept": "application/json"}
		if err := json.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		text, err := s.call(test.method, s.URL+test.path, test.params)
		got := map[string]string{}
		if err == nil {
			err = json.Unmarshal([]byte(text), &got)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s %s:\n%v, %v; want\n%v", test.method, test.path, got, err, want)
		}
	}
}

// What the service says is what comes of the task.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	var code int
	var body string
	s := serve(t, builtin.HTTP{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	})
	for _, test := range []struct {
		code            int
		body, want, err string
	}{
		{200, `{"status": "success", "retval": [1, {"a": null}]}`, `[1,{"a":null}]`, ""},
		{201, `{"status": "success", "retval": 12345678901234567890}`, `12345678901234567890`, ""},
		{200, `{"status": "success"}`, `null`, ""},
		{200, `{"status": "success", "retval": null, "more": 1}`, `null`, ""},
		{200, `{"status": "failure", "reason": "no such user"}`, "", "no such user"},
		{500, `{"status": "failure", "reason": "no such user"}`, "", "no such user"},
		{200, `{"status": "failure", "reason": {"code": 7}}`, "", `{"code": 7}`},
		{200, `{"status": "failure"}`, "", "gives no reason"},
		{500, `{"status": "success", "retval": 1}`, "", "status 500 Internal Server Error"},
		{502, "<html>\x1b[31mbad gateway", "", `"<html>\x1b[31mbad gateway"`},
		{200, `"success"`, "", "neither"},
		{200, ``, "", "neither"},
		{200, `{"status": "success", "retval": 1} trailing`, "", "neither"},
		{404, strings.Repeat("x", 5000), "", strings.Repeat("x", 200) + `…"`},
		{200, "\xff\xfe", "", "neither"},
		{204, ``, "", "status 204 No Content"},
		{304, ``, "", "status 304"},
	} {
		code, body = test.code, test.body
		got, err := s.call("GET", s.URL, "{}")
		var compact bytes.Buffer
		_ = json.Compact(&compact, []byte(got))
		if test.err == "" && (err != nil || compact.String() != test.want) {
			t.Errorf("%d %s: %s, %v", code, body, got, err)
		}
		if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%d %s: %s, %v; want an error with %q", code, body, got, err, test.err)
		}
	}
}

// A request that may not be made is not made, and not tried again.
func TestHTTPRefuses(t *testing.T) {
	t.Parallel()
	s := serve(t, builtin.HTTP{}, func(w http.ResponseWriter, _ *http.Request) { success(w, nil) })
	host := s.Listener.Addr().String()
	port := host[strings.LastIndexByte(host, ':'):]
	for _, test := range [][4]string{
		{"not on the worker's list", "GET", "http://example.com/", "{}"},
		{"not on the worker's list", "GET", "http://127.0.0.1/", "{}"},
		{"not on the worker's list", "GET", "http://127.0.0.1:1/", "{}"},
		{"not on the worker's list", "GET", "http://localhost" + port, "{}"},
		{"not on the worker's list", "GET", "http://127.1" + port, "{}"},
		{"not on the worker's list", "GET", "http://2130706433" + port, "{}"},
		{"not on the worker's list", "GET", "http://[::ffff:127.0.0.1]" + port, "{}"},
		{"not on the worker's list", "GET", "http://127.0.0.1.example.com" + port, "{}"},
		{"credentials", "GET", "http://ada:s3cret@" + host + "/", "{}"},
		{"credentials", "GET", "http://" + host + "@example.com/", "{}"},
		{"scheme", "GET", "ftp://" + host + "/", "{}"},
		{"scheme", "GET", "file:///etc/passwd", "{}"},
		{"can't be parsed", "GET", host, "{}"},
		{"scheme", "GET", "localhost" + port, "{}"},
		{"scheme", "GET", "//" + host, "{}"},
		{"no host", "GET", "http:///path", "{}"},
		{"can't be parsed", "GET", "http://" + host + "/%zz?password=s3cret", "{}"},
		{"can't be parsed", "GET", "http://" + host + "/\x00s3cret", "{}"},
		{"want GET or POST", "DELETE", s.URL, "{}"},
		{"want GET or POST", "get", s.URL, "{}"},
		{"want GET or POST", "", s.URL, "{}"},
		{"JSON object", "GET", s.URL, `["s3cret"]`},
		{"JSON object", "GET", s.URL, `"s3cret"`},
		{`"deep"`, "POST", s.URL, `{"deep": {"s3cret": "s3cret"}}`},
		{`"deep"`, "POST", s.URL, `{"deep": [["s3cret"]]}`},
	} {
		s.refused(test[0], test[1], test[2], test[3])
	}
}

// What counts is the address that is dialled: a name on the list that leads into the private network is refused, whenever
// it began to.
func TestHTTPRefusesPrivateAddresses(t *testing.T) {
	t.Parallel()
	s := serve(t, builtin.HTTP{AllowedHosts: []string{
		"localhost", "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0",
	}}, func(w http.ResponseWriter, _ *http.Request) { success(w, nil) })
	for _, host := range []string{
		"localhost", "LOCALHOST", "127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "[::1]", "[0:0::1]", "[::ffff:127.0.0.1]", "[fe80::1]", "0.0.0.0",
	} {
		s.refused("no public address", "GET", "http://"+host+"/", "{}")
	}
}

// Which hosts are on the list. It runs here and not in a worker, with a context that has ended, so that
// a request that is allowed gets no further than that.
func TestHTTPHosts(t *testing.T) {
	t.Parallel()
	r := task.NewRegistry()
	h := &builtin.HTTP{AllowedHosts: []string{"Example.COM.", "example.com:8080", "::1", "*.example.org:444"}, AllowPrivate: true}
	if err := builtin.Register(r, h); err != nil {
		t.Fatal(err)
	}
	e, _ := r.Lookup("taskgen.http")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for address, allowed := range map[string]bool{
		"http://example.com": true, "https://EXAMPLE.com./x": true, "http://example.com:80": true, "https://example.com:443": true,
		"http://example.com:443": false, "http://example.com:8080": true, "https://example.com:8080": true, "http://example.com:8081": false,
		"http://www.example.com": false, "http://example.com.evil.org": false, "http://evilexample.com": false,
		"https://a.example.org:444": true, "https://a.b.example.org:444": true, "https://a.example.org": false,
		"https://example.org:444": false, "https://.example.org:444": false, "https://evil-example.org:444": false,
		"http://[::1]": true, "http://[0:0:0::1]": true, "http://[::1]:81": false,
	} {
		arguments, _ := json.Marshal([]any{"GET", address, map[string]any{}})
		_, err := e.Run(ctx, arguments)
		if on := errors.Is(err, context.Canceled); on != allowed || !on && !strings.Contains(err.Error(), "not on the worker's list") {
			t.Errorf("%s: %v; want allowed: %t", address, err, allowed)
		}
	}
}

func TestHTTPSettings(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"", "*", "*.", "a*.example.com", "www.*.com", "http://example.com", "example.com/path", "user@example.com", "example.com:", "example.com:0",
		"example.com:x", "a:b:1", ":80", "example.com:70000", "[::1", "exa mple.com", "bücher.example", "example.com?x", "example.com#x",
	} {
		err := builtin.Register(task.NewRegistry(), &builtin.HTTP{AllowedHosts: []string{"example.com", host}})
		if err == nil || !strings.Contains(err.Error(), "want a host such as") {
			t.Errorf("%q: %v", host, err)
		}
	}
	if err := builtin.Register(task.NewRegistry(), &builtin.HTTP{MaxBody: -1}); err == nil {
		t.Error("a negative number is taken")
	}
}

func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a host off the list was asked")
		success(w, nil)
	}))
	t.Cleanup(other.Close)
	s := serve(t, builtin.HTTP{}, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		code := http.StatusFound
		if strings.HasPrefix(r.URL.Path, "/keep") {
			code = http.StatusTemporaryRedirect
		}
		switch {
		case r.Referer() != "":
			t.Errorf("the referer tells %q", r.Referer())
		case strings.HasSuffix(r.URL.Path, "/end"):
			success(w, r.Method+" "+r.PostForm.Encode())
			return
		case r.URL.Path == "/off":
			http.Redirect(w, r, other.URL, code)
			return
		case r.URL.Path == "/user":
			http.Redirect(w, r, "http://ada:s3cret@"+r.Host+"/end", code)
			return
		case r.URL.Path == "/file":
			http.Redirect(w, r, "file:///etc/passwd", code)
			return
		case r.URL.Path == "/loop":
			http.Redirect(w, r, "/loop", code)
			return
		}
		http.Redirect(w, r, strings.TrimSuffix(r.URL.Path, "/on")+"/end", code)
	})
	for path, want := range map[string]string{"/on": `"GET "`, "/keep/on": `"POST a=s3cret"`} {
		if got, err := s.call("POST", s.URL+path, `{"a": "s3cret"}`); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", path, got, err, want)
		}
	}
	for path, want := range map[string]string{
		"/off": "not on the worker's list", "/user": "credentials", "/file": `scheme "file"`, "/loop": "more than 3 times",
	} {
		before := s.asked.Load()
		_, err := s.call("GET", s.URL+path, `{"a": "s3cret"}`)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
		if asked := s.asked.Load() - before; asked > 4 {
			t.Errorf("%s: asked %d times", path, asked)
		}
	}
}

// An environment with a proxy, which would dial in the worker's place, changes nothing.
func TestHTTPUsesNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	t.Cleanup(proxy.Close)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	s := serve(t, builtin.HTTP{AllowedHosts: []string{"host.invalid"}}, func(http.ResponseWriter, *http.Request) {})
	if _, err := s.call("GET", "http://host.invalid/?a=s3cret", "{}"); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestHTTPLimits(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 2000)
	zip := func(text string) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return out.Bytes()
	}
	s := serve(t, builtin.HTTP{MaxBody: 1000, Timeout: patience}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/big":
			success(w, big)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zip(`{"status": "success", "retval": "` + big + `"}`))
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zip(`{"status": "success", "retval": 1}`))
		case "/header":
			w.Header().Set("X-Big", strings.Repeat(big, 100))
			success(w, 1)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"status":`)
		}
	})
	if got, err := s.call("GET", s.URL+"/zipped", "{}"); got != "1" || err != nil {
		t.Errorf("a small zipped answer: %s, %v", got, err)
	}
	for path, want := range map[string]string{
		"/big": "more than 1000 bytes", "/bomb": "more than 1000 bytes", "/header": "headers", "/cut": "can't be read",
	} {
		if _, err := s.call("GET", s.URL+path, "{}"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}

	release := make(chan struct{})
	slow := serve(t, builtin.HTTP{Timeout: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, `{"status":`)
			w.(http.Flusher).Flush()
		}
		<-release
	})
	t.Cleanup(func() { close(release) })
	for _, path := range []string{"/header", "/body"} {
		if _, err := slow.call("GET", slow.URL+path+"?a=s3cret", "{}"); err == nil || !strings.Contains(err.Error(), path+": no answer within 50ms") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A refusal is final, a failure of the network is not: a task that retries by itself can tell them apart.
func TestHTTPRefusalsArePermanent(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	r := task.NewRegistry()
	h := &builtin.HTTP{AllowedHosts: []string{closed.Addr().String()}, AllowPrivate: true}
	if err := builtin.Register(r, h); err != nil {
		t.Fatal(err)
	}
	e, _ := r.Lookup("taskgen.http")
	ask := define(task.Spec{Name: "users.ask", Queue: "mail", AutoRetry: true, MaxRetries: new(1), DefaultRetryDelay: new(time.Millisecond)})
	var runs atomic.Int64
	ask.Handle(r, func(ctx context.Context, a *args) (string, error) {
		runs.Add(1)
		arguments, _ := json.Marshal([]any{"GET", a.Text, nil})
		_, err := e.Run(ctx, arguments)
		return "", err
	})
	ctx := start(t, r, nil)
	for address, want := range map[string]int64{"http://" + closed.Addr().String(): 2, "http://example.com": 1} {
		runs.Store(0)
		call, err := ask.Send(ctx, &args{Text: address})
		_, err = get[string](t, ctx)(call, err)
		if failure, ok := errors.AsType[*task.TaskError](err); !ok || runs.Load() != want {
			t.Errorf("%s: %v after %d runs, want %d", address, failure, runs.Load(), want)
		}
	}
}
