package akismet_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskgen/taskgen/examples/blog/akismet"
	"github.com/taskgen/taskgen/examples/blog/akismet/akismettest"
)

const site = "https://blog.example"

// recorder is a server that remembers the forms it gets.
type recorder struct {
	http.Handler

	mu    sync.Mutex
	forms []url.Values
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err == nil {
		r.mu.Lock()
		r.forms = append(r.forms, req.PostForm)
		r.mu.Unlock()
	}
	r.Handler.ServeHTTP(w, req)
}

func (r *recorder) calls() []url.Values {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forms
}

// newClient makes a client of the server h.
func newClient(t *testing.T, h http.Handler, key string) (*akismet.Client, *recorder) {
	t.Helper()
	r := &recorder{Handler: h}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	client, err := akismet.New(akismet.Config{Key: key, Site: site, URL: server.URL, Test: true})
	if err != nil {
		t.Fatal(err)
	}
	return client, r
}

func TestCheck(t *testing.T) {
	t.Parallel()
	links := func(n int) string { return strings.Repeat("see https://example.com ", n) }
	for name, test := range map[string]struct {
		comment akismet.Comment
		want    akismet.Verdict
	}{
		"ham":               {akismet.Comment{Author: "Ada", Content: "How true."}, akismet.Ham},
		"two links":         {akismet.Comment{Author: "Ada", Content: links(2)}, akismet.Ham},
		"the spam author":   {akismet.Comment{Author: akismettest.SpamAuthor, Content: "How true."}, akismet.Spam},
		"its newer name":    {akismet.Comment{Author: akismettest.NewSpamAuthor, Content: "How true."}, akismet.Spam},
		"the spam address":  {akismet.Comment{Email: akismettest.SpamEmail, Content: "How true."}, akismet.Spam},
		"many links":        {akismet.Comment{Author: "Ada", Content: links(3)}, akismet.Spam},
		"nothing but links": {akismet.Comment{Author: "Ada", Content: links(10)}, akismet.Discard},
		"an administrator":  {akismet.Comment{Author: "Ada", Content: links(10), Role: "administrator"}, akismet.Ham},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newClient(t, new(akismettest.Handler), akismettest.Key)
			test.comment.UserIP = "203.0.113.7"
			if got, err := client.Check(t.Context(), &test.comment); got != test.want || err != nil {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
		})
	}
}

// Everything that is known of a comment reaches Akismet, under the names that it knows.
func TestParameters(t *testing.T) {
	t.Parallel()
	client, server := newClient(t, new(akismettest.Handler), akismettest.Key)
	_, err := client.Check(t.Context(), &akismet.Comment{
		UserIP: "203.0.113.7", UserAgent: "Lynx", Referrer: site + "/", Permalink: site + "/posts/one",
		Author: "Ada", Email: "ada@example.com", Homepage: "https://ada.example", Content: "1 & 2 = 3?",
		Posted: time.Date(2026, 5, 20, 14, 0, 0, 0, time.FixedZone("", 2*3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	form := server.calls()[0]
	for name, want := range map[string]string{
		"api_key": akismettest.Key, "blog": site, "user_ip": "203.0.113.7", "user_agent": "Lynx",
		"referrer": site + "/", "permalink": site + "/posts/one", "comment_type": "comment",
		"comment_author": "Ada", "comment_author_email": "ada@example.com", "comment_author_url": "https://ada.example",
		"comment_content": "1 & 2 = 3?", "comment_date_gmt": "2026-05-20T12:00:00Z", "blog_charset": "UTF-8", "is_test": "1",
	} {
		if got := form.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if form.Has("user_role") {
		t.Error("a role is sent that the author has not")
	}
}

func TestVerifyKey(t *testing.T) {
	t.Parallel()
	client, server := newClient(t, new(akismettest.Handler), akismettest.Key)
	for range 3 {
		if err := client.VerifyKey(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(server.calls()); n != 1 {
		t.Errorf("a valid key was verified %d times, want once", n)
	}
	// A check that is refused, here for want of an address, may mean that the key is no longer valid.
	_, err := client.Check(t.Context(), &akismet.Comment{})
	var refused *akismet.Error
	if !errors.As(err, &refused) || refused.Call != "comment-check" || refused.Answer != "invalid" || refused.Help != `"user_ip" is missing` {
		t.Errorf("a check without an address: %v", err)
	}
	if err := client.VerifyKey(t.Context()); err != nil || len(server.calls()) != 3 {
		t.Errorf("after a refusal: %v, %d calls, want 3", err, len(server.calls()))
	}
}

func TestInvalidKey(t *testing.T) {
	t.Parallel()
	const key = "s3cret"
	client, _ := newClient(t, new(akismettest.Handler), key)
	err := client.VerifyKey(t.Context())
	if !errors.Is(err, akismet.ErrInvalidKey) || !strings.Contains(err.Error(), "the key is not known") {
		t.Errorf("got %v, want ErrInvalidKey with Akismet's help", err)
	}
	if strings.Contains(err.Error(), key) {
		t.Errorf("the key is in the error: %v", err)
	}
}

func TestUnusableAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"down": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "try later", http.StatusServiceUnavailable)
		}, `status 503, answer "try later"`},
		"an alert": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Akismet-Alert-Code", "10005")
			w.Header().Set("X-Akismet-Alert-Msg", "Your key was seen elsewhere.")
			_, _ = w.Write([]byte("invalid"))
		}, `alert 10005 "Your key was seen elsewhere."`},
		"another page": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(strings.Repeat("<html>", 100_000)))
		}, "status 200, answer \"<html>"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example", http.StatusTemporaryRedirect)
		}, "status 307"},
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := newClient(t, test.answer, akismettest.Key)
			for call, err := range map[string]error{
				"comment-check": second(client.Check(t.Context(), &akismet.Comment{UserIP: "203.0.113.7"})),
				"verify-key":    client.VerifyKey(t.Context()),
			} {
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), call) {
					t.Errorf("%v\nwant %s: …%s…", err, call, test.want)
				}
				if err != nil && len(err.Error()) > 400 {
					t.Errorf("the error has %d bytes", len(err.Error()))
				}
			}
		})
	}
}

// A call ends with its context.
func TestCancel(t *testing.T) {
	t.Parallel()
	client, _ := newClient(t, &akismettest.Handler{Delay: time.Hour}, akismettest.Key)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Check(ctx, &akismet.Comment{UserIP: "203.0.113.7"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for _, config := range []akismet.Config{{Site: ""}, {Site: "blog.example"}, {Site: site, URL: "ftp://example.com"}} {
		if _, err := akismet.New(config); err == nil {
			t.Errorf("%+v: no error", config)
		}
	}
}

func second[A, B any](_ A, b B) B { return b }
