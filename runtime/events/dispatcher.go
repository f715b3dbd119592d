// Package events tells Celery's tools what a worker does: `celery events`, Flower and their like see it as one of their own.
//
// That a worker is there, and still there, is always told. What becomes of each task is told only while somebody wants it, and
// never at a task's expense: it goes through a buffer of a fixed size, and is dropped when that is full.
package events

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskgen/taskgen/runtime/internal/event"
	"github.com/taskgen/taskgen/runtime/task"
)

// Config says what is told. The zero value is good.
type Config struct {
	// Tasks tells of tasks from the start, as Celery's -E does. Else [Dispatcher.Enable] does.
	Tasks bool
	// Interval is the time between heartbeats, 2 s by default. Negative: that the worker is there is told only when asked.
	Interval time.Duration
	// Logger takes what is lost. nil: discarded.
	Logger *slog.Logger
}

// DefaultInterval is that of Celery 5.6. Its tools take a worker for gone after two intervals without a heartbeat.
const DefaultInterval = 2 * time.Second

const (
	// buffered is how many stages of tasks wait to be sent, at most. More are dropped: that is about 30 MB of the largest
	// messages whose arguments are shown.
	buffered = 2048
	// batchSize and batchDelay bound what is sent at a time: as many events, and as long after the first of them.
	batchSize  = 24
	batchDelay = 5 * time.Millisecond
	// readyInterval is how often the worker is looked at until it is ready.
	readyInterval = 50 * time.Millisecond
)

// Dispatcher sends the events of one worker. Make it with [Start].
type Dispatcher struct {
	worker      *task.Worker
	broadcaster task.Broadcaster
	config      Config
	source      event.Source

	enabling sync.Mutex
	enabled  bool

	stages  chan *task.Stage
	asked   chan struct{} // for a heartbeat
	dropped atomic.Int64
	batch   [][]byte
	online  bool

	closing context.CancelFunc
	closed  chan struct{}
}

// Start starts to tell of a worker, also before its Run. Close ends it, after Run has returned.
func Start(w *task.Worker, b task.Broadcaster, config Config) *Dispatcher {
	config.Interval = cmp.Or(config.Interval, DefaultInterval)
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Dispatcher{
		worker: w, broadcaster: b, config: config,
		source: event.Source{Hostname: w.Config().Name, Tick: w.Clock().Tick},
		stages: make(chan *task.Stage, buffered), asked: make(chan struct{}, 1),
		closing: cancel, closed: make(chan struct{}),
	}
	if config.Tasks {
		d.Enable()
	}
	go d.run(ctx)
	return d
}

// Enable begins to tell of tasks, and says whether that is a change.
func (d *Dispatcher) Enable() bool { return d.enable(true, d.observe) }

// Disable ends it, and says whether that is a change.
func (d *Dispatcher) Disable() bool { return d.enable(false, nil) }

func (d *Dispatcher) enable(enabled bool, observer func(*task.Stage)) bool {
	d.enabling.Lock()
	defer d.enabling.Unlock()
	if d.enabled == enabled {
		return false
	}
	d.enabled = enabled
	d.worker.Observe(observer)
	return true
}

// Heartbeat tells soon that the worker is there.
func (d *Dispatcher) Heartbeat() {
	select {
	case d.asked <- struct{}{}:
	default: // one is about to go
	}
}

// Dropped is how many events were not sent, because there were too many or the broker was not there.
func (d *Dispatcher) Dropped() int64 { return d.dropped.Load() }

// Close sends what is left and tells that the worker has gone.
func (d *Dispatcher) Close() {
	d.Disable()
	d.closing()
	<-d.closed
}

// observe takes a stage of a task. It never waits.
func (d *Dispatcher) observe(s *task.Stage) {
	select {
	case d.stages <- s:
	default:
		d.dropped.Add(1)
	}
}

// run sends until ctx ends.
func (d *Dispatcher) run(ctx context.Context) {
	defer close(d.closed)
	beat := time.NewTicker(readyInterval)
	defer beat.Stop()
	flush := time.NewTimer(batchDelay)
	defer flush.Stop()
	for {
		select {
		case s := <-d.stages:
			if len(d.batch) == 0 {
				flush.Reset(batchDelay)
			}
			if d.add(s); len(d.batch) >= batchSize {
				d.flush()
			}
		case <-flush.C:
			d.flush()
		case <-beat.C:
			d.beat(beat)
		case <-d.asked:
			d.sendWorker(heartbeat, askedFor)
		case <-ctx.Done():
			d.end()
			return
		}
	}
}

// beat tells at first that the worker is there, once it is, and then that it still is.
func (d *Dispatcher) beat(beat *time.Ticker) {
	switch {
	case d.config.Interval < 0:
		beat.Stop()
	case d.online:
		d.sendWorker(heartbeat, d.status)
	case d.worker.Ready():
		d.online = true
		d.sendWorker(online, d.status)
		beat.Reset(d.config.Interval)
	}
}

// end sends what has come before Close.
func (d *Dispatcher) end() {
	for len(d.stages) > 0 {
		if d.add(<-d.stages); len(d.batch) >= batchSize {
			d.flush()
		}
	}
	if d.flush(); d.online {
		d.sendWorker(offline, d.status)
	}
	if n := d.Dropped(); n > 0 {
		d.config.Logger.Warn("events were dropped: there were too many, or the broker was not there", "dropped", n)
	}
}

// add puts a stage into the batch.
func (d *Dispatcher) add(s *task.Stage) {
	body, err := d.encode(s)
	if err != nil {
		d.lose(1, err)
		return
	}
	d.batch = append(d.batch, body)
}

// flush sends the batch.
func (d *Dispatcher) flush() {
	if len(d.batch) == 0 {
		return
	}
	body := append(append([]byte{'['}, bytes.Join(d.batch, []byte{','})...), ']')
	d.send(event.Batch, body, len(d.batch))
	clear(d.batch)
	d.batch = d.batch[:0]
}

// send broadcasts n events.
func (d *Dispatcher) send(key string, body []byte, n int) {
	if err := d.broadcaster.Broadcast(context.Background(), task.EventBroadcast(d.source.Hostname, key, body)); err != nil {
		d.lose(n, err)
	}
}

// lose counts events that are not sent. While the broker is away, the transport tells of that.
func (d *Dispatcher) lose(n int, err error) {
	d.dropped.Add(int64(n))
	if !errors.Is(err, task.ErrClosed) {
		d.config.Logger.Debug("events are not sent", "events", n, "error", err)
	}
}
