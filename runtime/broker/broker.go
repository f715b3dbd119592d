// Package broker opens the broker that a URL names:
//
//	amqp://user:password@host/vhost    RabbitMQ
//	amqps://user:password@host/vhost   RabbitMQ over TLS
//	pyamqp://user:password@host/vhost  as in Celery: amqp://
//	sqlite:path                        the embedded broker: a folder or a .db file
//	memory:name                        inside this process, for tests
//
// Without a URL it is the one that a worker would take: that in TASKGEN_BROKER, or in the file that TASKGEN_BROKER_FILE names, or
// else the embedded broker in .taskgen/ at the root of the module.
//
// Results are the broker's own business, unless [Results] names a store for them. A program that says what its workers do:
//
//	broker.Open(ctx, "", broker.Results(""))
//
// It is the only package that links every transport. A program that is to link
// one of them opens that one itself: task.NewClient(rabbitmq.Open(…), …).
package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/taskgen/taskgen/runtime/internal/urlvar"
	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/rabbitmq"
	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// Default is the broker of an empty URL, where the environment names none.
const Default = "sqlite:"

// schemes are those of the package comment, for errors.
const schemes = "amqp://…, amqps://…, sqlite:path and memory:name"

// Option changes what is opened.
type Option func(*options)

type options struct {
	results     string
	environment bool // names the results
	existing    bool
}

// Results has the results in the store at url, such as redis://host, where all senders and workers must have them. "rpc" leaves
// them to the broker, which is the default: RabbitMQ sends each to who sent the task, the others keep them. "" is the URL in TASKGEN_RESULTS, or in
// the file that TASKGEN_RESULTS_FILE names, or else rpc.
//
// A store is linked by importing its package: _ "github.com/taskgen/taskgen/runtime/redis".
func Results(url string) Option {
	return func(o *options) { o.results, o.environment = url, url == "" }
}

// Existing makes no embedded broker where there is none; that is an error which matches [sqlite.ErrMissing] then.
func Existing() Option { return func(o *options) { o.existing = true } }

// RPC as the URL of a store of results leaves them to the broker.
const RPC = "rpc"

// Open returns a client of the broker at url. No error quotes a password.
func Open(ctx context.Context, url string, options ...Option) (*task.Client, error) {
	t, err := Transport(ctx, url, options...)
	if err != nil {
		return nil, err
	}
	return task.NewClient(t, task.ClientConfig{}), nil
}

// Transport returns the transport to the broker at url. No error quotes a password.
func Transport(ctx context.Context, url string, opts ...Option) (task.Transport, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	url, err := fromEnvironment(url, url == "", urlvar.Broker)
	if err != nil {
		return nil, err
	}
	if o.results, err = fromEnvironment(o.results, o.environment, urlvar.Results); err != nil {
		return nil, err
	}
	name := "broker " + Redact(url)
	if url == "" {
		name, url = "the embedded broker", Default
	}
	t, err := open(ctx, url, o.existing)
	switch {
	case errors.Is(err, sqlite.ErrMissing):
		return nil, err // it says all of that
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.results == "" || o.results == RPC {
		return t, nil
	}
	s, err := task.OpenResultStore(ctx, o.results)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("results %s: %w", Redact(o.results), err), t.Close())
	}
	return task.WithResults(t, s), nil
}

// fromEnvironment is url, or what the environment has for it.
func fromEnvironment(url string, ask bool, variable string) (string, error) {
	if !ask {
		return url, nil
	}
	url, err := urlvar.Get(variable)
	if err != nil {
		return "", fmt.Errorf("broker: %w", err)
	}
	return url, nil
}

func open(ctx context.Context, url string, existing bool) (task.Transport, error) {
	scheme, rest, found := strings.Cut(url, ":")
	if !found {
		return nil, errors.New("not a URL: there are " + schemes)
	}
	// A nil *Transport in a task.Transport would not be nil.
	switch scheme {
	case "amqp", "amqps", "pyamqp": // the last is what Celery calls the first
		t, err := rabbitmq.Open(ctx, strings.TrimPrefix(url, "py"))
		if err != nil {
			return nil, err
		}
		return t, nil
	case "sqlite":
		open := sqlite.Open
		if existing {
			open = sqlite.OpenExisting
		}
		t, err := open(ctx, url)
		if err != nil {
			return nil, err
		}
		return t, nil
	case "memory":
		return memory.Open(strings.TrimPrefix(rest, "//")), nil
	}
	return nil, errors.New("no broker has this scheme: there are " + schemes)
}
