package task

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
)

// ClientConfig says how a client sends. The zero value is good.
type ClientConfig struct {
	// Origin is the sender's name in messages, "gen<pid>@<host>" by default.
	Origin string
	// Serializer and Compression are for tasks that name none. msgpack, and none, by default.
	Serializer, Compression string
	// MaxBody is the largest message body that may be sent, in bytes, after
	// compression. 16 MiB by default.
	MaxBody int
	// ShowArguments adds the arguments as text to each message, for tools such
	// as Flower; secret ones as ***. Off by default: it costs a tenth of the speed.
	ShowArguments bool
	// SendEvents sends Celery's event task-sent for each message that the broker has taken, so that
	// tools such as Flower see tasks before a worker has them. Off by default: it is a message more for each task.
	SendEvents bool
}

// Client sends tasks and fetches their results. It is safe for concurrent use.
type Client struct {
	transport Transport
	config    ClientConfig
	clock     Clock
}

// NewClient makes a client that sends through t, and closes it in Close.
func NewClient(t Transport, config ClientConfig) *Client {
	if config.Origin == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		config.Origin = fmt.Sprintf("gen%d@%s", os.Getpid(), host)
	}
	if config.MaxBody <= 0 {
		config.MaxBody = DefaultMaxBody
	}
	return &Client{transport: t, config: config}
}

// Transport is what the client sends through.
func (c *Client) Transport() Transport { return c.transport }

// Close ends the connections. Calls in flight end with an error.
func (c *Client) Close() error { return c.transport.Close() }

// ErrNoClient: Delay was called with a context that has no client.
var ErrNoClient = errors.New("no client: use task.WithClient(ctx, client) or task.SetDefault(client)")

var defaultClient atomic.Pointer[Client]

// SetDefault makes c the client of every context that has no other.
func SetDefault(c *Client) { defaultClient.Store(c) }

type clientKey struct{}

// WithClient returns a context whose calls go through c.
func WithClient(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

// ClientFrom returns the client of ctx: that of WithClient, else the worker's
// inside a running task, else the default one, else nil.
func ClientFrom(ctx context.Context) *Client {
	if c, ok := ctx.Value(clientKey{}).(*Client); ok {
		return c
	}
	if run := runningFrom(ctx); run != nil {
		return run.client
	}
	return defaultClient.Load()
}

func clientFor(ctx context.Context, task string) (*Client, error) {
	if c := ClientFrom(ctx); c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("task %s: %w", task, ErrNoClient)
}
