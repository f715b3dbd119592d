package task

import (
	"fmt"
	"strings"
	"time"
)

// Option changes one call: users.CreateUser.With(task.In(time.Hour)).Delay(…).
type Option func(*callOptions)

// callOptions is a task's spec with the options of one call laid over it.
type callOptions struct {
	spec          *Spec
	id            string
	eta           time.Time
	countdown     *time.Duration
	expires       time.Time
	queue         string
	exchange      string
	exchangeType  string
	routingKey    string
	serializer    string
	compression   string
	priority      *int
	timeout       time.Duration
	ignoreResult  bool
	mandatory     bool
	immediate     bool
	headers       map[string]any
	explicitQueue bool
	links         []linked
	errlinks      []linked
	err           error
}

// In delays the task: the broker holds it for d (Celery's countdown); 0 and less is no delay. For a
// retry, it replaces the default delay.
func In(d time.Duration) Option {
	return func(o *callOptions) { o.countdown, o.eta = &d, time.Time{} }
}

// At has the broker hold the task until t (Celery's eta).
func At(t time.Time) Option {
	return func(o *callOptions) { o.eta, o.countdown = t, nil }
}

// ID sets the task's id, which is a UUIDv7 otherwise. Sending again with the
// same id, after [ErrUnconfirmed], is safe. On the embedded broker a task of that id which waits or runs
// in the queue is taken for the same one, whatever its arguments.
func ID(id string) Option {
	return func(o *callOptions) {
		if err := checkName(id); err != nil || strings.Contains(id, " ") {
			o.err = fmt.Errorf("task.ID(%.300q): want 1 to %d bytes of visible characters", id, maxName)
		}
		o.id = id
	}
}

// Queue sends to another queue than the task's own.
func Queue(name string) Option {
	return func(o *callOptions) {
		if err := checkQueueName(name); err != nil {
			o.err = fmt.Errorf("task.Queue: %w", err)
		}
		o.queue, o.exchange, o.routingKey, o.explicitQueue = name, "", "", true
	}
}

// Exchange sends through another exchange than the task's own. If it is missing it is
// created as one of the type "direct".
func Exchange(name string) Option {
	return func(o *callOptions) { o.exchange, o.exchangeType = name, "" }
}

// RoutingKey sends with another routing key than the task's own; {param} in it
// is replaced by that argument. Without an exchange, it is the name of the queue.
func RoutingKey(key string) Option { return func(o *callOptions) { o.routingKey = key } }

// Priority is 0 (highest) to 9.
func Priority(p int) Option {
	return func(o *callOptions) {
		if p < 0 || p > 9 {
			o.err = fmt.Errorf("task.Priority(%d): want 0 (highest) to 9", p)
		}
		o.priority = &p
	}
}

// Expires lets the task be revoked if it has not started d from now.
func Expires(d time.Duration) Option {
	return func(o *callOptions) {
		if d <= 0 {
			o.err = fmt.Errorf("task.Expires(%s): want a time above 0s", d)
		}
		o.expires = time.Now().Add(d)
	}
}

// ExpiresAt lets the task be revoked if it has not started at t.
func ExpiresAt(t time.Time) Option { return func(o *callOptions) { o.expires = t } }

// Timeout ends the context of each run of this call after d, if the task's own
// timeout does not end it before.
func Timeout(d time.Duration) Option {
	return func(o *callOptions) {
		if d <= 0 {
			o.err = fmt.Errorf("task.Timeout(%s): want a time above 0s", d)
		}
		o.timeout = d
	}
}

// UseSerializer encodes the arguments of this call with another serializer.
func UseSerializer(name string) Option { return func(o *callOptions) { o.serializer = name } }

// UseCompression compresses the body of this call: gzip, zstd, or "" for none.
func UseCompression(name string) Option { return func(o *callOptions) { o.compression = name } }

// IgnoreResult sets whether the success of this call is not stored.
func IgnoreResult(ignore bool) Option { return func(o *callOptions) { o.ignoreResult = ignore } }

// Mandatory sets whether it is an error if no queue takes the message.
func Mandatory(m bool) Option { return func(o *callOptions) { o.mandatory = m } }

// Immediate sets whether the call fails with [ErrNoWorker] unless a worker that has a slot
// free takes the task now. Workers keep slots for immediate calls only of queues that have a task
// whose directives say immediate. Not together with In, At or an exchange.
func Immediate(now bool) Option { return func(o *callOptions) { o.immediate = now } }

// Header adds a header to the message. Values are string, bool, int32,
// float64, nil, []any or map[string]any: what every AMQP client reads alike.
func Header(key string, value any) Option {
	return func(o *callOptions) {
		if o.headers == nil {
			o.headers = map[string]any{}
		}
		o.headers[key] = value
	}
}

func newCallOptions(spec *Spec, options []Option) (*callOptions, error) {
	o := &callOptions{
		spec: spec, queue: or(spec.Queue, DefaultQueue), exchange: spec.Exchange, exchangeType: spec.ExchangeType, routingKey: spec.RoutingKey,
		serializer: spec.Serializer, compression: spec.Compression, priority: spec.Priority,
		ignoreResult: spec.IgnoreResult, mandatory: !spec.NotMandatory, immediate: spec.Immediate,
	}
	for _, option := range options {
		option(o)
	}
	if spec.Extern && o.timeout == 0 {
		o.timeout = spec.Timeout
	}
	if o.expires.IsZero() && spec.Expires > 0 {
		o.expires = time.Now().Add(spec.Expires)
	}
	return o, o.err
}

// due is the time before which the task must not run, zero for now.
func (o *callOptions) due(now time.Time) time.Time {
	if o.countdown == nil {
		return o.eta
	}
	if *o.countdown <= 0 {
		return time.Time{}
	}
	return now.Add(*o.countdown)
}

// wirePriority turns 0 = highest into larger = first.
func (o *callOptions) wirePriority() uint8 {
	if o.priority == nil {
		return 0
	}
	return uint8(9 - *o.priority)
}
