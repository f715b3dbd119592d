// Package gotasks has the Go tasks that Python's Celery calls in the tests of the fleet.
package gotasks

//go:generate go tool taskgen

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// add adds two numbers.
//
//task:name go.add
func add(x, y int) int { return x + y }

// greet greets, by a name and how often.
//
//task:name go.greet
func greet(name string, times int, greeting *string) string {
	text := "hello"
	if greeting != nil {
		text = *greeting
	}
	return fmt.Sprintf("%s %s %d", text, name, times)
}

// join takes any number of texts.
//
//task:name go.join
func join(separator string, texts ...string) string {
	out := ""
	var outSb39 strings.Builder
	for i, text := range texts {
		if i > 0 {
			outSb39.WriteString(separator)
		}
		outSb39.WriteString(text)
	}
	out += outSb39.String()
	return out
}

// Message is what a task knows of the message that it came in.
type Message struct {
	ID       string     `json:"id"`
	Root     string     `json:"root"`
	Parent   string     `json:"parent"`
	Queue    string     `json:"queue"`
	Priority int        `json:"priority"`
	Retries  int        `json:"retries"`
	ETA      *time.Time `json:"eta"`
	Expires  *time.Time `json:"expires"`
	Now      time.Time  `json:"now"`
}

// about tells what a task knows of its own message.
//
//task:name go.about
func about(info task.Info) Message {
	m := Message{
		ID: info.ID, Root: info.RootID, Parent: info.ParentID, Queue: info.Delivery.Queue,
		Priority: info.Delivery.Priority, Retries: info.Retries, Now: time.Now().UTC().Truncate(time.Microsecond),
	}
	if !info.ETA.IsZero() {
		m.ETA = &info.ETA
	}
	if !info.Expires.IsZero() {
		m.Expires = &info.Expires
	}
	return m
}

// digest returns the length of a text in bytes and its SHA-256.
//
//task:name go.digest
func digest(text string) (string, error) {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%d %s", len(text), hex.EncodeToString(sum[:])), nil
}

// repeat returns a text many times over.
//
//task:name go.repeat
func repeat(text string, times int) (string, error) {
	out := make([]byte, 0, len(text)*times)
	for range times {
		out = append(out, text...)
	}
	return string(out), nil
}

// QuotaError is an error with a type of its own.
type QuotaError struct{ Limit int }

func (e *QuotaError) Error() string { return fmt.Sprintf("over the quota of %d", e.Limit) }

// fail fails in the way that is asked for.
//
//task:name go.fail
func fail(how string) error {
	switch how {
	case "typed":
		return &QuotaError{Limit: 3}
	case "wrapped":
		return fmt.Errorf("charging ada: %w", &QuotaError{Limit: 3})
	case "panic":
		panic("at the disco")
	case "unicode":
		return errors.New("größer als 3 €, 🚀")
	default:
		return errors.New(how)
	}
}

// nothing has no result.
//
//task:name go.nothing
func nothing() {}

// silent ignores its result.
//
//task:name go.silent
//task:ignore_result
func silent() int { return 1 }

// flaky fails until it has been tried a number of times more, and then returns how many tries that took.
//
//task:name go.flaky
//task:max_retries 3
//task:default_retry_delay 100ms
func flaky(ctx context.Context, info task.Info, failures int) (int, error) {
	if info.Retries < failures {
		return 0, Flaky.Retry(ctx, &QuotaError{Limit: info.Retries}, failures)
	}
	return info.Retries + 1, nil
}

// wait waits until it is told to end, or for that many seconds, and returns how long it had left.
//
//task:name go.wait
func wait(ctx context.Context, seconds float64) (float64, error) {
	left := -1.0
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline).Seconds()
	}
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return left, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// notes are what note has been given, in order.
var notes struct {
	sync.Mutex
	all []string
}

// note appends to the notes.
//
//task:name go.note
func note(text string) {
	notes.Lock()
	defer notes.Unlock()
	notes.all = append(notes.all, text)
}

// noted returns all notes that begin with a text.
//
//task:name go.noted
func noted(prefix string) []string {
	notes.Lock()
	defer notes.Unlock()
	var out []string
	for _, text := range notes.all {
		if len(text) >= len(prefix) && text[:len(prefix)] == prefix {
			out = append(out, text)
		}
	}
	return out
}
