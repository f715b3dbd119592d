package control

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
)

// The commands that programs give most. Each returns what the workers say, by their names; the error is that of [Client.Ask], or
// what workers refuse, joined.

// okAnswer is the answer to a command.
type okAnswer struct {
	OK string `json:"ok"`
}

// do gives a command that changes something, and returns the workers' words.
func (c *Client) do(ctx context.Context, method string, arguments map[string]any) (map[string]string, error) {
	answers, err := answersOf[okAnswer](ctx, c, method, arguments)
	if answers == nil {
		return nil, err
	}
	out := make(map[string]string, len(answers))
	for worker, a := range answers {
		out[worker] = a.OK
	}
	return out, err
}

// Ping returns the names of the workers that are there.
func (c *Client) Ping(ctx context.Context) ([]string, error) {
	answers, err := c.do(ctx, "ping", nil)
	return slices.Sorted(maps.Keys(answers)), err
}

// Active are the tasks that run.
func (c *Client) Active(ctx context.Context) (map[string][]TaskInfo, error) {
	return answersOf[[]TaskInfo](ctx, c, "active", nil)
}

// Reserved are the tasks that workers have and that wait for a slot.
func (c *Client) Reserved(ctx context.Context) (map[string][]TaskInfo, error) {
	return answersOf[[]TaskInfo](ctx, c, "reserved", nil)
}

// Scheduled are the tasks that workers have and that wait for their time.
func (c *Client) Scheduled(ctx context.Context) (map[string][]ScheduledTask, error) {
	return answersOf[[]ScheduledTask](ctx, c, "scheduled", nil)
}

// Revoked are the ids of the tasks that workers don't run.
func (c *Client) Revoked(ctx context.Context) (map[string][]string, error) {
	return answersOf[[]string](ctx, c, "revoked", nil)
}

// Registered are the names of the tasks that workers can run, with some of their options.
func (c *Client) Registered(ctx context.Context) (map[string][]string, error) {
	return answersOf[[]string](ctx, c, "registered", nil)
}

// ActiveQueues are the queues that workers take from.
func (c *Client) ActiveQueues(ctx context.Context) (map[string][]QueueInfo, error) {
	return answersOf[[]QueueInfo](ctx, c, "active_queues", nil)
}

// Revoke keeps tasks from running; those that run go on.
func (c *Client) Revoke(ctx context.Context, ids ...string) (map[string]string, error) {
	return c.do(ctx, "revoke", map[string]any{"task_id": ids, "terminate": false})
}

// Terminate revokes tasks, and stops those that run: a Go worker ends their contexts ([task.Worker.Terminate]), a Python one sends
// SIGTERM to the processes.
func (c *Client) Terminate(ctx context.Context, ids ...string) (map[string]string, error) {
	return c.do(ctx, "revoke", map[string]any{"task_id": ids, "terminate": true, "signal": "SIGTERM"})
}

// RateLimit changes how often each worker starts a task. Unlimited: as often as it can.
func (c *Client) RateLimit(ctx context.Context, name string, rate task.Rate) (map[string]string, error) {
	text := "0"
	if rate > 0 && rate != task.Unlimited {
		text = rate.String()
	}
	return c.do(ctx, "rate_limit", map[string]any{"task_name": name, "rate_limit": text})
}

// TimeLimit changes how long runs of a task may take that begin from now on. 0: no limit. See [task.Worker.SetTimeLimit].
func (c *Client) TimeLimit(ctx context.Context, name string, hard, soft time.Duration) (map[string]string, error) {
	arguments := map[string]any{"task_name": name, "hard": nil, "soft": nil}
	if hard > 0 {
		arguments["hard"] = Seconds(hard.Seconds())
	}
	if soft > 0 {
		arguments["soft"] = Seconds(soft.Seconds())
	}
	return c.do(ctx, "time_limit", arguments)
}

// AddQueue has workers take from one more queue.
func (c *Client) AddQueue(ctx context.Context, queue string) (map[string]string, error) {
	return c.do(ctx, "add_consumer", map[string]any{"queue": queue, "exchange": nil, "exchange_type": "direct", "routing_key": nil})
}

// CancelQueue has workers take no more from a queue.
func (c *Client) CancelQueue(ctx context.Context, queue string) (map[string]string, error) {
	return c.do(ctx, "cancel_consumer", map[string]any{"queue": queue})
}

// Grow gives workers n more slots, Shrink takes them away.
func (c *Client) Grow(ctx context.Context, n int) (map[string]string, error) {
	return c.do(ctx, "pool_grow", map[string]any{"n": n})
}

// Shrink takes n slots away from workers.
func (c *Client) Shrink(ctx context.Context, n int) (map[string]string, error) {
	return c.do(ctx, "pool_shrink", map[string]any{"n": n})
}

// Shutdown has workers stop as on SIGTERM. They don't answer.
func (c *Client) Shutdown(ctx context.Context) error { return c.Tell(ctx, "shutdown", nil) }
