// Package builtin has the tasks that every worker runs besides its own. A worker's command line
// registers them; so does [Register] for a worker made in Go. They have no queue of
// their own: send one to a queue of the workers that are meant,
//
//	call, err := builtin.Stats.With(task.Queue("mail")).Delay(ctx)
//
// and one worker that takes from that queue runs it.
package builtin

//go:generate go tool taskgen

import (
	"context"

	"github.com/taskgen/taskgen/runtime/task"
)

// Register adds the built-in tasks to those of a worker, but for names that r has already. What
// [ByNameRun] and [ByNameRunAll] can run is what r has when they run. h is for [HTTPCall], which
// refuses everything if h is nil or allows no hosts. The error is a mistake in h.
func Register(r *task.Registry, h *HTTP) error {
	if h == nil {
		h = new(HTTP)
	}
	if err := h.complete(); err != nil {
		return err
	}
	all := task.NewRegistry()
	RegisterTasks(all, &ByName{registry: r}, h)
	for _, e := range all.Entries() {
		r.AddBuiltIn(e)
	}
	return all.Err()
}

// ping tells that a worker is there.
//
//task:name taskgen.ping
//task:serializer json
func ping() string { return "pong" }

// stats tells what the worker that runs it has done since it started.
//
//task:name taskgen.stats
//task:serializer json
func stats(ctx context.Context) task.Stats { return task.StatsFrom(ctx) }

// deleteExpiredResults deletes the stored results whose time is over, instead of some time
// later, and returns how many. 0 on brokers that store none.
//
//task:name taskgen.delete_expired_results
//task:serializer json
func deleteExpiredResults(ctx context.Context) (int, error) {
	client := task.ClientFrom(ctx)
	if client == nil {
		return 0, task.ErrNoClient
	}
	return client.Transport().DeleteExpiredResults(ctx)
}
