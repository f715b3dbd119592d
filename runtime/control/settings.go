package control

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/taskgen/taskgen/runtime/codec"
)

// settings are the worker's, under Celery's names where it has such. There is no secret in them.
func (s *Server) settings() map[string]any {
	c := s.worker.Config()
	queues := []any{}
	for _, q := range s.worker.Queues() {
		queues = append(queues, q.Name)
	}
	accept := make([]any, len(c.Accept))
	for i := range c.Accept {
		accept[i] = c.Accept[i]
	}
	settings := map[string]any{
		"broker_url":                   s.worker.Transport().String(),
		"accept_content":               accept,
		"worker_concurrency":           int64(s.worker.Slots()),
		"worker_enable_remote_control": true,
		"worker_soft_shutdown_timeout": c.Drain.Seconds(),
		"worker_send_task_events":      s.config.Events != nil,
		"task_queues":                  queues,
		"task_track_started":           c.TrackStarted,
		"result_expires":               c.ResultTTL.Seconds(),
		"taskgen_control":              s.config.Mode.String(),
		"taskgen_max_body":             int64(c.MaxBody),
		"taskgen_max_result":           int64(c.MaxResult),
		"taskgen_max_decompressed":     int64(c.MaxDecompressed),
	}
	if c.DefaultRateLimit > 0 {
		settings["task_default_rate_limit"] = c.DefaultRateLimit.String()
	}
	if c.StateFile != "" {
		settings["worker_state_db"] = c.StateFile
	}
	return settings
}

// conf tells all of them, with_defaults or without.
func (s *Server) conf(*request) (any, error) { return s.settings(), nil }

// report is what people put into a report of a fault.
func (s *Server) report(*request) (any, error) {
	software := s.config.Software
	if software == "" {
		software = "taskgen go:" + strings.TrimPrefix(runtime.Version(), "go")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\nsoftware -> %s\nplatform -> system:%s arch:%s cpus:%d\nbroker -> %s\n\n", software, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.worker.Transport())
	settings := s.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&out, "%s: %s\n", name, codec.ReprTree(settings[name], maxRepr))
	}
	return ok(out.String()), nil
}
