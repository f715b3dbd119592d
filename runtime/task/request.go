package task

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/taskgen/taskgen/runtime/codec"
)

// request is a delivery with its headers read.
type request struct {
	delivery *Delivery
	newer    atomic.Pointer[Delivery] // another of the same message, which is the one to be settled; nil: none
	message  *Message

	id, name, rootID, parentID string
	retries                    int
	eta, expires               time.Time
	timeout                    time.Duration
	ignoreResult               *bool
	serializer                 codec.Serializer
	entry                      *Entry
	// follows is what the message says of what follows, sent what the task has sent.
	follows *embed
	sent    *offspring

	// starts is how often a process has begun to run the message on probation, this time included unless
	// suspect: it is delivered again, and may have ended the process that had it.
	starts  int
	suspect bool
	// origin is the id of the message as it came to a worker first: one to whom it is a suspect sends it on, to be started. moves
	// says that this worker does so now: that ends the message, and not its run.
	origin string
	moves  bool
	// turn is the right of a suspect to run; see probation.
	turn *turn
	// messageKey and runKey are what copies are known by, keptAs by what the outcome of an earlier copy
	// was found, next leads to another request of the same id; cancel, once the request runs, cancels it, and runs says that it does.
	messageKey, runKey copyKey
	keptAs             keptKey
	next               *request
	cancel             context.CancelCauseFunc
	runs               atomic.Bool

	// claim is what a task that is to run once has while it runs; see Worker.once.
	claim *claim

	place *heldPlace // where it waits in what is held; nil: it never did
	// question is set if this is no task but a wish for a slot.
	question *question

	// What the worker notes of the run.
	began    time.Time
	took     time.Duration // by the task itself
	overhead time.Duration // by the slot, besides
	ended    State         // "" if the task did not run
}

// Reasons for which a message is parked in the dead letters.
const (
	ReasonNotATask     = "not-a-task"
	ReasonBadHeader    = "bad-header"
	ReasonUnknownTask  = "unknown-task"
	ReasonContentType  = "content-type-not-accepted"
	ReasonTooLarge     = "too-large"
	ReasonUndecodable  = "undecodable"
	ReasonBadArguments = "bad-arguments"
	ReasonCrash        = "crashes-worker"
)

// maxTimeLimit is where a time limit means none; more would overflow a Duration.
const maxTimeLimit = 100 * 365 * 24 * time.Hour

// rejection is why a message can't be run: it is parked, and the caller is told.
type rejection struct {
	reason string
	// excType and excModule are the Python exception that Celery would raise.
	excType, excModule string
	err                error
}

func (r *rejection) Error() string { return r.reason + ": " + r.err.Error() }
func (r *rejection) Unwrap() error { return r.err }

func reject(reason, excType, excModule string, err error) *rejection {
	return &rejection{reason: reason, excType: excType, excModule: excModule, err: err}
}

// readRequest reads the headers of a message of protocol 2. The request is good for
// an answer to the caller even where there is a rejection.
func readRequest(d *Delivery) (*request, *rejection) {
	m := d.Message
	r := &request{delivery: d, message: m, suspect: d.Redelivered}
	bad := func(header string, err error) (*request, *rejection) {
		return r, reject(ReasonBadHeader, "DecodeError", "kombu.exceptions", fmt.Errorf("header %q: %w", header, err))
	}
	err := r.readID()
	if err != nil {
		return bad("id", err)
	}
	if _, unreadable := m.Headers[UnreadableHeader]; unreadable {
		return bad(UnreadableHeader, errors.New("it has the message's headers as they came, since they can't be read (a value of unknown type, nested too deep, or too many)"))
	}
	if r.name, err = textHeader(m.Headers, "task", ""); err != nil {
		return bad("task", err)
	}
	if r.name == "" {
		return r, reject(ReasonNotATask, "DecodeError", "kombu.exceptions", errors.New(`the message has no header "task": it is no Celery task message of protocol 2`))
	}
	if err := checkName(r.name); err != nil {
		r.name = "" // nothing that can be logged
		return bad("task", err)
	}
	if r.id == "" {
		return bad("id", errors.New("there is none"))
	}
	m.ID, m.Task = r.id, r.name
	if err := checkHeaders(m.Headers); err != nil {
		return r, reject(ReasonTooLarge, "DecodeError", "kombu.exceptions", err)
	}
	if r.rootID, err = nameHeader(m.Headers, "root_id", r.id); err != nil {
		return bad("root_id", err)
	}
	if r.parentID, err = nameHeader(m.Headers, "parent_id", ""); err != nil {
		return bad("parent_id", err)
	}
	retries, err := numberHeader(m.Headers["retries"])
	if err != nil || !(retries >= 0 && retries <= math.MaxInt32) {
		return bad("retries", errors.Join(err, fmt.Errorf("want a number from 0 to %d", math.MaxInt32)))
	}
	r.retries = int(retries)
	if starts, err := numberHeader(m.Headers[startsHeader]); err == nil && starts > 0 && starts < math.MaxInt32 {
		r.starts = int(starts)
	}
	r.origin, _ = textHeader(m.Headers, originHeader, "")
	if r.eta, err = timeHeader(m.Headers["eta"]); err != nil {
		return bad("eta", err)
	}
	if r.expires, err = timeHeader(m.Headers["expires"]); err != nil {
		return bad("expires", err)
	}
	if r.timeout, err = timeLimit(m.Headers["timelimit"]); err != nil {
		return bad("timelimit", err)
	}
	if ignore, ok := m.Headers["ignore_result"].(bool); ok {
		r.ignoreResult = &ignore
	}
	return r, nil
}

// readID reads the task's id. Where it is bad, that of the message has to do for the answer to the caller.
func (r *request) readID() (err error) {
	if r.id, err = nameHeader(r.message.Headers, "id", r.message.ID); err == nil {
		return nil
	}
	if checkName(r.message.ID) != nil {
		r.message.ID = ""
	}
	r.id = r.message.ID
	return err
}

// nameHeader reads a text that [checkName] accepts.
func nameHeader(headers map[string]any, key, fallback string) (string, error) {
	name, err := textHeader(headers, key, fallback)
	if err == nil && name != "" {
		err = checkName(name)
	}
	return name, err
}

func textHeader(headers map[string]any, key, fallback string) (string, error) {
	switch v := headers[key].(type) {
	case nil:
		return fallback, nil
	case string:
		if v == "" {
			return fallback, nil
		}
		if !utf8.ValidString(v) {
			return "", errors.New("the text is not UTF-8")
		}
		return v, nil
	default:
		return "", fmt.Errorf("want text, got %T", v)
	}
}

// numberHeader reads any number an AMQP client may have written; nil is 0.
func numberHeader(v any) (float64, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int:
		return float64(v), nil
	case int8:
		return float64(v), nil
	case int16:
		return float64(v), nil
	case int32:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint8:
		return float64(v), nil
	case uint16:
		return float64(v), nil
	case uint32:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float32:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return 0, fmt.Errorf("want a number, got %T", v)
}

// timeHeader reads an ISO 8601 time as Celery writes it; without an offset it is
// UTC. nil is the zero time.
func timeHeader(v any) (time.Time, error) {
	switch v := v.(type) {
	case nil:
		return time.Time{}, nil
	case time.Time:
		return v, nil
	case string:
		if v == "" {
			return time.Time{}, nil
		}
		return parseTime(v)
	}
	return time.Time{}, fmt.Errorf("want a time as text, got %T", v)
}

func parseTime(s string) (time.Time, error) {
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range []string{"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not an ISO 8601 time", s)
}

// timeLimit reads [hard, soft] in seconds: the sooner one ends the context.
func timeLimit(v any) (time.Duration, error) {
	if v == nil {
		return 0, nil
	}
	limits, ok := v.([]any)
	if !ok || len(limits) != 0 && len(limits) != 2 {
		return 0, errors.New("want a list of two numbers, [hard, soft]")
	}
	var least time.Duration
	for _, limit := range limits {
		seconds, err := numberHeader(limit)
		if err != nil {
			return 0, err
		}
		if !(seconds > 0) || seconds >= maxTimeLimit.Seconds() {
			continue
		}
		if d := time.Duration(seconds * float64(time.Second)); least == 0 || d < least {
			least = d
		}
	}
	return least, nil
}
