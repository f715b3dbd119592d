package task

import (
	"context"
	"log/slog"
	"time"
)

// Broadcast is news for whoever listens at the moment: a wish of remote control, an answer to one, or an event. It is no task: it is
// not confirmed, not kept on disk, and lost if nobody listens.
type Broadcast struct {
	// Exchange leads to the listeners. "" sends straight to the listener whose [ListenConfig.Queue] is RoutingKey.
	Exchange Bulletin
	// RoutingKey is what listeners choose by; see [Bulletin.Type].
	RoutingKey string
	// ContentType and ContentEncoding describe Body.
	ContentType, ContentEncoding string
	// Headers are as in [Message.Headers].
	Headers map[string]any
	Body    []byte
}

// Bulletin is an exchange for broadcasts. One that is missing is created.
type Bulletin struct {
	// Name of the exchange.
	Name string
	// Type is Fanout, Direct or Topic.
	Type string
	// Durable says how it is declared on RabbitMQ: Celery's tools declare it too, and must agree.
	Durable bool
}

// ListenConfig says what to listen to.
type ListenConfig struct {
	// Queue is the name of the listener's own queue, which goes with it.
	Queue string
	// Exchange and Keys choose the broadcasts. A fanout exchange needs no key.
	Exchange Bulletin
	Keys     []string
	// TTL is how long a broadcast may lie in the queue unread. 0: 5 minutes.
	TTL time.Duration
	// Deliver takes one broadcast at a time, and doesn't block for long.
	Deliver func(*Broadcast)
	// Logger takes what happens to the session. nil: discarded.
	Logger *slog.Logger
}

// Broadcaster is the part of a [Transport] that carries broadcasts.
type Broadcaster interface {
	// Broadcast sends b to whoever listens now, in the background, and never waits: nil says that it is on its way, no
	// more. Those on their way have bounded room; one that finds none is dropped, with an error that matches
	// [ErrBlocked]. What the broker refuses is logged, to the Logger of a consumer or listener of the same transport. Close
	// gives those on their way a moment to leave. b must not be changed any more.
	Broadcast(ctx context.Context, b *Broadcast) error
	// Listen starts to listen and returns at once. A lost session is rebuilt, for ever, until Close; what is
	// broadcast meanwhile is missed, and so is what finds no room because Deliver is slower.
	Listen(config ListenConfig) (Listener, error)
}

// Listener listens until it is closed.
type Listener interface {
	// Ready waits until the listener hears what is broadcast from now on. The error of a wait that ends with ctx says
	// what is in the way, if that is known.
	Ready(ctx context.Context) error
	// Close stops. No call of Deliver begins after it has returned; it waits for the one under way, so Deliver must
	// not call it.
	Close() error
}
