package celery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/test/celery/gotasks"
)

// The long form is what `make celery` runs.
var long = os.Getenv("TASKGEN_CELERY") == "long"

// soakTime is how long the mixed load lasts.
func soakTime() time.Duration {
	if long {
		return 10 * time.Minute
	}
	return 3 * time.Second
}

// Python clients call Go and Go calls Python, everything beside everything, on several queues: no result is wrong.
func TestSoak(t *testing.T) {
	t.Parallel()
	worlds := []*world{newWorld(t), newWorld(t)}
	worlds[0].startGo(t, "-Q", worlds[1].goQueue, "-c", "32", "-track-started", "-accept", "json,msgpack,yaml", "-l", "error")
	worlds[0].startPython(t)
	ctx := worlds[0].client(t, soakTime()+patience)
	var all sync.WaitGroup
	tallies := make([]tally, len(worlds)+1)
	for i, w := range worlds {
		all.Go(func() {
			out, err := w.pythonOutput(ctx, nil, "soak.py", strconv.FormatFloat(soakTime().Seconds(), 'f', 0, 64), "4")
			if err == nil {
				err = json.Unmarshal(out, &tallies[i])
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() { tallies[len(worlds)] = callPython(ctx, worlds[0].pyQueue, time.Now().Add(soakTime())) })
	all.Wait()
	runs, mistakes := 0, 0
	for _, sum := range tallies {
		for _, n := range sum.Runs {
			runs += n
		}
		for _, text := range sum.Wrong {
			mistakes++
			t.Error(text)
		}
		if len(sum.Runs) == 0 {
			t.Error("nothing has run")
		}
	}
	results.count(fmt.Sprintf("mixed load for %s", soakTime()), runs-mistakes, mistakes)
	t.Logf("%d runs, %d wrong results: %v", runs, mistakes, tallies)
}

// tally says how often something has run, and what was wrong.
type tally struct {
	Runs  map[string]int
	Wrong []string
}

// callPython calls Python tasks from four goroutines until the time has come.
func callPython(ctx context.Context, queue string, until time.Time) tally {
	sum := tally{Runs: map[string]int{}}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for time.Now().Before(until) {
				name, err := callOne(ctx, queue)
				mu.Lock()
				sum.Runs["Go → Python: "+name]++
				if err != nil {
					sum.Wrong = append(sum.Wrong, name+": "+err.Error())
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return sum
}

// callOne calls one of the Python tasks, any, and says what is wrong with the result.
func callOne(ctx context.Context, queue string) (name string, wrong error) {
	o := []task.Option{task.Queue(queue), task.UseSerializer(serializers[rand.IntN(len(serializers))])}
	n := rand.Int64N(1 << 53)
	switch rand.IntN(5) {
	case 0:
		return "results", sent(gotasks.PyAdd.With(o...).Delay(ctx, n, 1)).gives(ctx, fmt.Sprint(n+1))
	case 1:
		o = append(o, task.UseCompression("gzip"))
		return "compression", sent(gotasks.PyGreet.With(o...).Delay(ctx, fmt.Sprint(n), 2, "größer")).gives(ctx, fmt.Sprintf("größer %d 2", n))
	case 2:
		o = append(o, task.In(time.Duration(rand.Int64N(int64(time.Second)))))
		return "delays", sent(gotasks.PyEchoInt64.With(o...).Delay(ctx, n)).gives(ctx, fmt.Sprint(n))
	case 3:
		return "retries", sent(gotasks.PyFlaky.With(o...).Delay(ctx, 2)).gives(ctx, "3")
	default:
		_, err := sent(gotasks.PyFail.With(o...).Delay(ctx, fmt.Sprint(n))).get(ctx)
		failure, ok := errors.AsType[*task.TaskError](err)
		if !ok || failure.Type != "ValueError" || failure.Message != fmt.Sprint(n) {
			return "errors", fmt.Errorf("got %w, want a ValueError of %d", err, n)
		}
		return "errors", nil
	}
}
