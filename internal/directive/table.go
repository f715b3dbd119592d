// Package directive reads //task: comments.
//
// One table says which keys there are, what they take and what they mean. It
// feeds the parser, the manual and docs/directives.md.
package directive

import (
	"errors"
	"fmt"
	"go/token"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/internal/model"
)

// Key is one directive key: a row of the table.
type Key struct {
	Name string
	// Value shows what follows the name, "" for a key that stands alone.
	Value string
	// Doc is one or two sentences for the manual, with the default.
	Doc string
	// Example is a complete directive.
	Example string
	// Target says what the key can be written on.
	Target Target

	list  bool // more than one word
	apply func(o *model.Options, value string) error
}

// Target is what a key can be written on.
type Target int

// The targets.
const (
	OnTask      Target = 1 << iota // functions and methods
	OnAbstract                     // struct types
	OnInterface                    // extern interfaces
	OnMethod                       // their methods
	OnBoth      = OnTask | OnAbstract
	OnExtern    = OnInterface | OnMethod
	OnAll       = OnBoth | OnExtern
)

// Keys returns the table.
func Keys() []Key { return append([]Key(nil), table...) }

var table = []Key{
	{
		Name: "define", Target: OnTask,
		Doc:   "Makes the function a task with every default. Any other directive does so too.",
		apply: nothing,
	},
	{
		Name: "name", Value: "NAME", Target: OnTask | OnExtern, Example: "name mail.digest",
		Doc:   "The registered name, by which other programs call the task. Default: import path, dot, function. On an extern interface, the module that has its tasks: with billing.tasks, the method SendInvoice is the task billing.tasks.send_invoice.",
		apply: func(_ *model.Options, value string) error { return CheckName(value) },
	},
	{
		Name: "abstract", Target: OnAbstract,
		Doc:   "Makes the directives of a struct type those of all its task methods, and of the task methods of every struct that embeds it. What a method says itself wins.",
		apply: nothing,
	},
	{
		Name: "extern", Target: OnInterface,
		Doc:   "Makes every method of an interface a task that others run, such as a Python worker. Its other directives are those of all methods, unless a method says something else.",
		apply: nothing,
	},
	{
		Name: "args", Value: "snake|go|positional", Target: OnExtern, Example: "args positional",
		Doc: "How arguments travel: by name, as Python spells it (customer_id for customerID) or as Go does, or by position. Default: snake.",
		apply: func(o *model.Options, value string) error {
			return oneOf(&o.Args, value, "snake", "go", "positional")
		},
	},
	{
		Name: "params", Value: "PARAM=NAME…", Target: OnMethod, Example: "params typ=type customerID=customer", list: true,
		Doc: "What arguments are called where the task runs, for those whose names args does not get right. Default: none.",
		apply: func(o *model.Options, value string) error {
			o.Params = map[string]string{}
			for word := range strings.FieldsSeq(value) {
				ours, theirs, _ := strings.Cut(word, "=")
				if !token.IsIdentifier(ours) || !parameter.MatchString(theirs) || o.Params[ours] != "" {
					return fmt.Errorf("%q: it takes words such as customerID=customer, each parameter once", word)
				}
				o.Params[ours] = theirs
			}
			return nil
		},
	},
	{
		Name: "serializer", Value: "NAME", Target: OnAll, Example: "serializer json",
		Doc: "How arguments are written: msgpack, json, yaml, gob, or one that both sides register with task.RegisterSerializer. Default: msgpack; json for extern tasks.",
		apply: func(o *model.Options, value string) error {
			o.Serializer = value
			return checkSerializer(value)
		},
	},
	{
		Name: "compression", Value: "gzip|zstd", Target: OnAll, Example: "compression zstd",
		Doc:   "How the message's body is compressed. Default: not at all.",
		apply: func(o *model.Options, value string) error { return oneOf(&o.Compression, value, "gzip", "zstd") },
	},
	{
		Name: "max_retries", Value: "N|none", Target: OnBoth, Example: "max_retries 5",
		Doc: "How often the task may be retried before it fails; none is for ever. Default: 3.",
		apply: func(o *model.Options, value string) error {
			n := -1
			if value != "none" {
				var err error
				if n, err = whole(value, math.MaxInt32); err != nil {
					return errors.New("it takes a whole number from 0, or none")
				}
			}
			o.MaxRetries = &n
			return nil
		},
	},
	{
		Name: "default_retry_delay", Value: "DURATION", Target: OnBoth, Example: "default_retry_delay 30m",
		Doc: "How long a retry waits unless it says otherwise. Default: 3m.",
		apply: func(o *model.Options, value string) error {
			d, err := duration(value, 0)
			o.DefaultRetryDelay = &d
			return err
		},
	},
	{
		Name: "retry_backoff", Target: OnBoth,
		Doc:   "Doubles the delay with every retry. Default: off.",
		apply: func(o *model.Options, _ string) error { o.RetryBackoff = true; return nil },
	},
	{
		Name: "retry_jitter", Target: OnBoth,
		Doc:   "Makes the delay of a retry random, up to what it would have been, so that tasks that failed together don't return together. Default: off.",
		apply: func(o *model.Options, _ string) error { o.RetryJitter = true; return nil },
	},
	{
		Name: "autoretry", Target: OnBoth,
		Doc:   "Retries after any error that is not task.Permanent. Default: a returned error is final unless the task asks for the retry.",
		apply: func(o *model.Options, _ string) error { o.AutoRetry = true; return nil },
	},
	{
		Name: "rate_limit", Value: "N[/s|/m|/h]|none", Target: OnBoth, Example: "rate_limit 100/m",
		Doc: "How many runs of this task one worker starts a second, minute or hour. none, or 0, is no limit, whatever the worker's default is. Default: the worker's -default-rate-limit.",
		apply: func(o *model.Options, value string) error {
			o.RateLimit = value
			if !rate.MatchString(value) {
				return errors.New("it takes a number with /s, /m or /h, such as 100/m, or none")
			}
			if !strings.ContainsAny(value, "123456789") {
				o.RateLimit = model.Unlimited
			}
			return nil
		},
	},
	{
		Name: "timeout", Value: "DURATION", Target: OnAll, Example: "timeout 90s",
		Doc: "After this time the context of a run is cancelled; an extern task is told its time limit with each call. Default: never.",
		apply: func(o *model.Options, value string) (err error) {
			o.Timeout, err = duration(value, 1)
			return err
		},
	},
	{
		Name: "expires", Value: "DURATION", Target: OnAll, Example: "expires 1h",
		Doc: "A message older than this is not run any more. Default: never.",
		apply: func(o *model.Options, value string) (err error) {
			o.Expires, err = duration(value, 1)
			return err
		},
	},
	{
		Name: "ignore_result", Target: OnAll,
		Doc:   "Success is not stored; failure is. Default: both are.",
		apply: func(o *model.Options, _ string) error { o.IgnoreResult = true; return nil },
	},
	{
		Name: "track_started", Target: OnBoth,
		Doc:   "Stores the state STARTED when a run begins. Default: only where the worker does so for every task, with -track-started.",
		apply: func(o *model.Options, _ string) error { o.TrackStarted = true; return nil },
	},
	{
		Name: "disable_error_emails", Target: OnBoth,
		Doc:   "A failure of this task sends no mail. Default: it does, from workers with -mail-to.",
		apply: func(o *model.Options, _ string) error { o.DisableErrorEmails = true; return nil },
	},
	{
		Name: "queue", Value: "NAME", Target: OnAll, Example: "queue mail",
		Doc: "The queue. Default: tasks; celery, which is Celery's own default, for extern tasks.",
		apply: func(o *model.Options, value string) error {
			o.Queue = value
			return CheckName(value)
		},
	},
	{
		Name: "exchange", Value: "NAME", Target: OnAll, Example: "exchange media",
		Doc: "The exchange to publish to, which is made if it is missing. Default: straight to the queue.",
		apply: func(o *model.Options, value string) error {
			o.Exchange = value
			return CheckName(value)
		},
	},
	{
		Name: "exchange_type", Value: "direct|topic|fanout|headers", Target: OnAll, Example: "exchange_type topic",
		Doc: "How the exchange routes: direct, to the queues bound by this very key; topic, also by patterns with * and #; fanout, to all of its queues; headers, by the name of the task. Default: direct.",
		apply: func(o *model.Options, value string) error {
			return oneOf(&o.ExchangeType, value, "direct", "topic", "fanout", "headers")
		},
	},
	{
		Name: "routing_key", Value: "KEY", Target: OnAll, Example: "routing_key video.{country}",
		Doc: "The routing key at the exchange; without an exchange, the name of the queue. {param} stands for the argument of that name, which must be text, a number or a boolean. Default: the queue's name.",
		apply: func(o *model.Options, value string) error {
			o.RoutingKey = value
			_, err := RoutingParams(value)
			return err
		},
	},
	{
		Name: "mandatory", Value: "true|false", Target: OnAll, Example: "mandatory false",
		Doc: "Whether it is an error for the caller if no queue takes the message. That concerns exchanges: a queue that is missing is made. Default: true.",
		apply: func(o *model.Options, value string) error {
			o.NotMandatory = value == "false"
			return oneOf(new(string), value, "true", "false")
		},
	},
	{
		Name: "immediate", Target: OnBoth,
		Doc:   "The call fails with task.ErrNoWorker unless a worker with a free slot takes it now, for which the call waits at most a second. Such a call can't be delayed, and goes through no exchange. Default: it waits in the queue.",
		apply: func(o *model.Options, _ string) error { o.Immediate = true; return nil },
	},
	{
		Name: "priority", Value: "0…9", Target: OnAll, Example: "priority 0",
		Doc: "The order within the queue: 0 is the highest. Default: none, in the order of sending.",
		apply: func(o *model.Options, value string) error {
			n, err := whole(value, 9)
			if err != nil {
				return errors.New("it takes a number from 0, the highest, to 9")
			}
			o.Priority = &n
			return nil
		},
	},
	{
		Name: "acks", Value: "late|early", Target: OnBoth, Example: "acks early",
		Doc: "When the broker forgets the message: late is after the run, so that it runs at least once; early is before, so that it runs at most once. Default: late.",
		apply: func(o *model.Options, value string) error {
			o.AckEarly = value == "early"
			return oneOf(new(string), value, "late", "early")
		},
	},
	{
		Name: "secret", Value: "PARAM…", Target: OnAll, Example: "secret password", list: true,
		Doc: "Parameters that logs, events and mails show as ***. Default: none.",
		apply: func(o *model.Options, value string) error {
			o.Secret = nil
			for name := range strings.FieldsSeq(value) {
				if !token.IsIdentifier(name) {
					return fmt.Errorf("%q is no parameter name: it takes names with spaces between them", name)
				}
				o.Secret = append(o.Secret, name)
			}
			return nil
		},
	},
}

var (
	parameter = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	wireName  = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,255}$`)
	rate      = regexp.MustCompile(`^([0-9]{1,9}(\.[0-9]{1,9})?(/[smh])?|none)$`)
	reference = regexp.MustCompile(`\{([^{}]*)\}`)
)

// lookup finds a row of the table.
func lookup(name string) *Key {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// CheckName says whether a name can be the name of a task, queue or exchange.
func CheckName(name string) error {
	if !wireName.MatchString(name) {
		return errors.New("a name has at most 255 characters, of A-Z a-z 0-9 _ . : / -")
	}
	return nil
}

// RoutingParams returns the names of the parameters that a routing key refers to.
func RoutingParams(key string) ([]string, error) {
	var names []string
	for _, m := range reference.FindAllStringSubmatch(key, -1) {
		if !token.IsIdentifier(m[1]) {
			return nil, fmt.Errorf("%s: between the braces stands the name of a parameter", m[0])
		}
		names = append(names, m[1])
	}
	return names, CheckName(reference.ReplaceAllLiteralString(key, "x"))
}

func nothing(*model.Options, string) error { return nil }

func oneOf(target *string, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		*target = value
		return nil
	}
	last := len(choices) - 1
	return fmt.Errorf("it takes %s or %s", strings.Join(choices[:last], ", "), choices[last])
}

func whole(value string, limit int) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err == nil && n > uint64(limit) {
		err = strconv.ErrRange
	}
	return int(n), err
}

// longest is the longest delay that brokers can hold: Celery's ladder of delays
// ends at 2^28 seconds.
const longest = 1 << 28 * time.Second

// duration reads "90s", "1h30m", or a number of seconds.
func duration(value string, least time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if seconds, plain := strconv.ParseFloat(value, 64); plain == nil && math.Abs(seconds) <= longest.Seconds() {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	switch {
	case err != nil:
		return 0, errors.New("it takes a duration such as 30m or 1h30m, or a number of seconds")
	case d < least:
		return 0, errors.New("it takes a duration above 0")
	case d > longest:
		return 0, errors.New("it takes a duration of at most 8 years")
	}
	return d, nil
}
