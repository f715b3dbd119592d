package task

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/taskgen/taskgen/runtime/codec"
)

// Defaults of a [Spec].
const (
	DefaultQueue      = "tasks"
	DefaultSerializer = "msgpack"
	DefaultMaxRetries = 3
	DefaultRetryDelay = 3 * time.Minute
)

// Forever as [Spec.MaxRetries] retries without end.
const Forever = -1

// Spec is what a task's directives say. The zero value of every field but Name
// is the default; docs/directives.md explains each.
type Spec struct {
	// Name is what messages call the task.
	Name string
	// Signature is how the source spells the arguments and the result, for people. "": made from
	// the argument struct.
	Signature string
	// Serializer of the arguments: msgpack (default), json, yaml, gob or a registered one.
	Serializer string
	// Compression of the message body: gzip, zstd, or none.
	Compression string
	// MaxRetries is how often a task may run again, 3 by default. Forever: no limit.
	MaxRetries *int
	// DefaultRetryDelay is the wait before a retry, 3 minutes by default.
	DefaultRetryDelay *time.Duration
	// RetryBackoff doubles the delay with each retry, up to 10 minutes. It
	// starts at DefaultRetryDelay, or at 1 s where that is not set.
	RetryBackoff bool
	// RetryJitter picks each delay at random between 0 and what it would be.
	RetryJitter bool
	// AutoRetry retries after any error; otherwise a returned error is final.
	AutoRetry bool
	// RateLimit bounds how often one worker starts the task. 0: the worker's default.
	RateLimit Rate
	// Timeout ends the context of a run. 0: none.
	Timeout time.Duration
	// Expires is how long after sending a task is still worth running. 0: for ever.
	Expires time.Duration
	// IgnoreResult stores no success. Failures are stored all the same.
	IgnoreResult bool
	// TrackStarted stores the state STARTED when a run begins, as the worker's setting of that name does.
	TrackStarted bool
	// DisableErrorEmails sends no mail when the task fails.
	DisableErrorEmails bool
	// Queue, Exchange and RoutingKey are the destination. {param} in
	// RoutingKey is replaced by that argument. Without an Exchange, RoutingKey is the name of
	// the queue.
	Queue, Exchange, RoutingKey string
	// ExchangeType is what Exchange is created as, if it is missing: direct (default), topic,
	// fanout or headers.
	ExchangeType string
	// NotMandatory makes an unroutable message vanish instead of being an error.
	NotMandatory bool
	// Immediate asks for a worker that takes the task at once.
	Immediate bool
	// Priority is 0 (highest) to 9. nil: none, below all others.
	Priority *int
	// AckEarly acks before the task runs: at most once instead of at least once.
	AckEarly bool
	// Secret names the arguments that are shown as *** everywhere.
	Secret []string
	// Extern says that workers of others run the task, such as Celery's. They don't know this Spec, so Timeout
	// travels with each call.
	Extern bool
	// Positional sends the arguments by position instead of by name.
	Positional bool
}

func (s *Spec) serializer() string { return or(s.Serializer, DefaultSerializer) }

// queue is the queue that messages are sent to, or that is bound to the exchange that they are sent to. It
// may have {params}.
func (s *Spec) queue() string {
	if s.Exchange == "" && s.RoutingKey != "" {
		return s.RoutingKey
	}
	return or(s.Queue, DefaultQueue)
}

// binding leads the task's messages from its exchange to its queue; ok is false if there is no exchange, or if
// the routing key differs from call to call.
func (s *Spec) binding() (b Binding, ok bool) {
	b = Binding{Exchange: s.Exchange, Type: s.ExchangeType}
	switch s.ExchangeType {
	case Fanout:
	case Headers:
		b.Task = s.Name
	default:
		b.RoutingKey = or(s.RoutingKey, s.queue())
	}
	return b, s.Exchange != "" && !perCall(b.RoutingKey)
}

// perCall says whether a routing key or queue differs from call to call.
func perCall(key string) bool { return strings.Contains(key, "{") }

// maxRetries is Forever or the number of retries allowed.
func (s *Spec) maxRetries() int {
	if s.MaxRetries == nil {
		return DefaultMaxRetries
	}
	return *s.MaxRetries
}

// validate finds what the generator would have refused: specs can be written by hand too.
func (s *Spec) validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !validName(s.Name) {
		bad("the name must be 1 to 255 letters, digits or . _ - : /")
	}
	if _, ok := codec.ByName(s.serializer()); !ok {
		bad("serializer %q is not registered (registered: %s; add it with task.RegisterSerializer)", s.serializer(), strings.Join(codec.Names(), ", "))
	}
	if s.MaxRetries != nil && *s.MaxRetries < Forever {
		bad("max retries %d is negative", *s.MaxRetries)
	}
	if s.DefaultRetryDelay != nil && *s.DefaultRetryDelay < 0 {
		bad("default retry delay %s is negative", *s.DefaultRetryDelay)
	}
	if s.RateLimit < 0 {
		bad("rate limit %v is negative", float64(s.RateLimit))
	}
	if s.Timeout < 0 || s.Expires < 0 {
		bad("timeout and expires can't be negative")
	}
	if s.Priority != nil && (*s.Priority < 0 || *s.Priority > 9) {
		bad("priority %d is not between 0 (highest) and 9", *s.Priority)
	}
	if err := checkQueueName(s.queue()); err != nil {
		problems = append(problems, err)
	}
	if s.Queue != "" && s.RoutingKey != "" && s.Exchange == "" {
		bad("queue %s and routing key %s without an exchange both name the queue: want one of them", s.Queue, s.RoutingKey)
	}
	if s.Immediate && s.Exchange != "" {
		bad("an immediate task can't go through an exchange: it goes to a worker of one queue")
	}
	if _, known := exchangeTypes[s.ExchangeType]; !known {
		bad("exchange type %q: there are direct, topic, fanout and headers", s.ExchangeType)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("task %q: %w", s.Name, err)
	}
	return nil
}

var exchangeTypes = map[string]struct{}{"": {}, Direct: {}, Topic: {}, Fanout: {}, Headers: {}}

// validName is the grammar of names in messages.
func validName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !letter && (r < '0' || r > '9') && !strings.ContainsRune("._-:/", r)
	})
}

// checkQueueName wants what every broker takes and every shell and log shows as one word.
func checkQueueName(name string) error {
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		return fmt.Errorf("%q is no name of a queue: want 1 to 255 printable characters without spaces", name)
	}
	return nil
}

// Options lists what differs from the defaults, in the words of the directives.
func (s *Spec) Options() []string {
	var out []string
	add := func(set bool, format string, args ...any) {
		if set {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(s.Serializer != "", "serializer=%s", s.Serializer)
	add(s.Compression != "", "compression=%s", s.Compression)
	if s.MaxRetries != nil {
		add(*s.MaxRetries == Forever, "max_retries=none")
		add(*s.MaxRetries != Forever, "max_retries=%d", *s.MaxRetries)
	}
	if s.DefaultRetryDelay != nil {
		add(true, "default_retry_delay=%s", *s.DefaultRetryDelay)
	}
	add(s.RetryBackoff, "retry_backoff")
	add(s.RetryJitter, "retry_jitter")
	add(s.AutoRetry, "autoretry")
	add(s.RateLimit != 0, "rate_limit=%s", s.RateLimit)
	add(s.Timeout != 0, "timeout=%s", s.Timeout)
	add(s.Expires != 0, "expires=%s", s.Expires)
	add(s.IgnoreResult, "ignore_result")
	add(s.TrackStarted, "track_started")
	add(s.DisableErrorEmails, "disable_error_emails")
	add(s.Exchange != "", "exchange=%s", s.Exchange)
	add(s.ExchangeType != "", "exchange_type=%s", s.ExchangeType)
	add(s.RoutingKey != "", "routing_key=%s", s.RoutingKey)
	add(s.NotMandatory, "mandatory=false")
	add(s.Immediate, "immediate")
	if s.Priority != nil {
		add(true, "priority=%d", *s.Priority)
	}
	add(s.AckEarly, "acks=early")
	add(len(s.Secret) > 0, "secret=%s", strings.Join(slices.Clone(s.Secret), ","))
	return out
}

// Rate is a number of task starts a second.
type Rate float64

// Units of a [Rate]: 100 * task.PerMinute.
const (
	PerSecond Rate = 1
	PerMinute      = PerSecond / 60
	PerHour        = PerMinute / 60
)

// Unlimited is the rate limit of a task that has none, whatever the worker's default is.
var Unlimited = Rate(math.Inf(1))

func (r Rate) limits() bool { return r > 0 && r != Unlimited }

// ParseRate reads a rate as Celery writes it: "100/m", "10/s", "5/h", or a
// number a second. "none" and "0" are [Unlimited]; "" is 0, which leaves it to the worker.
func ParseRate(s string) (Rate, error) {
	number, unit, hasUnit := strings.Cut(strings.TrimSpace(s), "/")
	if number == "" && !hasUnit {
		return 0, nil
	}
	if s == "none" {
		return Unlimited, nil
	}
	n, err := strconv.ParseFloat(number, 64)
	per, known := map[string]Rate{"": PerSecond, "s": PerSecond, "m": PerMinute, "h": PerHour}[unit]
	if err != nil || !known || hasUnit && unit == "" || !(n >= 0 && n <= 1e9) {
		return 0, fmt.Errorf("rate %q: want a number with /s, /m or /h, such as 100/m", s)
	}
	if n == 0 {
		return Unlimited, nil
	}
	return Rate(n) * per, nil
}

// String is the form that ParseRate reads, with the unit that makes the number whole.
func (r Rate) String() string {
	switch r {
	case 0:
		return ""
	case Unlimited:
		return "none"
	}
	for _, u := range []struct {
		per  Rate
		name string
	}{{PerSecond, "/s"}, {PerMinute, "/m"}, {PerHour, "/h"}} {
		n := float64(r / u.per)
		if whole := float64(int64(n + 0.5)); whole > 0 && n > whole-1e-6 && n < whole+1e-6 {
			return strconv.FormatFloat(whole, 'f', -1, 64) + u.name
		}
	}
	return strconv.FormatFloat(float64(r), 'g', -1, 64) + "/s"
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
