package main

import (
	"fmt"
	"slices"

	"github.com/taskgen/taskgen/bench/system"
)

// row is one thing that is measured of several systems.
type row struct {
	name string
	kind kind
	job  system.Job // what is the same for all systems; Tasks 0: those of the flag
	// workers is how many worker processes there are; 0: one.
	workers int
	systems []*system.System // nil: all but the variants of others
	long    bool
}

// kind is what a row measures.
type kind string

const (
	// enqueue sends, and nobody works.
	enqueue kind = "enqueue"
	// drain works on what was queued before.
	drain kind = "drain"
	// both sends while a worker works.
	both kind = "both"
	// latency does so at a steady pace.
	latency kind = "latency"
)

var (
	standard = []*system.System{system.AMQP, system.RabbitMQ, system.SQLite, system.Asynq, system.River, system.Celery}
	sending  = slices.Insert(slices.Clone(standard), 1, system.AMQPClassic)
	working  = slices.Insert(slices.Clone(standard), 1, system.AMQPSingle, system.AMQPClassic)
	ours     = []*system.System{system.RabbitMQ, system.SQLite}
	limits   = []*system.System{system.AMQP, system.RabbitMQ, system.SQLite}
)

// The names of rows that targets refer to.
const (
	enqueueMany   = "enqueue, many in a call"
	bothAtOnce    = "both at once, 16 goroutines"
	withResults   = "both at once, with results"
	steady        = "latency at 200 a second"
	largePrefetch = "drain, concurrency 10, prefetch 256"
)

func enqueueBy(senders int) string { return "enqueue, " + count(senders, "goroutine") }
func drainWith(slots int) string   { return fmt.Sprintf("drain, concurrency %d", slots) }
func drainOf(tasks int) string     { return "drain of " + thousands(tasks) }
func drainBy(workers int) string   { return "drain by " + count(workers, "worker") }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// many are the systems that have a call for many tasks.
func many(systems []*system.System) []*system.System {
	return slices.DeleteFunc(slices.Clone(systems), func(s *system.System) bool { return !s.Many })
}

// rows are all that is measured.
func rows() []row {
	var all []row
	for _, senders := range []int{1, 16, 256} {
		all = append(all, row{name: enqueueBy(senders), kind: enqueue, job: system.Job{Senders: senders}, systems: sending})
	}
	all = append(all, row{name: enqueueMany, kind: enqueue, job: system.Job{Many: true}, systems: many(sending)})
	for _, slots := range []int{10, 100} {
		all = append(all, row{name: drainWith(slots), kind: drain, job: system.Job{Concurrency: slots}, systems: working})
	}
	all = append(all,
		row{name: largePrefetch, kind: drain, job: system.Job{Concurrency: 10, Prefetch: 256}, systems: []*system.System{system.AMQP, system.AMQPSingle, system.RabbitMQ}},
		row{name: bothAtOnce, kind: both, job: system.Job{Senders: 16, Concurrency: 10}, systems: working},
		row{name: withResults, kind: both, job: system.Job{Senders: 16, Concurrency: 10, Results: true}, systems: ours},
		row{name: steady, kind: latency, job: system.Job{Tasks: 1000, Rate: 200, Concurrency: 50, Latency: true}, systems: standard},
	)
	for _, tasks := range growth {
		all = append(all, row{name: drainOf(tasks), kind: drain, job: system.Job{Tasks: tasks, Concurrency: 10}, systems: limits, long: tasks > 100_000})
	}
	for _, workers := range []int{1, 2, 4, 8} {
		all = append(all, row{name: drainBy(workers), kind: drain, job: system.Job{Concurrency: 10}, workers: workers, systems: standard})
	}
	return all
}

// growth is how many tasks are queued in the rows that look for what grows.
var growth = []int{1000, 10_000, 100_000, 1_000_000}
