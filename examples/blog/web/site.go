// Package web is the blog as seen through a browser.
package web

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/examples/blog/tasks"
)

// Site serves the blog.
type Site struct {
	store   *store.Store
	outbox  *tasks.Outbox
	logger  *slog.Logger
	pages   *template.Template
	handler http.Handler

	streams  chan struct{} // has a place for each stream that may be open
	stopping chan struct{} // closed when streams are to end
	stop     func()
}

// New makes the site of the posts in s. What visitors write goes out through outbox.
func New(s *store.Store, outbox *tasks.Outbox, logger *slog.Logger) (*Site, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	site := &Site{
		store: s, outbox: outbox, logger: logger, pages: pages,
		streams: make(chan struct{}, maxStreams), stopping: make(chan struct{}),
	}
	site.stop = sync.OnceFunc(func() { close(site.stopping) })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", site.front)
	mux.HandleFunc("GET /posts/{slug}", site.post)
	mux.HandleFunc("POST /posts/{slug}", site.addComment)
	mux.HandleFunc("GET /posts/{slug}/verdicts", site.verdicts)
	mux.HandleFunc("GET "+assetPath+"{name}", site.asset)
	mux.HandleFunc("/", site.notFound)
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(site.foreign))
	site.handler = protect(origins.Handler(mux))
	return site, nil
}

func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Server makes a server of the site, with limits on all that a visitor could draw out.
func (s *Site) Server(ctx context.Context) *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(s.stop) // which does not end what is open
	return server
}

// protect sets the headers that keep a page from doing what it has no business to do.
func protect(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		// A page shows its visitor's own comments.
		h.Set("Cache-Control", "private, no-cache")
		next.ServeHTTP(w, r)
	})
}

// front shows the list of posts.
func (s *Site) front(w http.ResponseWriter, r *http.Request) {
	posts, err := s.store.Posts(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "front.html", posts)
}

// post shows a post with its comments and an empty form.
func (s *Site) post(w http.ResponseWriter, r *http.Request) {
	post, err := s.store.Post(r.Context(), r.PathValue("slug"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.showPost(w, r, http.StatusOK, post, &form{})
}

func (s *Site) showPost(w http.ResponseWriter, r *http.Request, status int, post *store.Post, f *form) {
	comments, err := s.store.Comments(r.Context(), post.ID, author(r))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.show(w, r, status, "post.html", newPostPage(post, comments, author(r), f))
}

// notFound answers what no other route does.
func (s *Site) notFound(w http.ResponseWriter, r *http.Request) {
	s.message(w, r, http.StatusNotFound, "Return to sender", "There is nothing at this address. It may have moved, or was never there.")
}

// foreign answers a form that another site has sent.
func (s *Site) foreign(w http.ResponseWriter, r *http.Request) {
	s.message(w, r, http.StatusForbidden, "Not from here", "This form was sent by another site. Nothing was saved.")
}

// fail answers when something went wrong.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotFound) {
		s.notFound(w, r)
		return
	}
	if r.Context().Err() == nil { // the visitor is still there
		s.logger.ErrorContext(r.Context(), "a request failed", "path", r.URL.Path, "error", err)
	}
	s.message(w, r, http.StatusInternalServerError, "The line is broken", "That did not work, and it is our fault. Please try again in a little while.")
}
