package worker

import (
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/events"
)

// eventFlags say which events a worker sends.
type eventFlags struct {
	tasks    bool
	interval time.Duration
}

func (f *eventFlags) register(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.tasks, "events", "E", false, "send events of tasks from the start, not only when a tool asks for them")
	flags.DurationVar(&f.interval, "heartbeat-interval", events.DefaultInterval, "the time between a worker's heartbeats, for tools that watch workers;\n0 sends none")
}

func (f *eventFlags) config(logger *slog.Logger) events.Config {
	interval := f.interval
	if interval == 0 {
		interval = -1 // 0 would be the default
	}
	return events.Config{Tasks: f.tasks, Interval: interval, Logger: logger}
}
