// Package system has the task queues that are compared: each sends and runs the same task, as its users would write it.
package system

import (
	"context"
	"strconv"
	"time"
)

// User is the first argument of each task. The second is its [Stamp].
const User = "ada.lovelace"

// queue is what tasks are sent to, on brokers where queues have names.
const queue = "bench"

// Stamp is the time as text, always of the same length: the task tells by it how long it was on its way.
func Stamp() string { return strconv.FormatInt(time.Now().UnixNano(), 10) }

// Job is what one process of a system does.
type Job struct {
	System, Broker string
	Role           Role
	// Tasks are to be sent, by so many Senders at a time; with Many, in calls for many tasks where the system has them.
	// Rate is how many a second; 0: as fast as it goes.
	Tasks, Senders, Rate int
	Many                 bool
	// Concurrency is how many tasks a worker runs at a time, Prefetch how many it holds; 0: the system's default.
	Concurrency, Prefetch int
	// Latency has the worker tell how long each task was on its way.
	Latency bool
	// Profile is the file for a CPU profile of what is measured, in Go; "": none.
	Profile string
	// Results has tasks return something, which the sender waits for in the end.
	Results bool
}

// Role is that of a process.
type Role string

// The roles.
const (
	Send Role = "send"
	Work Role = "work"
)

// Figures are what a process measures of itself. Times are in nanoseconds since 1970.
type Figures struct {
	Tasks int
	// First and Last are when the first task was sent or started, and when the last was confirmed or started.
	First, Last int64
	CPU         float64 // in ms, of what is between these
	RSS         float64 // the largest, in MB
	Latencies   []int64 `json:",omitempty"` // in ns
}

// System is a task queue.
type System struct {
	Name string
	// About says what an accepted task has behind it.
	About string
	// Server is what it needs: the name of a script that starts it, or "".
	Server string
	// Many says that it has a call for many tasks.
	Many bool
	// Pace is about how many tasks a second it does at most, so that a slow one is not given too many; nil: enough.
	Pace func(Job) int
	// Prepare leaves its queue empty.
	Prepare func(ctx context.Context, broker string) error
	// Open and Work are for the process of a job. Work runs tasks until ctx ends, and calls started with the stamp of
	// each; it may end the process.
	Open func(ctx context.Context, job Job) (Sender, error)
	Work func(ctx context.Context, job Job, started func(stamp string)) error
	// Script does that instead, in Python.
	Script string
}

// Sender sends tasks, confirmed as far as the system does. Send is safe for concurrent use.
type Sender interface {
	Send(ctx context.Context) error
	// SendMany sends n tasks from one goroutine in the fastest way.
	SendMany(ctx context.Context, n int) error
	Close() error
}

// Awaiter is a sender whose tasks have results.
type Awaiter interface {
	// Await waits for the results of all that was sent.
	Await(ctx context.Context) error
}

// All are the systems in the order of the table.
var All = []*System{AMQP, AMQPSingle, AMQPClassic, RabbitMQ, SQLite, Asynq, River, Celery}

// Find returns the system of a name, nil if there is none.
func Find(name string) *System {
	for _, s := range All {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// loop is SendMany of a system that has no call for many.
func loop(ctx context.Context, s Sender, n int) error {
	for range n {
		if err := s.Send(ctx); err != nil {
			return err
		}
	}
	return nil
}
