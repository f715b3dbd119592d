package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/taskgen/taskgen/examples/blog/akismet/akismettest"
	"github.com/taskgen/taskgen/examples/blog/settings"
	"github.com/taskgen/taskgen/examples/blog/store"
	"github.com/taskgen/taskgen/examples/blog/tasks"
	"github.com/taskgen/taskgen/examples/blog/web"
	"github.com/taskgen/taskgen/runtime/broker"
)

const (
	// localAkismetDelay is how long our own Akismet thinks, so that one can watch.
	localAkismetDelay = 1500 * time.Millisecond
	// shutdownTime is how long requests may take to end.
	shutdownTime = 5 * time.Second
)

// blog is all of it: the flags, and what they start.
type blog struct {
	out, log io.Writer

	addr, data, broker, queue string
	akismetURL, akismetKey    string
	akismetDelay              time.Duration

	// worker is the path of the worker's program, which is built if there is none.
	worker string
	// ready, if it is set, is told the URL once the blog is served.
	ready func(url string)
}

// run runs the blog until ctx ends.
func (b *blog) run(ctx context.Context) (err error) {
	if err := os.MkdirAll(b.data, 0o700); err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", b.addr)
	if err != nil {
		return fmt.Errorf("%w (-addr takes another address)", err)
	}
	defer func() { _ = listener.Close() }() // if the server has not done so
	s := settings.Settings{
		Database: filepath.Join(b.data, "blog.db"), Site: siteURL(listener.Addr()),
		AkismetURL: b.akismetURL, AkismetKey: b.akismetKey,
	}
	if s.AkismetKey == "" {
		akismet, err := b.startAkismet(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = akismet.Close() }() // after the worker
		s.AkismetURL, s.AkismetKey = "http://"+akismet.Addr, akismettest.Key
	}
	return b.serve(ctx, listener, s)
}

// serve runs the web server and the worker.
func (b *blog) serve(ctx context.Context, listener net.Listener, s settings.Settings) (err error) {
	posts, err := store.Open(ctx, s.Database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, posts.Close()) }()
	b.broker = cmp.Or(b.broker, "sqlite:"+filepath.Join(b.data, "broker"))
	client, err := broker.Open(ctx, b.broker)
	if err != nil {
		return err
	}
	defer client.Close()
	logger := slog.New(slog.NewTextHandler(b.log, nil))
	outbox := tasks.NewOutbox(posts, client, b.queue, logger)
	site, err := web.New(posts, outbox, logger)
	if err != nil {
		return err
	}
	w, err := b.startWorker(ctx, s)
	if err != nil {
		return err
	}
	defer w.remove()
	b.sayf("\n  %s\n\n", s.Site)
	b.sayf("  posts      %s\n  broker     %s\n  Akismet    %s\n  worker     process %d\n\nCtrl-C stops everything.\n\n",
		s.Database, client.Transport(), cmp.Or(s.AkismetURL, "the real one"), w.cmd.Process.Pid)
	group, ctx := errgroup.WithContext(ctx)
	server := site.Server(ctx)
	group.Go(func() error { return w.wait(ctx) })
	group.Go(func() error { outbox.Run(ctx); return nil })
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		w.stop()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		return server.Shutdown(ctx)
	})
	if b.ready != nil {
		b.ready(s.Site)
	}
	return group.Wait()
}

// startAkismet starts an Akismet of our own.
func (b *blog) startAkismet(ctx context.Context) (*http.Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Addr:    listener.Addr().String(),
		Handler: &akismettest.Handler{Delay: b.akismetDelay}, ReadTimeout: shutdownTime,
	}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return server, nil
}

// siteURL is what to type into a browser on this machine.
func siteURL(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// sayf writes for people. A closed terminal is no reason to stop in the middle.
func (b *blog) sayf(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format, args...) }
