package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// Server answers remote control for a worker.
type Server struct {
	config   Config
	worker   *task.Worker
	events   Events
	name     string
	started  time.Time
	logger   *slog.Logger
	listener task.Listener // nil: Off
	mingling context.CancelFunc
}

// Start has a worker listen to remote control until Close, and returns at once; a broker that is not there is waited for. In
// the background it asks the other workers what was revoked (Celery: mingle), and is told within a second. Workers that nobody asks
// anything do nothing for it.
func Start(config Config) (*Server, error) {
	w := config.Worker
	s := &Server{
		config: config, worker: w, events: config.Events, name: w.Config().Name, started: time.Now(), logger: w.Config().Logger,
		mingling: func() {},
	}
	if s.events == nil {
		s.events = noEvents{}
	}
	if config.Mode == Off {
		return s, nil
	}
	var err error
	s.listener, err = w.Transport().Listen(task.ListenConfig{
		Queue: s.name + requestSuffix, Exchange: requests, Deliver: s.deliver, Logger: s.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("remote control of worker %s: %w", s.name, err)
	}
	if config.Mode == Full {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		s.mingling = func() { cancel(); <-ended }
		go func() {
			defer close(ended)
			s.mingle(ctx)
		}()
	}
	return s, nil
}

// Close stops listening.
func (s *Server) Close() error {
	s.mingling()
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// deliver answers one request.
func (s *Server) deliver(b *task.Broadcast) {
	defer func() {
		if v := recover(); v != nil {
			s.logger.Error("a request of remote control made the worker panic", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	s.worker.Clock().Adjust(clockOf(b))
	r, err := readRequest(b)
	if err != nil {
		s.logger.Warn("a request of remote control can't be read", "error", err)
		return
	}
	if !r.meant(s.name) {
		return
	}
	value, err := s.run(r)
	switch {
	case errors.Is(err, errSilent):
		return
	case err != nil:
		value = map[string]string{"error": err.Error()}
	}
	if err := s.reply(r, value); err != nil {
		s.logger.Warn("a request of remote control can't be answered", "method", r.Method, "error", err)
	}
}

// errSilent has a command not be answered.
var errSilent = errors.New("no answer")

// run runs a command.
func (s *Server) run(r *request) (any, error) {
	c, ok := commands[r.Method]
	if !ok {
		return nil, pythonError("KeyError", "%s", r.Method)
	}
	if c.changes {
		if s.config.Mode == Read {
			s.logger.Warn("a command of remote control is refused: -control is read", "method", r.Method)
			return nil, fmt.Errorf("worker %s can be asked, and not changed, by remote control (-control read): %s is refused", s.name, r.Method)
		}
		s.logger.Debug("a command of remote control", "method", r.Method)
	}
	return c.run(s, r)
}

// reply answers where that is wanted.
func (s *Server) reply(r *request, value any) error {
	if r.ReplyTo == nil || r.ReplyTo.Exchange == "" {
		return nil
	}
	body, err := encode(map[string]any{s.name: value})
	if err != nil {
		return err
	}
	return s.worker.Transport().Broadcast(context.Background(), &task.Broadcast{
		Exchange:   task.Bulletin{Name: r.ReplyTo.Exchange, Type: task.Direct},
		RoutingKey: r.ReplyTo.RoutingKey, ContentType: contentType, ContentEncoding: encoding,
		Headers: map[string]any{"ticket": r.Ticket, "clock": tick(s.worker.Clock())}, Body: body,
	})
}

// tick is the header of a broadcast that is about to be sent.
func tick(c *task.Clock) int32 { return int32(min(c.Tick(), math.MaxInt32)) }

// clockOf is the clock of who has sent b.
func clockOf(b *task.Broadcast) int64 {
	switch v := b.Headers["clock"].(type) {
	case int32:
		return int64(v)
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		return int64(v)
	case json.Number:
		n, _ := v.Int64()
		return n
	}
	return 0
}
