package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/examples/blog/akismet/akismettest"
)

const (
	// asMain makes the test's binary the program.
	asMain = "BLOG_TEST_MAIN"
	post   = "/posts/the-sorting-car"
)

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// gate is an Akismet that answers when it is told to.
type gate struct {
	*httptest.Server

	pass chan struct{} // each value lets one check through
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{pass: make(chan struct{})}
	var akismet akismettest.Handler
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil { // also, only who has read it all is told that the worker is gone
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/comment-check") {
			select {
			case <-g.pass:
			case <-r.Context().Done():
				return
			}
		}
		akismet.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

// open lets one check through.
func (g *gate) open(t *testing.T) {
	t.Helper()
	select {
	case g.pass <- struct{}{}:
	case <-time.After(browserTime):
		t.Fatal("the worker has not asked Akismet")
	}
}

// start runs the blog, with its worker as a process of its own, over a broker; "" is the embedded one. It
// returns the URL.
func start(t *testing.T, worker, broker string, akismet *gate) string {
	t.Helper()
	ready := make(chan string, 1)
	b := &blog{
		out: t.Output(), log: t.Output(), addr: "127.0.0.1:0", data: t.TempDir(), broker: broker,
		akismetURL: akismet.URL, akismetKey: akismettest.Key, worker: worker,
		ready: func(url string) { ready <- url },
	}
	if broker != "" {
		b.queue = privateQueue(t, broker)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the blog did not stop well: %v", err)
			}
		case <-time.After(drainTime + browserTime):
			t.Error("the blog does not stop")
		}
	})
	select {
	case url := <-ready:
		return url
	case err := <-ended:
		ended <- nil
		t.Fatalf("the blog did not start: %v", err)
	case <-time.After(browserTime):
		t.Fatal("the blog does not start")
	}
	return ""
}

// privateQueue names a queue for this test alone, and deletes it afterwards.
func privateQueue(t *testing.T, url string) string {
	t.Helper()
	name := "blog-test-" + rand.Text()
	t.Cleanup(func() {
		conn, err := amqp.Dial(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for _, queue := range []string{name, name + ".dead"} {
			channel, err := conn.Channel()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := channel.QueueDelete(queue, false, false, false); err != nil {
				t.Errorf("queue %s: %v", queue, err)
			}
		}
	})
	return name
}

// buildTestWorker builds the worker once for all tests.
func buildTestWorker(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "worker")
	if err := buildWorker(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// A visitor's way through the blog, in a real browser, with a real worker.
func TestBrowser(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	worker := buildTestWorker(t)
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		akismet := newGate(t)
		url := start(t, worker, "", akismet)
		visit(t, b, url, akismet, "sqlite")
		t.Run("form", func(t *testing.T) { testForm(t, b, url) })
		t.Run("looks", func(t *testing.T) { testLooks(t, b, url) })
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		broker := os.Getenv("TASKGEN_TEST_AMQP")
		if broker == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		akismet := newGate(t)
		visit(t, b, start(t, worker, broker, akismet), akismet, "rabbitmq")
	})
}

func visit(t *testing.T, b *browser, url string, akismet *gate, name string) {
	t.Helper()
	t.Run("ham", func(t *testing.T) { testHam(t, b, url, akismet, name) })
	t.Run("spam", func(t *testing.T) { testSpam(t, b, url, akismet, name) })
	t.Run("without JavaScript", func(t *testing.T) { testNoScript(t, b, url, akismet, name) })
}

// A comment is checked while its author looks at it, and is then there for all.
func testHam(t *testing.T, b *browser, url string, akismet *gate, name string) {
	moving := desktop
	moving.still = false
	ada := b.open(t, moving, url+post)
	ada.post("Ada", "ada@example.com", "My grandmother sorted too, in Rotterdam.\n\nShe never spoke of the smoke.")
	ada.await(`.comment[data-status="checking"] [role="status"][aria-live="polite"]`)
	ask[bool](ada, `window.stays = true`)
	ada.do(chromedp.WaitNotVisible(".again")) // the stream is open
	if got := ada.text(".mark"); !strings.EqualFold(got, "checking") {
		t.Errorf("the mark is %q", got)
	}
	ada.screenshot(name + "-ham-1-checking")
	bob := b.open(t, phone, url+post)
	if n := bob.count(".comment"); n != 1 {
		t.Errorf("another visitor sees %d comments, want 1", n)
	}
	akismet.open(t)
	ada.await(`.comment[data-status="published"] .note`)
	if !ask[bool](ada, `window.stays === true`) {
		t.Error("the page was loaded again")
	}
	if got := ada.text("#comments"); got != "2 comments" {
		t.Errorf("the heading is %q", got)
	}
	if got := ada.text(".mark"); !strings.EqualFold(got, "published") || ada.count(".again") != 0 {
		t.Errorf("the mark is %q, with %d links to look again", got, ada.count(".again"))
	}
	ada.resize(desktop)
	ada.screenshot(name + "-ham-2-published")
	bob.reload()
	if n := bob.count(".comment"); n != 2 {
		t.Errorf("another visitor sees %d comments, want 2", n)
	}
}

// Spam is held, and its author is told.
func testSpam(t *testing.T, b *browser, url string, akismet *gate, name string) {
	p := b.open(t, desktop, url+post)
	p.post(akismettest.SpamAuthor, akismettest.SpamEmail, "Buy cheap stamps!")
	p.await(`.comment[data-status="checking"]`)
	akismet.open(t)
	p.await(`.comment[data-status="held"] .note`)
	if got := p.text(".note .text"); !strings.Contains(got, "takes this for spam") {
		t.Errorf("the author reads %q", got)
	}
	p.screenshot(name + "-spam-held")
	other := b.open(t, desktop, url+post)
	if text := other.text("main"); strings.Contains(text, "cheap stamps") {
		t.Error("everybody sees it")
	}
}

// Without JavaScript there is a link to look again.
func testNoScript(t *testing.T, b *browser, url string, akismet *gate, name string) {
	l := phone
	l.noScript = true
	p := b.open(t, l, url+post)
	p.post("Grace", "grace@example.com", "Works on a telegraph, too.")
	for range 2 { // the same link twice must load the page twice
		p.await(`.comment[data-status="checking"] .again a`)
		p.follow(".again a")
	}
	p.await(`.comment[data-status="checking"]`)
	p.screenshot(name + "-noscript-1-checking")
	akismet.open(t)
	for p.count(`.comment[data-status="checking"]`) > 0 { // until the worker has written it down
		p.follow(".again a")
	}
	if text := p.text("main"); !strings.Contains(text, "Works on a telegraph") || p.count(".again") != 0 {
		t.Error("the published comment is missing, or is still being checked")
	}
	p.screenshot(name + "-noscript-2-published")
}

// What is wrong with a form is said beside it, and to screen readers.
func testForm(t *testing.T, b *browser, url string) {
	p := b.open(t, phone, url+post)
	p.tolerate("status of 422")
	ask[bool](p, `document.forms[0].noValidate = true`)
	p.post("Ada", "ada at example", "How true.")
	p.await(`#email[aria-invalid="true"]`)
	if got := p.text("#email-problem"); !strings.Contains(got, "not an e-mail address") {
		t.Errorf("the problem is %q", got)
	}
	p.checkTree()
	p.checkContrasts()
	p.checkWidth()
	p.screenshot("form-problem-phone")
	p.checkKeyboard()
}

// Each page in each size and scheme, as a designer, a screen reader and a thumb see it.
func testLooks(t *testing.T, b *browser, url string) {
	dark := desktop
	dark.dark = true
	darkPhone := phone
	darkPhone.dark = true
	for name, path := range map[string]string{"front": "/", "post": post, "bakery": "/posts/the-bakery-with-one-line", "missing": "/nothing"} {
		p := b.open(t, desktop, url)
		p.tolerate("status of 404")
		p.visit(url + path)
		p.checkTree()
		for size, l := range map[string]look{"desktop": desktop, "phone": phone, "narrow": narrow, "desktop-dark": dark, "phone-dark": darkPhone} {
			p.resize(l)
			p.checkWidth()
			p.checkContrasts()
			p.screenshot(name + "-" + size)
		}
	}
}

// signalled is a log that tells when a text is in it.
type signalled struct {
	text string
	seen chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

func (s *signalled) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := strings.Contains(s.log.String(), s.text)
	n, err := s.log.Write(p)
	if !before && strings.Contains(s.log.String(), s.text) {
		close(s.seen)
	}
	return n, err
}

func (s *signalled) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// The whole program: it starts everything, and Ctrl-C stops everything.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // the worker is built, perhaps on a cold cache
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-addr", "127.0.0.1:0", "-data", t.TempDir())
	cmd.Env = append(os.Environ(), asMain+"=1", "AKISMET_KEY=", "TASKGEN_BROKER=")
	cmd.WaitDelay = 10 * time.Second // for a worker that has lost its parent
	log := &signalled{text: "msg=ready", seen: make(chan struct{})}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			url = line
		}
	}
	if url == "" {
		t.Fatalf("it has not started: %v\n%s", cmd.Wait(), log)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %v, %v", url, resp, err)
	} else {
		_ = resp.Body.Close()
	}
	select {
	case <-log.seen:
	case <-ctx.Done():
		t.Fatalf("the worker is not ready:\n%s", log)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to the end, as Wait wants it
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("%v; the worker should have stopped:\n%s", err, log)
	}
}
