package worker

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/taskgen/taskgen/runtime/builtin"
	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/control"
	"github.com/taskgen/taskgen/runtime/events"
	"github.com/taskgen/taskgen/runtime/internal/build"
	"github.com/taskgen/taskgen/runtime/task"
)

// runFlags are the flags of a running worker.
type runFlags struct {
	log         logFlags
	queues      []string
	concurrency int
	prefetch    int
	hostname    string
	rateLimit   string
	rateLimits  []string
	bindings    []string
	accept      []string
	maxBody     int
	maxResult   int
	started     bool
	resultTTL   time.Duration
	drain       time.Duration
	waitLogin   bool
	health      string
	maxStuck    int
	control     string
	stateDB     string
	http        httpFlags
	mail        mailFlags
	events      eventFlags
}

// defaultResultTTL is the worker's own.
const defaultResultTTL = 24 * time.Hour

func (p *program) runCommand(broker *urlFlag) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use: "run", Short: "Run tasks until SIGTERM or SIGINT (the default)", Long: manual, Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.work(cmd.Context(), broker, f) },
	}
	cmd.Flags().SortFlags = false
	f.register(cmd.Flags())
	return cmd
}

func (f *runFlags) register(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&f.queues, "queues", "Q", nil, "take tasks from `QUEUES` such as mail=2,slow: with slots of\ntheir own, or sharing the -concurrency (default all queues of the tasks)")
	flags.IntVarP(&f.concurrency, "concurrency", "c", task.DefaultConcurrency, "run `N` tasks at a time")
	flags.IntVar(&f.prefetch, "prefetch", 0, "hold `N` messages of a queue, one for each slot at least (default 4 for each slot, 256 while its tasks are short)")
	flags.StringVar(&f.hostname, "hostname", "worker@%h", "`NAME` of this worker; %h is the host, %n its name, %d its domain")
	flags.StringVar(&f.rateLimit, "default-rate-limit", "", "at most `RATE` starts, such as 100/m, of each task that has no\nlimit of its own (default none)")
	flags.StringArrayVar(&f.rateLimits, "rate-limit", nil, "`NAME=RATE`, such as users.createUser=10/m: at most that many starts\nof this task, instead of its own limit; none lifts it. NAME may be\nthe end of a name. Can be repeated")
	flags.StringArrayVar(&f.bindings, "bind", nil, "`QUEUE=EXCHANGE/KEY` has messages of the exchange with that key come\nto the queue; can be repeated. EXCHANGE:TYPE/KEY says what type the\nexchange has: direct (the default), topic, fanout (without /KEY), or\nheaders, where KEY is the name of a task. In the names, write = as\n%3D, : as %3A, / as %2F; % as %25 everywhere")
	flags.StringArrayVar(&f.accept, "accept", nil, "run messages of these `SERIALIZERS` only, such as msgpack,json\n(default these two and what the tasks use)")
	flags.IntVar(&f.maxBody, "max-body", task.DefaultMaxBody, "park messages whose bodies have more than that many `BYTES`")
	flags.IntVar(&f.maxResult, "max-result", task.DefaultMaxResult, "fail tasks whose results have more than that many `BYTES`")
	flags.BoolVar(&f.started, "track-started", false, "store the state STARTED when a task begins to run")
	flags.DurationVar(&f.resultTTL, "result-ttl", defaultResultTTL, "how long results are kept, by the embedded broker or -results; 0 is\nfor ever")
	flags.DurationVar(&f.drain, "drain", task.DefaultDrain, "how long running tasks may go on after a signal")
	flags.BoolVar(&f.waitLogin, "wait-for-login", false, "go on trying if the broker refuses the worker's login, or a queue,\nwhen it starts; else the worker ends")
	flags.StringVar(&f.health, "health", "", "answer GET /livez and /readyz at `ADDRESS`, such as :8081 (default nowhere)")
	flags.IntVar(&f.maxStuck, "max-stuck", 0, "not live with more than `N` tasks stuck (default when a queue has no\nslot left)")
	flags.StringVar(&f.control, "control", control.Full.String(), "answer remote control: `full`; read, which refuses what changes the\nworker; off")
	flags.StringVar(&f.stateDB, "statedb", "", "keep the ids of revoked tasks in `FILE`, over a restart (default nowhere)")
	f.http.register(flags)
	f.mail.register(flags)
	f.log.register(flags)
	f.events.register(flags)
}

// config checks the flags.
func (f *runFlags) config(tasks *catalog) (task.WorkerConfig, error) {
	var config task.WorkerConfig
	var err error
	switch {
	case f.concurrency < 1:
		return config, misuse("-concurrency %d: want at least 1", f.concurrency)
	case f.prefetch < 0:
		return config, misuse("-prefetch %d: want a number of messages, or 0 for the default", f.prefetch)
	case f.drain < 0:
		return config, misuse("-drain %s: want a time from 0s", f.drain)
	case f.resultTTL < 0:
		return config, misuse("-result-ttl %s: want a time, or 0 to keep results for ever", f.resultTTL)
	case f.maxStuck < 0:
		return config, misuse("-max-stuck %d: want at least 1, or 0 for the default", f.maxStuck)
	case f.maxBody < 1:
		return config, misuse("-max-body %d: want at least 1", f.maxBody)
	case f.maxResult < 1:
		return config, misuse("-max-result %d: want at least 1", f.maxResult)
	case f.events.interval < 0:
		return config, misuse("-heartbeat-interval %s: want a time, or 0 for no heartbeats", f.events.interval)
	}
	// A drain of 0 would be the default one.
	config.Concurrency, config.Prefetch, config.Drain = f.concurrency, f.prefetch, max(f.drain, 1)
	config.MaxBody, config.MaxResult, config.TrackStarted, config.ResultTTL = f.maxBody, f.maxResult, f.started, f.resultTTL
	config.WaitForLogin, config.MaxStuck, config.StateFile = f.waitLogin, f.maxStuck, f.stateDB
	if f.resultTTL == 0 {
		config.ResultTTL = forever
	}
	if config.Name, err = nodeName(f.hostname, hostName()); err != nil {
		return config, err
	}
	if config.DefaultRateLimit, err = task.ParseRate(f.rateLimit); err != nil {
		return config, misuse("-default-rate-limit: %w", err)
	}
	if config.RateLimits, err = parseRateLimits(f.rateLimits, tasks); err != nil {
		return config, err
	}
	if config.Accept, err = parseAccept(f.accept); err != nil {
		return config, err
	}
	if _, err := control.ParseMode(f.control); err != nil {
		return config, misuse("-control: %w", err)
	}
	if err := f.http.check(); err != nil {
		return config, err
	}
	if _, _, err := net.SplitHostPort(f.health); f.health != "" && err != nil {
		return config, misuse("-health %q: want an address with a port, such as :8081 or 127.0.0.1:8081", f.health)
	}
	if config.Queues, err = parseQueues(f.queues); err != nil {
		return config, err
	}
	config.Queues, err = bind(config.Queues, f.bindings, tasks)
	return config, err
}

// forever as a time to live keeps results until they are deleted.
const forever = -1

// parseAccept reads the names of serializers.
func parseAccept(lists []string) ([]string, error) {
	names := splitLists(lists)
	for _, name := range names {
		if _, ok := codec.ByName(name); !ok {
			return nil, misuse("-accept: there is no serializer %q; there are %s", name, strings.Join(codec.Names(), ", "))
		}
	}
	return names, nil
}

// work runs the worker until ctx ends.
func (p *program) work(ctx context.Context, broker *urlFlag, f *runFlags) error {
	config, err := f.config(newCatalog(p.registry))
	if err != nil {
		return err
	}
	log, err := f.log.open(p.stderr)
	if err != nil {
		return err
	}
	defer log.close()
	p.setLogger(log.Logger)
	config.Logger, config.LogFile, config.LogLevel = log.Logger, f.log.file, log.level
	health, err := openHealth(ctx, f.health, log.Logger)
	if err != nil {
		return err
	}
	defer health.close()
	closeMail, err := f.mail.open(&config)
	if err != nil {
		return err
	}
	defer closeMail()
	err = withClient(ctx, broker, func(ctx context.Context, t task.Transport) error {
		return p.setUp(ctx, &running{program: p, transport: t, config: config, control: f.control, log: log, http: &f.http, health: health, events: f.events})
	})
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		log.Info("stopped before it was ready", "worker", config.Name, "why", err)
		return nil
	}
	if err == nil || log.forPeople {
		return err
	}
	log.Error("the worker has failed", "error", err)
	if !log.text {
		return errLogged
	}
	return err
}

// setUp calls the user's setup, if there is one, and through it the worker.
func (p *program) setUp(ctx context.Context, w *running) error {
	if p.setup == nil {
		return w.run(ctx, p.registry)
	}
	called := false
	err := p.setup(ctx, func(inner context.Context, r *task.Registry) error {
		called = true
		// A signal must reach the worker also where setup gives it a context of its own.
		inner, cancel := context.WithCancelCause(inner)
		defer cancel(nil)
		defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
		return w.run(inner, r)
	})
	if err == nil && !called {
		return errors.New("setup has returned without calling run: no task was run")
	}
	return err
}

// heapFloor is what a worker holds of its address space and never touches, in bytes. Go collects garbage when the heap has doubled; that of
// a worker of short tasks is so small that it did so a hundred times a second, for a quarter of the processor.
const heapFloor = 2 << 20

// running is a worker about to run.
type running struct {
	*program
	transport task.Transport
	config    task.WorkerConfig
	control   string
	log       *logging
	http      *httpFlags
	health    *health
	events    eventFlags
}

func (w *running) run(ctx context.Context, r *task.Registry) error {
	if err := builtin.Register(r, w.http.settings()); err != nil {
		return err
	}
	worker, err := task.NewWorker(w.transport, r, w.config)
	if err != nil {
		return err
	}
	dispatcher := events.Start(worker, w.transport, w.events.config(w.log.Logger))
	defer dispatcher.Close()
	mode, err := control.ParseMode(w.control)
	if err != nil {
		return err
	}
	remote, err := control.Start(control.Config{
		Worker: worker, Mode: mode, Events: dispatcher,
		Software: "taskgen:" + build.Version() + " go:" + strings.TrimPrefix(runtime.Version(), "go"),
	})
	if err != nil {
		return err
	}
	defer func() { _ = remote.Close() }()
	start := newBanner(w.transport, r, worker.Config(), w.health.address)
	if w.log.text {
		w.tellf("%s", start.text())
	}
	if !w.log.forPeople {
		start.log(w.log.Logger)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		w.health.draining.Store(true)
		w.log.Info("told to stop; a second signal stops at once", "why", context.Cause(ctx))
		stop()
	})()
	w.health.worker.Store(worker)
	floor := make([]byte, heapFloor)
	defer runtime.KeepAlive(floor)
	go announce(running, worker, w.log)
	if err := worker.Run(running); err != nil {
		return err
	}
	w.log.Info("stopped", "worker", w.config.Name)
	return nil
}

// announce logs when the worker first consumes from all of its queues.
func announce(ctx context.Context, worker *task.Worker, log *logging) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !worker.Ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	log.Info("ready", "worker", worker.Config().Name)
}
