package task

import (
	"context"
	"log/slog"
	"time"
)

// Transport carries messages and results between processes. It knows brokers,
// not tasks. Every method is safe for concurrent use, heeds its context and
// survives lost connections by itself; runtime/tasktest holds the conformance
// suite that every implementation passes.
type Transport interface {
	// Publish returns nil once the broker holds the message on disk, in a queue.
	// Otherwise: an error that matches [ErrUnroutable], [ErrBlocked] or
	// [ErrUnconfirmed] (the message may be queued; the same ID may be sent
	// again), or the cause for which it surely is not queued.
	Publish(ctx context.Context, m *Message) error
	// PublishMany publishes a batch, pipelined. It returns nil, or one error
	// (or nil) for each message.
	PublishMany(ctx context.Context, ms []*Message) []error
	// ReplyTo is the address for results that messages of this process carry,
	// "" if the broker stores results by task id.
	ReplyTo() string
	// Consume starts to deliver messages, and returns at once; the session is built, and
	// rebuilt after any loss, in the background until Consumer.Close.
	Consume(config ConsumeConfig) (Consumer, error)
	// StoreResult stores or sends a result outside of Settle: an
	// intermediate state, or the final one of a message acked early.
	StoreResult(ctx context.Context, r *Result) error
	// Result returns the newest result of a task that is known here, or nil if
	// none is: the task may be unknown, waiting or running.
	Result(ctx context.Context, id string) (*Result, error)
	// AwaitResult waits until the result is final ([State.Final]).
	AwaitResult(ctx context.Context, id string) (*Result, error)
	// DeleteExpiredResults deletes the stored results whose time is over now, instead of
	// some time later, and returns how many. 0 on brokers that store none.
	DeleteExpiredResults(ctx context.Context) (int, error)
	// DeadLetters visits the messages that were parked from a queue, oldest first as far as the broker
	// keeps them so, and carries out what visit says of each. It ends with the first error of visit, and
	// after the last message that was there when it began. Those it has visited and not ended may be
	// out of sight of others meanwhile.
	DeadLetters(ctx context.Context, queue string, visit func(*DeadMessage) (DeadAction, error)) error
	// Purge deletes the messages that wait in a queue, the delayed ones
	// included where the broker can tell, and returns how many.
	Purge(ctx context.Context, queue string) (int, error)
	Broadcaster
	// Close ends all sessions. Publishes in flight end with ErrUnconfirmed.
	Close() error
	// String names the broker for people, without password.
	String() string
}

// ConsumeConfig says what to consume.
type ConsumeConfig struct {
	// Worker is the node name, such as "worker@host", for the broker's tools.
	Worker string
	// Subscriptions are the queues. Each is created if missing.
	Subscriptions []Subscription
	// Deliver takes one delivery. It doesn't block for long, and may be
	// called from several goroutines. The transport never has more unsettled deliveries of
	// a subscription outside than its Prefetch.
	Deliver func(*Delivery)
	// Lost is told that a session has ended, and why: its deliveries can't be settled any more, and
	// the broker hands them out again. It is called before the next session delivers, not
	// after Consumer.Close, and doesn't block. The cause matches [ErrDeliveryTimeout] if the broker took
	// back what was delivered too long ago. nil: nobody is told.
	Lost func(session uint64, cause error)
	// Refused is told that the broker can be reached and won't have this consumer: a wrong password, which matches [ErrRefused], or a
	// queue that it may not declare. It is called for each try, and logs it; the transport goes on
	// trying until Consumer.Close. nil: the transport logs it.
	Refused func(error)
	// ResultLost is told of a result that could not be brought to its reader after Settle had returned. nil: nobody is told.
	ResultLost func(*Message, error)
	// Logger takes what happens to the session. nil: discarded.
	Logger *slog.Logger
}

// Subscription is one queue to consume from.
type Subscription struct {
	Queue string
	// Prefetch is how many deliveries may be unsettled at a time. At least 1.
	Prefetch int
	// Prioritized: some task of this queue asks for priorities.
	Prioritized bool
	// Longest is the longest time limit of the tasks of this queue. 0: some has none.
	Longest time.Duration
	// Bindings lead to the queue. Exchanges that are missing are created.
	Bindings []Binding
	// Own says that the queue belongs to this consumer and goes when it has gone, at the
	// latest a minute later. What is then in it moves to the queue Heir, as
	// not delivered, or is dropped if Heir is empty. So does what lies in it for
	// [OwnQueueTTL] without being delivered, where the broker can tell.
	Own  bool
	Heir string
}

// OwnQueueTTL is how long a message may lie undelivered in a queue of one consumer.
const OwnQueueTTL = 10 * time.Second

// Binding leads messages of an exchange to a queue.
type Binding struct {
	Exchange string
	// Type is how the exchange routes, and what it is created as: direct (the default), by equal
	// keys; topic, by a key with * for one word and # for any number; fanout, everything; headers,
	// by the header "task".
	Type string
	// RoutingKey of a direct or topic exchange.
	RoutingKey string
	// Task is the name of the task whose messages a headers exchange leads here.
	Task string
}

// Types of exchanges.
const (
	Direct  = "direct"
	Topic   = "topic"
	Fanout  = "fanout"
	Headers = "headers"
)

// Consumer is one running subscription set.
type Consumer interface {
	// Add subscribes to one more queue, and returns at once: the queue is made, and its messages come, in the
	// background, in this session and those after it. A queue that is subscribed to already stays as it is.
	Add(s Subscription) error
	// Remove ends the subscription to a queue, if there is one. No call of Deliver for it begins after Remove has returned,
	// so Deliver must not call it; what is out can still be settled. One that is Own goes when nothing of
	// it is out any more, at the latest a minute later.
	Remove(queue string) error
	// Resize changes the prefetch of a subscription, if there is one, soon after. What is out stays so, and may come on top of it.
	Resize(queue string, prefetch int)
	// Settle ends a delivery: it carries out the outcome so that a crash at any point in
	// between can repeat work but never lose it. When it returns, the ack has left the process; whether a result
	// has arrived may be seen to later, see [ConsumeConfig.ResultLost]. A delivery whose session is
	// gone can't be settled: the broker delivers it again; the error matches
	// [ErrStale], and nothing of the outcome was carried out. nil doesn't prove that the broker has heard the
	// last word: if the session ends now the delivery may come again, after its outcome was carried out. An error that
	// matches [ErrResultLost] says that all was carried out but the result.
	Settle(ctx context.Context, d *Delivery, o Outcome) error
	// Stop ends deliveries; what is unsettled stays so. Settle goes on
	// working. No call of Deliver begins after Stop has returned.
	Stop(ctx context.Context) error
	// Close stops and gives all that is unsettled back to the broker.
	Close() error
	// Ready says whether every subscription, the added ones included, has a live consumer now.
	Ready() bool
}

// LateAcker is a [Consumer] whose Settle waits for nothing where the outcome is an ack that may be late, and no more.
type LateAcker interface{ AcksLate() }

// QueueInspector is a [Consumer] whose queues may be made otherwise than it would make them.
type QueueInspector interface {
	// QueueAttributes are those that a queue of the consumer was made with. nil: that can't be told.
	QueueAttributes(queue string) *QueueAttributes
}

// QueueAttributes are what a queue was made with.
type QueueAttributes struct {
	Durable, AutoDelete bool
	Arguments           map[string]any
}

// Delivery is one message handed to this process, to be settled once.
type Delivery struct {
	Message *Message
	// Redelivered says that it was handed out before, and not settled.
	Redelivered bool
	// Attempts counts the earlier deliveries that were not settled, as far as the broker counts them.
	Attempts int
	// MessageID is the same for all copies of one message: those that were delivered again, and
	// those that were sent again because the first was not confirmed. Unique says that no
	// other message has it; otherwise it can only be relied on if Redelivered is set. "": the
	// broker never delivers again what this process has settled.
	MessageID string
	Unique    bool
	// Tag and Session are the transport's own.
	Tag, Session uint64
}

// Outcome is how a delivery ends. The parts are carried out in the order of the
// fields, then the delivery is acked; where the broker can, all in one transaction.
// The zero Outcome is a plain ack.
type Outcome struct {
	// Publish are messages that take this one's place: its next attempt, or
	// the same message for later, which may have the same ID; or those of the tasks that follow.
	Publish []*Message
	// Dead parks the message in the queue's dead letters.
	Dead *DeadLetter
	// Result is stored, or sent to the caller.
	Result *Result
	// Others are results of tasks that won't run because of how this one ended, stored or sent like Result.
	Others []*Result
	// Early says that the task is yet to run: its message must not come again, not even after a power failure.
	Early bool
	// Late says that the ack may be some milliseconds late, to go with those of others.
	Late bool
	// Requeue gives the message back as if it had never been delivered, instead of
	// the ack. Goes with no other part.
	Requeue bool

	// chords are the groups whose chords this outcome completes.
	chords []string
}

// isAck says whether the outcome is an ack and no more.
func (o *Outcome) isAck() bool {
	return len(o.Publish) == 0 && o.Dead == nil && o.Result == nil && len(o.Others) == 0 && len(o.chords) == 0 && !o.Requeue
}

// DeadLetter says why a message was parked.
type DeadLetter struct {
	// Reason is one of a few words, such as "unknown-task"; Error the text for
	// people; Stack the goroutine's, if it panicked.
	Reason, Error, Stack string
	// Worker is the node that parked it.
	Worker string
	Time   time.Time
	// Queue is the one whose dead letters it goes to. "": the one that it was delivered from, or that queue's heir.
	Queue string
}

// DeadMessage is a parked message, as it came, and why it was parked.
type DeadMessage struct {
	DeadLetter
	Message *Message
}

// DeadAction is what becomes of a parked message.
type DeadAction int

const (
	// KeepDead leaves it where it is.
	KeepDead DeadAction = iota
	// ReplayDead sends it to its queue again, for now, as if it had never been delivered, before it
	// goes from the dead letters.
	ReplayDead
	// DropDead deletes it.
	DropDead
)
