package task

import (
	"context"
	"log/slog"
	"time"
)

// Info is what a running task can know of itself: Celery's default keyword
// arguments. Take it as a parameter of the task, or from [InfoFrom].
type Info struct {
	// ID is the unique id of the task; retries keep it.
	ID string
	// Name is the registered name.
	Name string
	// Retries is how often the task has been retried, from 0.
	Retries int
	// IsEager says that the task runs in the caller's process, without a worker.
	IsEager bool
	// Delivery is how the message came here.
	Delivery DeliveryInfo
	// LogFile is the worker's log file, "" for standard error.
	LogFile string
	// LogLevel is the worker's log level.
	LogLevel slog.Level
	// Worker is the node name, such as "worker@host".
	Worker string
	// RootID is the task that the first of this chain of calls was; ParentID the
	// one that sent this one, "" if none did.
	RootID, ParentID string
	// ETA and Expires are those of the message, zero if it has none.
	ETA, Expires time.Time
}

// DeliveryInfo is where a message came from. A retry goes to the same queue.
type DeliveryInfo struct {
	Queue, Exchange, RoutingKey string
	// Priority as it is set on a task: 0 (highest) to 9 (none).
	Priority int
	// Redelivered says that the message was handed to a worker before, which did not settle it.
	Redelivered bool
}

// running is a task while it runs.
type running struct {
	// about makes its Info, which few tasks want. name, if it is set, is that of the task that runs inside of it.
	about  func() Info
	name   string
	client *Client
	logger *slog.Logger
	stats  func() Stats
	// sent are the tasks that it has sent; nil where nobody asks.
	sent *offspring
}

func (r *running) info() Info {
	var info Info
	if r.about != nil {
		info = r.about()
	}
	info.Name = or(r.name, info.Name)
	return info
}

type runningKey struct{}

func runningFrom(ctx context.Context) *running {
	run, _ := ctx.Value(runningKey{}).(*running)
	return run
}

// as returns the context of a task that runs inside of another one.
func as(ctx context.Context, name string) context.Context {
	inner := running{client: ClientFrom(ctx), logger: slog.Default()}
	if outer := runningFrom(ctx); outer != nil {
		inner = *outer
	}
	inner.name = name
	return context.WithValue(ctx, runningKey{}, &inner)
}

// InfoFrom returns the Info of the running task; the zero Info outside of one.
func InfoFrom(ctx context.Context) Info {
	if run := runningFrom(ctx); run != nil {
		return run.info()
	}
	return Info{}
}

// LoggerFrom returns the worker's logger, which adds the task's name and id to each
// line. Outside of a task: slog.Default().
func LoggerFrom(ctx context.Context) *slog.Logger {
	if run := runningFrom(ctx); run != nil {
		info := run.info()
		return run.logger.With("task", info.Name, "id", info.ID)
	}
	return slog.Default()
}

// NewContext returns a context in which InfoFrom, LoggerFrom and Retry work as in
// a running task: for tests of task functions.
func NewContext(ctx context.Context, info Info) context.Context {
	return context.WithValue(ctx, runningKey{}, &running{about: func() Info { return info }, client: ClientFrom(ctx), logger: slog.Default()})
}
