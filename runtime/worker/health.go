package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// health answers probes: whether the process must be started anew, and whether it takes tasks. It asks
// nobody else: a broker that is down is for the worker to wait for.
type health struct {
	server   *http.Server // nil: nobody asks
	address  string       // where it listens
	worker   atomic.Pointer[task.Worker]
	draining atomic.Bool
}

// probeTimeout bounds everything that a client of the probes may take its time for.
const probeTimeout = 5 * time.Second

// maxProbe is how long the headers of a question may be, in bytes.
const maxProbe = 8 << 10

// openHealth listens at once, so that probes are answered before there is a worker. "" is nowhere.
func openHealth(ctx context.Context, address string, log *slog.Logger) (*health, error) {
	h := &health{}
	if address == "" {
		return h, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		if e, ok := errors.AsType[*net.OpError](err); ok {
			err = e.Err // the address is named already
		}
		return nil, fmt.Errorf("-health %s: %w; want an address of this machine that is free", address, err)
	}
	h.address = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.live()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.ready()) })
	h.server = &http.Server{
		Handler: mux, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadTimeout: probeTimeout, WriteTimeout: probeTimeout, MaxHeaderBytes: maxProbe,
	}
	h.server.SetKeepAlivesEnabled(false)
	go func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("probes are not answered any more", "address", h.address, "error", err)
		}
	}()
	return h, nil
}

func (h *health) close() {
	if h.server != nil {
		_ = h.server.Close()
	}
}

// live tells why the process should be started anew.
func (h *health) live() error {
	if w := h.worker.Load(); w != nil {
		return w.Live()
	}
	return nil
}

// ready tells why the worker takes no tasks.
func (h *health) ready() error {
	w := h.worker.Load()
	switch {
	case h.draining.Load():
		return errors.New("draining")
	case w == nil:
		return errors.New("starting")
	case w.Ready():
		return nil
	}
	// The log knows more, and not everybody reads that.
	switch err := w.Refused(); {
	case errors.Is(err, task.ErrRefused):
		return errors.New("not consuming: the broker refuses the login")
	case err != nil:
		return errors.New("not consuming: the broker refuses a queue")
	}
	return errors.New("not consuming: there is no session with the broker now")
}

// answer tells a probe in one line.
func answer(w http.ResponseWriter, trouble error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "ok"
	if trouble != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		text = printable(trouble.Error())
	}
	_, _ = io.WriteString(w, text+"\n")
}
