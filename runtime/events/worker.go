package events

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/internal/build"
	"github.com/taskgen/taskgen/runtime/internal/event"
)

// The types of a worker's own events.
const (
	online    = "worker-online"
	heartbeat = "worker-heartbeat"
	offline   = "worker-offline"
)

// sendWorker sends an event of the worker itself. None of its fields may be called id, alive, status_string or
// heartbeat_expires: Celery's monitors break on them.
func (d *Dispatcher) sendWorker(kind string, more func(codec.Fields)) {
	d.flush() // so that all come in the order of their clocks
	body, err := d.source.Encode(kind, time.Now(), func(f codec.Fields) {
		more(f)
		f.Field("sw_ident").String("taskgen")
		f.Field("sw_ver").String(build.Version())
		f.Field("sw_sys").String(system())
	})
	if err != nil {
		d.lose(1, err)
		return
	}
	d.send(event.RoutingKey(kind), body, 1)
}

// status is what the worker tells of itself by and by.
func (d *Dispatcher) status(f codec.Fields) {
	stats := d.worker.Stats()
	processed := int64(0)
	for _, t := range stats.Tasks {
		processed += t.Succeeded + t.Failed + t.Retried
	}
	f.Field("freq").Float(d.config.Interval.Seconds(), 64)
	f.Field("active").Int(int64(stats.Running), 64)
	f.Field("processed").Int(processed, 64)
	load := f.Field("loadavg")
	load.List(3)
	for _, average := range loadAverage() {
		load.Float(average, 64)
	}
	load.End()
}

// askedFor is what it tells when a tool asks for a heartbeat. Celery says 5 there, whatever the interval is.
func askedFor(f codec.Fields) { f.Field("freq").Int(5, 64) }

// loadAverage is that of the machine over 1, 5 and 15 minutes; zeros where the system doesn't tell it in a file, as those of
// Celery on Windows.
func loadAverage() (load [3]float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return load
	}
	for i, field := range strings.Fields(string(text)) {
		if i < len(load) {
			load[i], _ = strconv.ParseFloat(field, 64)
		}
	}
	return load
}

// system is the operating system as Python names it.
func system() string {
	return strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]
}
