package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/taskgen/taskgen/runtime/task"
)

// DefaultTimeout is how long a client waits for answers (Celery: Inspect.timeout).
const DefaultTimeout = time.Second

// readyTimeout is how long a client waits for a broker that is not there.
const readyTimeout = 5 * time.Second

// ClientConfig says whom a client speaks to. The zero value is good.
type ClientConfig struct {
	// Destination names workers. Else Pattern chooses some by their names, in the language of Matcher: glob, or pcre, an expression that
	// is matched at the beginning. By default it is all workers.
	Destination []string
	Pattern     string
	Matcher     string
	// Timeout is how long answers are waited for; not longer than until all of Destination have answered. 1 s by default.
	Timeout time.Duration
	// Clock is the process's, if it has one.
	Clock *task.Clock
	// Logger takes what happens to the session. nil: discarded.
	Logger *slog.Logger
}

// Client gives commands to a fleet. It is safe for concurrent use.
type Client struct {
	broadcaster task.Broadcaster
	config      ClientConfig
	id          string

	mu       sync.Mutex
	listener task.Listener
	waiting  map[string]chan *task.Broadcast // by ticket
}

// NewClient makes a client. The broker is not asked before the first command.
func NewClient(b task.Broadcaster, config ClientConfig) *Client {
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	if config.Clock == nil {
		config.Clock = new(task.Clock)
	}
	return &Client{broadcaster: b, config: config, id: uuid.NewString(), waiting: map[string]chan *task.Broadcast{}}
}

// Close ends the client's session, not that of its transport.
func (c *Client) Close() error {
	c.mu.Lock()
	listener := c.listener
	c.listener = nil
	c.mu.Unlock()
	if listener == nil {
		return nil
	}
	return listener.Close() // waits for deliver, which takes the lock
}

// maxAnswers bounds the answers to a command that have not been read yet.
const maxAnswers = 1000

// Ask gives a command and returns the answers, sorted by worker. arguments become a map in JSON; nil: none. An error that
// matches [ErrNobody] says that no worker has answered, any other one that the broker could not be used. That a worker refuses is in its
// answer.
func (c *Client) Ask(ctx context.Context, method string, arguments any) ([]Answer, error) {
	if err := c.Ready(ctx); err != nil {
		return nil, err
	}
	ticket, came := uuid.NewString(), make(chan *task.Broadcast, maxAnswers)
	c.expect(ticket, came)
	defer c.expect(ticket, nil)
	if err := c.send(ctx, method, arguments, ticket); err != nil {
		return nil, err
	}
	if err := c.probe(ctx, ticket); err != nil {
		return nil, err
	}
	answers, carried, err := c.collect(ctx, came)
	switch {
	case err != nil || len(answers) > 0:
		return answers, err
	case !carried:
		return nil, fmt.Errorf("%w: what this client has sent to itself has not come back within %s. Is it blocked by an alarm for memory or disk, or may this user not use the exchange %s?", ErrNotCarried, c.config.Timeout, requests.Name)
	}
	return nil, fmt.Errorf("%w within %s: none runs%s, or those that do don't listen to remote control. The broker works", ErrNobody, c.config.Timeout, c.whom())
}

// whom says who was asked, if it was not everybody.
func (c *Client) whom() string {
	switch {
	case len(c.config.Destination) > 0:
		return " under the name " + strings.Join(c.config.Destination, " or ")
	case c.config.Pattern != "":
		return " whose name matches " + c.config.Pattern
	}
	return ""
}

// Tell gives a command that is not answered. It does not wait for a broker that is not there; Ready does.
func (c *Client) Tell(ctx context.Context, method string, arguments any) error {
	return c.send(ctx, method, arguments, "")
}

// Ready waits until answers can come, for 5 s at most; the error says what is wrong with the broker. Ask does so first.
func (c *Client) Ready(ctx context.Context) error {
	c.mu.Lock()
	if c.listener == nil {
		listener, err := c.broadcaster.Listen(task.ListenConfig{
			Queue: c.id + replySuffix, Exchange: replies, Keys: []string{c.id}, Deliver: c.deliver, Logger: c.config.Logger,
		})
		if err != nil {
			c.mu.Unlock()
			return fmt.Errorf("remote control: %w", err)
		}
		c.listener = listener
	}
	listener := c.listener
	c.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("gave up after %s", readyTimeout))
	defer cancel()
	if err := listener.Ready(ctx); err != nil {
		return fmt.Errorf("remote control: the broker can't be used: %w", err)
	}
	return nil
}

func (c *Client) deliver(b *task.Broadcast) {
	c.config.Clock.Adjust(clockOf(b))
	ticket, _ := b.Headers["ticket"].(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.waiting[ticket] <- b:
	default: // nobody waits for it any more
	}
}

// expect has the answers with a ticket put into came; nil: not any more.
func (c *Client) expect(ticket string, came chan *task.Broadcast) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if came == nil {
		delete(c.waiting, ticket)
	} else {
		c.waiting[ticket] = came
	}
}

// send sends a request, which is answered if there is a ticket.
func (c *Client) send(ctx context.Context, method string, arguments any, ticket string) error {
	if arguments == nil {
		arguments = struct{}{}
	}
	body := map[string]any{"method": method, "arguments": arguments, "destination": nil, "pattern": nil, "matcher": nil}
	if len(c.config.Destination) > 0 {
		body["destination"] = c.config.Destination
	}
	if c.config.Pattern != "" {
		body["pattern"], body["matcher"] = c.config.Pattern, cmp.Or(c.config.Matcher, "glob")
	}
	if ticket != "" {
		body["ticket"], body["reply_to"] = ticket, address{replies.Name, c.id}
	}
	text, err := encode(body)
	if err != nil {
		return fmt.Errorf("remote control: the arguments of %s: %w", method, err)
	}
	expires := float64(time.Now().Add(c.config.Timeout).UnixMicro()) / 1e6 //nolint:mnd // microseconds
	return c.broadcast(ctx, &task.Broadcast{
		Exchange: requests, Headers: map[string]any{"clock": tick(c.config.Clock), "expires": expires}, Body: text,
	})
}

// probe sends a message from the client to itself, behind a request: if it comes back, the broker was not what was in the way.
func (c *Client) probe(ctx context.Context, ticket string) error {
	return c.broadcast(ctx, &task.Broadcast{
		Exchange: replies, RoutingKey: c.id, Headers: map[string]any{"ticket": ticket, probeHeader: true}, Body: []byte("{}"),
	})
}

const probeHeader = "taskgen-probe"

func (c *Client) broadcast(ctx context.Context, b *task.Broadcast) error {
	b.ContentType, b.ContentEncoding = contentType, encoding
	if err := c.broadcaster.Broadcast(ctx, b); err != nil {
		return fmt.Errorf("remote control: the broker can't be used: %w", err)
	}
	return nil
}

// collect waits for answers. carried says that the probe has come back.
func (c *Client) collect(ctx context.Context, came <-chan *task.Broadcast) (answers []Answer, carried bool, err error) {
	asked, timeout := time.Now(), time.NewTimer(c.config.Timeout)
	defer timeout.Stop()
	defer func() {
		slices.SortStableFunc(answers, func(a, b Answer) int { return strings.Compare(a.Worker, b.Worker) })
	}()
	for !c.complete(answers) {
		select {
		case b := <-came:
			if _, probe := b.Headers[probeHeader]; probe {
				carried = true
				continue
			}
			some, err := readAnswers(b)
			if err != nil {
				return answers, carried, err
			}
			for _, a := range some {
				a.Took = time.Since(asked)
				answers = append(answers, a)
			}
		case <-timeout.C:
			return answers, carried, nil
		case <-ctx.Done():
			return answers, carried, context.Cause(ctx)
		}
	}
	return answers, carried, nil
}

// complete says whether all that were asked by name have answered.
func (c *Client) complete(answers []Answer) bool {
	for _, worker := range c.config.Destination {
		if !slices.ContainsFunc(answers, func(a Answer) bool { return a.Worker == worker }) {
			return false
		}
	}
	return len(c.config.Destination) > 0
}

// answersOf gives a command and reads the answers into T. The error joins what workers refuse; the others' answers are
// there all the same.
func answersOf[T any](ctx context.Context, c *Client, method string, arguments any) (map[string]T, error) {
	answers, err := c.Ask(ctx, method, arguments)
	if err != nil {
		return nil, err
	}
	out := make(map[string]T, len(answers))
	var problems []error
	for _, a := range answers {
		var value T
		err := a.Err
		if err == nil {
			err = json.Unmarshal(a.Value, &value)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("worker %s: %s: %w", a.Worker, method, err))
			continue
		}
		out[a.Worker] = value
	}
	return out, errors.Join(problems...)
}
