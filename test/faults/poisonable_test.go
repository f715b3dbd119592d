package faults

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/taskgen/taskgen/runtime/codec"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/worker"
)

// What a worker has that is given poison: the tasks of all scenarios, one with an argument of each kind, one
// that misbehaves, and neighbours that run as long as the test.
func init() {
	roles["poisoned"] = func() {
		r := task.NewRegistry()
		queue := os.Getenv(queueVariable)
		jobs(queue).Register(r)
		typed(queue).Handle(r, func(context.Context, *typedArgs) (string, error) { return "good", nil })
		rude(queue).Handle(r, misbehave)
		neighbour(queue).Register(r)
		worker.Main(r, nil)
	}
}

// typedArgs are an argument of each kind.
type typedArgs struct {
	Text  string
	Small int8
	Count uint16
	Big   int64
	Ratio float64
	Flag  bool
	Data  []byte
	At    time.Time
	Wait  time.Duration
	Tags  []string
	Sizes map[string]int
	User  struct {
		Name string `json:"name"`
		Age  int    `json:"age"`
	}
	Any any
}

func (a *typedArgs) Visit(f codec.Fields) {
	codec.String(f.Field("text"), &a.Text)
	codec.Int(f.Field("small"), &a.Small)
	codec.Uint(f.Field("count"), &a.Count)
	codec.Int(f.Field("big"), &a.Big)
	codec.Float(f.Field("ratio"), &a.Ratio)
	codec.Bool(f.Field("flag"), &a.Flag)
	codec.Bytes(f.Field("data"), &a.Data)
	codec.Time(f.Field("at"), &a.At)
	codec.Duration(f.Field("wait"), &a.Wait)
	codec.Slice(f.Field("tags"), &a.Tags, codec.String[string])
	codec.Map(f.Field("sizes"), &a.Sizes, codec.String[string], codec.Int[int])
	codec.Any(f.Field("user"), &a.User)
	codec.Any(f.Field("any"), &a.Any)
}

func typed(queue string) task.Task[typedArgs, string] {
	return task.Define[typedArgs](task.Spec{Name: "faults.typed", Queue: queue}, codec.String[string])
}

type rudeArgs struct{ Do string }

func (a *rudeArgs) Visit(f codec.Fields) { codec.String(f.Field("do"), &a.Do) }

func rude(queue string) task.Task[rudeArgs, any] {
	return task.Define[rudeArgs](task.Spec{Name: "faults.rude", Queue: queue}, codec.Any[any])
}

// cycle is an error that wraps itself.
type cycle struct{}

func (cycle) Error() string { return "a cycle" }
func (cycle) Unwrap() error { return cycle{} }

type unspeakable struct{ message *string }

func (e unspeakable) Error() string { return *e.message }

func write(m map[string]int) { m["x"] = 1 }

func misbehave(ctx context.Context, a *rudeArgs) (any, error) {
	switch a.Do {
	case "panic":
		panic("on purpose")
	case "panic with nil":
		panic(nil)
	case "panic with an error":
		panic(unspeakable{})
	case "panic with 20 MiB":
		panic(strings.Repeat("x", 20<<20))
	case "nil map":
		write(nil)
	case "Goexit":
		runtime.Goexit()
	case "unspeakable error":
		return nil, unspeakable{}
	case "endless error":
		return nil, cycle{}
	case "error of 20 MiB":
		return nil, errors.New(strings.Repeat("x", 20<<20))
	case "result that can't be written":
		return make(chan int), nil
	case "result of 17 MiB":
		return strings.Repeat("x", 17<<20), nil
	case "block":
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return "good", nil
}

// neighbour runs until there is a file.
func neighbour(queue string) task.Func[job, int] {
	return task.New("faults.neighbour", func(ctx context.Context, j job) (int, error) {
		ledger, err := openLedger()
		if err != nil {
			return 0, err
		}
		if err := ledger.note(started, j.Number); err != nil {
			return 0, err
		}
		for ctx.Err() == nil {
			if _, err := os.Stat(j.Do); err == nil {
				return 0, ledger.note(ended, j.Number)
			}
			time.Sleep(20 * time.Millisecond)
		}
		return 0, context.Cause(ctx)
	}, task.Spec{Queue: queue})
}
