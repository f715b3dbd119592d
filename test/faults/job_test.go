package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/worker"
)

// What the processes of a scenario are told by their environment.
const (
	roleVariable   = "TASKGEN_FAULTS_ROLE"
	queueVariable  = "TASKGEN_FAULTS_QUEUE"
	ledgerVariable = "TASKGEN_FAULTS_LEDGER"
	brokerVariable = "TASKGEN_BROKER"
)

// roles are what this binary is when it is started by a scenario.
var roles = map[string]func(){
	"worker": func() {
		r := task.NewRegistry()
		jobs(os.Getenv(queueVariable)).Register(r)
		worker.Main(r, nil)
	},
	"churn": func() {
		if err := churn(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	},
}

// job is what a task does.
type job struct {
	// Number is the task in the ledger.
	Number int
	// Take is how long it runs.
	Take time.Duration
	// Do is what else it does: one of the words below, or nothing.
	Do string
	// Padding makes the message large.
	Padding string
}

const (
	deaf  = "deaf"  // runs on when its context ends
	exit  = "exit"  // ends its process
	retry = "retry" // asks for another run after a second, twice
)

// jobs is the task of all scenarios.
func jobs(queue string) task.Func[job, int] {
	retries := 5
	return task.New("faults.job", run, task.Spec{Queue: queue, MaxRetries: &retries})
}

var openLedger = sync.OnceValues(func() (pen, error) { return openPen(os.Getenv(ledgerVariable)) })

// run is what a worker does: it enters the start and the end of a job into the ledger.
func run(ctx context.Context, j job) (int, error) {
	ledger, err := openLedger()
	if err != nil {
		return 0, err
	}
	if err := ledger.note(started, j.Number); err != nil {
		return 0, err
	}
	switch j.Do {
	case exit:
		os.Exit(3)
	case deaf:
		time.Sleep(j.Take)
	default:
		select {
		case <-time.After(j.Take):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	if j.Do == retry && task.InfoFrom(ctx).Retries < 2 {
		return 0, task.RetryIn(time.Second, errors.New("not yet"))
	}
	if err := ledger.note(ended, j.Number); err != nil {
		return 0, fmt.Errorf("the ledger is lost: %w", err)
	}
	return j.Number, nil
}

// churn sends and runs tasks in one process until it is told to stop, and says how many goroutines it has, and how many bytes of its heap are in use.
func churn() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ledger, err := openLedger()
	if err != nil {
		return err
	}
	transport, err := broker.Transport(ctx, os.Getenv(brokerVariable))
	if err != nil {
		return err
	}
	client := task.NewClient(transport, task.ClientConfig{})
	defer client.Close()
	j, r := jobs(os.Getenv(queueVariable)), task.NewRegistry()
	j.Register(r)
	w, err := task.NewWorker(transport, r, task.WorkerConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	go func() {
		for number := 0; ctx.Err() == nil; number++ {
			kind := accepted
			few := task.IgnoreResult(number%20 != 0) // for a process remembers those that it was sent
			if _, err := j.With(few).Delay(task.WithClient(ctx, client), job{Number: number}); err != nil {
				kind = rejected
			}
			if err := ledger.note(kind, number); err != nil {
				panic(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	go func() {
		fmt.Println("begin")
		for range time.Tick(200 * time.Millisecond) {
			debug.FreeOSMemory()
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			fmt.Println("holds", runtime.NumGoroutine(), memory.HeapAlloc)
		}
	}()
	return w.Run(ctx)
}
