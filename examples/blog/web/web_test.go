package web_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/examples/blog/tasks"
	"github.com/taskgen/taskgen/examples/blog/web"
	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

const path = "/posts/the-sorting-car"

// world is a served blog. Its tasks wait in a queue that nobody consumes: the tests give the verdicts.
type world struct {
	*store.Store

	url    string
	server *http.Server
}

func newWorld(t *testing.T) *world {
	t.Helper()
	client, err := broker.Open(t.Context(), "memory:"+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return newWorldOver(t, client)
}

func newWorldOver(t *testing.T, client *task.Client) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "blog.db"))
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	site, err := web.New(s, tasks.NewOutbox(s, client, "", logger), logger)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Store: s, url: "http://" + listener.Addr().String(), server: site.Server(t.Context())}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.server.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = w.server.Close()
		<-done
		_ = s.Close()
	})
	return w
}

// visitor is a browser with cookies of its own.
type visitor struct {
	*http.Client

	world *world
}

func (w *world) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{Client: &http.Client{Jar: jar, Timeout: 20 * time.Second}, world: w}
}

// answer is what a visitor gets.
type answer struct {
	status int
	header http.Header
	url    *url.URL // where redirects have led
	body   string
}

// cookies are those that are set.
func (a *answer) cookies() []*http.Cookie { return (&http.Response{Header: a.header}).Cookies() }

// send makes a request, with a form unless that is nil, and with headers in pairs of name and value.
func (v *visitor) send(t *testing.T, method, path string, form url.Values, header ...string) *answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, v.world.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, url: resp.Request.URL, body: string(body)}
}

func (v *visitor) see(t *testing.T, path string) string {
	t.Helper()
	return v.send(t, http.MethodGet, path, nil).body
}

// fields is a form that is filled in well, but for changes in pairs of name and value.
func fields(changes ...string) url.Values {
	form := url.Values{"name": {"Ada"}, "email": {"ada@example.com"}, "homepage": {""}, "comment": {"How true."}}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return form
}

// unchecked are the comments that have no verdict.
func (w *world) unchecked(t *testing.T) []store.Comment {
	t.Helper()
	later := time.Now().Add(time.Hour)
	comments, err := w.Unchecked(t.Context(), later, later, 100)
	if err != nil {
		t.Fatal(err)
	}
	return comments
}

func TestPages(t *testing.T) {
	t.Parallel()
	v := newWorld(t).visitor(t)
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/", http.StatusOK, "The bakery with one line"},
		{path, http.StatusOK, "Write a comment"},
		{"/posts/nothing", http.StatusNotFound, "Return to sender"},
		{"/nothing", http.StatusNotFound, "Return to sender"},
		{"/static/x/nothing", http.StatusNotFound, "Return to sender"},
	} {
		got := v.send(t, http.MethodGet, test.path, nil)
		if got.status != test.status || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: status %d, %q is in it: %v", test.path, got.status, test.want, strings.Contains(got.body, test.want))
		}
		csp := got.header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", test.path, csp)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", test.path)
		}
	}
}

func TestAssetsAreKept(t *testing.T) {
	t.Parallel()
	v := newWorld(t).visitor(t)
	_, rest, found := strings.Cut(v.see(t, "/"), `rel="stylesheet" href="`)
	href, _, _ := strings.Cut(rest, `"`)
	if !found {
		t.Fatal("no style sheet")
	}
	got := v.send(t, http.MethodGet, href, nil)
	if got.status != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "immutable") || !strings.Contains(got.body, ":root") {
		t.Errorf("%s: %d, %v", href, got.status, got.header)
	}
}

// A comment is posted, and only its author sees it until there is a verdict.
func TestComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bob := w.visitor(t), w.visitor(t)
	got := ada.send(t, http.MethodPost, path, fields("comment", "How very true.\r\n\r\nIndeed."), "User-Agent", "Lynx")
	c := w.unchecked(t)[0]
	if got.status != http.StatusOK || got.url.Fragment != fmt.Sprintf("comment-%d", c.ID) {
		t.Errorf("%s: %d", got.url, got.status)
	}
	if c.RemoteAddr != "127.0.0.1" || c.UserAgent != "Lynx" || c.Body != "How very true.\n\nIndeed." {
		t.Errorf("saved: %+v", c)
	}
	if !strings.Contains(got.body, "Only you can see this yet") || !strings.Contains(got.body, `data-status="checking"`) || !strings.Contains(got.body, "Check again") {
		t.Error("the author isn't told that the comment is being checked")
	}
	if strings.Contains(bob.see(t, path), "How very true") {
		t.Error("everybody sees an unchecked comment")
	}
	if err := w.Decide(t.Context(), c.ID, store.Published); err != nil {
		t.Fatal(err)
	}
	if page := bob.see(t, path); !strings.Contains(page, "How very true") || strings.Contains(page, "ada@example.com") || strings.Contains(page, "Check again") {
		t.Error("the published comment is hidden, or shows the e-mail address, or is still being checked")
	}
	if !strings.Contains(bob.see(t, "/"), "2 comments") {
		t.Error("the front page does not count it")
	}
}

func TestHeldComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada, bob := w.visitor(t), w.visitor(t)
	ada.send(t, http.MethodPost, path, fields("comment", "Cheap!"))
	if err := w.Decide(t.Context(), w.unchecked(t)[0].ID, store.Held); err != nil {
		t.Fatal(err)
	}
	if page := ada.see(t, path); !strings.Contains(page, "Cheap!") || !strings.Contains(page, "takes this for spam") {
		t.Error("the author isn't told")
	}
	if strings.Contains(bob.see(t, path), "Cheap!") {
		t.Error("everybody sees spam")
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.visitor(t)
	for name, test := range map[string]struct{ field, value string }{
		"no name":           {"name", " \n "},
		"a long name":       {"name", strings.Repeat("ä", 65)},
		"a name turned":     {"name", "Ada\u202egpj"},
		"no address":        {"email", ""},
		"half an address":   {"email", "ada@"},
		"a named address":   {"email", "Ada <ada@example.com>"},
		"two addresses":     {"email", "ada@example.com,bob@example.com"},
		"a script":          {"homepage", "javascript:alert(1)"},
		"a bare host":       {"homepage", "example.com"},
		"a password":        {"homepage", "https://ada:s3cret@example.com"},
		"no comment":        {"comment", "\r\n"},
		"a long comment":    {"comment", strings.Repeat("ä", 5001)},
		"control character": {"comment", "a\x00b"},
		"no text":           {"comment", "a\xffb"},
	} {
		got := v.send(t, http.MethodPost, path, fields(test.field, test.value))
		problem := fmt.Sprintf(`id="%s-problem"`, test.field)
		if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, problem) ||
			!strings.Contains(got.body, fmt.Sprintf(`aria-describedby="%s-problem"`, test.field)) || strings.Count(got.body, `class="problem"`) != 1 {
			t.Errorf("%s: %d, %d problems", name, got.status, strings.Count(got.body, `class="problem"`))
		}
		if test.field != "name" && !strings.Contains(got.body, `value="Ada"`) {
			t.Errorf("%s: what was right is to be typed in again", name)
		}
	}
	if n := len(w.unchecked(t)); n != 0 {
		t.Errorf("%d of them were saved", n)
	}
	for name, form := range map[string]url.Values{
		"the most there may be": fields("name", strings.Repeat("ä", 64), "comment", strings.Repeat("😀", 5000)),
		"an address in Greek":   fields("email", "ada@παράδειγμα.example"),
		"a homepage":            fields("homepage", "https://ada.example/~ada?x=1"),
	} {
		if got := v.send(t, http.MethodPost, path, form); got.status != http.StatusOK {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.visitor(t)
	for name, test := range map[string]struct {
		path   string
		form   url.Values
		header []string
		want   int
	}{
		"another site":          {path, fields(), []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another origin":        {path, fields(), []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"too much":              {path, fields("comment", strings.Repeat("x", 200_000)), nil, http.StatusRequestEntityTooLarge},
		"another post":          {"/posts/nothing", fields(), nil, http.StatusNotFound},
		"no form":               {path, fields(), []string{"Content-Type", "application/json"}, http.StatusUnprocessableEntity},
		"a form that is spoilt": {path, nil, []string{"Content-Type", "application/x-www-form-urlencoded; =;"}, http.StatusBadRequest},
	} {
		if got := v.send(t, http.MethodPost, test.path, test.form, test.header...); got.status != test.want {
			t.Errorf("%s: %d, want %d", name, got.status, test.want)
		}
	}
	if n := len(w.unchecked(t)); n != 0 {
		t.Errorf("%d of them were saved", n)
	}
}

// Whatever is typed in is text.
func TestEscaping(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const evil = `"><script>alert(1)</script>`
	got := w.visitor(t).send(t, http.MethodPost, path,
		fields("name", evil, "comment", evil+"\n\n## "+evil, "homepage", `https://example.com/"><script>`))
	if strings.Contains(got.body, "<script>") || !strings.Contains(got.body, "&lt;script&gt;") {
		t.Error("a script got through")
	}
	if strings.Contains(got.body, "<h2>&#34;") {
		t.Error("a comment has made a heading")
	}
}

// The cookie is out of the reach of scripts, and the database does not have it.
func TestAuthorCookie(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.visitor(t)
	v.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	got := v.send(t, http.MethodPost, path, fields())
	cookies := got.cookies()
	if got.status != http.StatusSeeOther || len(cookies) != 1 {
		t.Fatalf("%d with %d cookies", got.status, len(cookies))
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || len(c.Value) < 26 || strings.Contains(w.unchecked(t)[0].Author, c.Value) {
		t.Errorf("cookie %v", c)
	}
	if again := v.send(t, http.MethodPost, path, fields()); len(again.cookies()) != 0 {
		t.Error("who has a cookie gets another one")
	}
	if comments := w.unchecked(t); len(comments) != 2 || comments[0].Author != comments[1].Author {
		t.Error("the same visitor is two authors")
	}
}

// events reads a stream of server-sent events.
type events struct {
	*bufio.Scanner
}

// listen opens the stream, and returns when it is open.
func (v *visitor) listen(t *testing.T) *events {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.world.url+path+"/verdicts", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%d, %s", resp.StatusCode, got)
	}
	return &events{bufio.NewScanner(resp.Body)}
}

// next is the name and the data of the next event, "" at the end of the stream.
func (e *events) next() (name, data string) {
	for e.Scan() {
		if n, ok := strings.CutPrefix(e.Text(), "event: "); ok {
			name = n
		} else if d, ok := strings.CutPrefix(e.Text(), "data: "); ok {
			return name, d
		}
	}
	return "", ""
}

// The author of two comments hears of both, and then that this was all.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.visitor(t)
	ada.send(t, http.MethodPost, path, fields())
	ada.send(t, http.MethodPost, path, fields())
	comments := w.unchecked(t)
	stream := ada.listen(t)
	for i, test := range []struct {
		status store.Status
		count  string
	}{{store.Held, "1 comment"}, {store.Published, "2 comments"}} {
		if err := w.Decide(t.Context(), comments[i].ID, test.status); err != nil {
			t.Fatal(err)
		}
		name, data := stream.next()
		var got struct {
			Comment           int64
			Status            store.Status
			Mark, Note, Count string
		}
		if err := json.Unmarshal([]byte(data), &got); err != nil || name != "verdict" {
			t.Fatalf("%s: %s: %v", name, data, err)
		}
		if got.Comment != comments[i].ID || got.Status != test.status || got.Count != test.count || got.Mark == "" || got.Note == "" {
			t.Errorf("verdict %+v, want %s of %d and %s", got, test.status, comments[i].ID, test.count)
		}
	}
	if name, _ := stream.next(); name != "done" {
		t.Errorf("then came %q, want done", name)
	}
	if name, _ := stream.next(); name != "" {
		t.Errorf("after the end came %q", name)
	}
}

// Who has written nothing is told to stay away.
func TestVerdictsForNobody(t *testing.T) {
	t.Parallel()
	got := newWorld(t).visitor(t).send(t, http.MethodGet, path+"/verdicts", nil)
	if got.status != http.StatusNoContent {
		t.Errorf("%d", got.status)
	}
}

// Streams don't keep the server from shutting down.
func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.visitor(t)
	ada.send(t, http.MethodPost, path, fields())
	stream := ada.listen(t)
	if err := w.server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if name, _ := stream.next(); name != "" {
		t.Errorf("there was a %s", name)
	}
}

// If the broker is down, the comment is saved and the visitor hardly waits. The sweep does the rest.
func TestBrokerDown(t *testing.T) {
	t.Parallel()
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{
		"nobody listens": "amqp://guest:guest@" + closed.Addr().String() + "/",
		"closed":         "memory:" + t.Name(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := broker.Open(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			if name == "closed" {
				_ = client.Close()
			}
			t.Cleanup(func() { _ = client.Close() })
			w := newWorldOver(t, client)
			start := time.Now()
			got := w.visitor(t).send(t, http.MethodPost, path, fields())
			if got.status != http.StatusOK || !strings.Contains(got.body, `data-status="checking"`) {
				t.Errorf("the visitor sees %d", got.status)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("the visitor waited for %s", took)
			}
			// Another process, or this one later, has a broker.
			working, err := broker.Open(t.Context(), "memory:"+t.Name())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = working.Close() })
			later := time.Now().Add(time.Minute)
			unsent := func() int {
				comments, err := w.Unchecked(t.Context(), later, time.Time{}, 10)
				if err != nil {
					t.Fatal(err)
				}
				return len(comments)
			}
			if unsent() != 1 {
				t.Error("the comment counts as sent")
			}
			if err := tasks.NewOutbox(w.Store, working, "", slog.Default()).Sweep(t.Context(), later); err != nil || unsent() != 0 {
				t.Errorf("the sweep: %v, %d unsent", err, unsent())
			}
		})
	}
}
