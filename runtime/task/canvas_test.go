package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/task"
)

var (
	half  = task.New("canvas.half", func(_ context.Context, n int) (int, error) { return n / 2, nil })
	total = task.New("canvas.total", func(_ context.Context, list []int) (int, error) {
		sum := 0
		for _, n := range list {
			sum += n
		}
		return sum, nil
	})
	broken = task.New("canvas.broken", func(context.Context, int) (int, error) { return 0, errors.New("broken") })
	whole  = task.New("canvas.whole", func(_ context.Context, n int) (int, error) { return n, nil }, task.Spec{Serializer: "gob"})
)

func halve() task.Step[int, int] { return task.NewStep(half.Task, &task.FuncArgs[int]{}, 0) }

func sum() task.Step[[]int, int] {
	return task.NewStep(total.Task, &task.FuncArgs[[]int]{}, []int(nil))
}

func canvas(ctx context.Context) context.Context {
	r := task.NewRegistry()
	half.Register(r)
	total.Register(r)
	broken.Register(r)
	whole.Register(r)
	return task.WithClient(ctx, task.Eager(r))
}

func ExampleChord() {
	ctx := canvas(context.Background())
	call, err := task.Chain(task.Chord([]task.Sig[int]{half.Sig(10), half.Sig(20)}, sum()), halve()).Delay(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(call.Get(ctx))
	// Output: 7 <nil>
}

func TestEagerChainFails(t *testing.T) {
	t.Parallel()
	ctx := canvas(t.Context())
	call, err := task.Chain(task.Chord([]task.Sig[int]{half.Sig(10), broken.Sig(20)}, sum()), halve()).Delay(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var failure *task.TaskError
	if _, err := call.Get(ctx); !errors.As(err, &failure) || failure.Type != "ChordError" || failure.Task != "canvas.half" {
		t.Errorf("the last step ends with %v", err)
	}
}

func TestWholesHaveFewOptions(t *testing.T) {
	t.Parallel()
	ctx := canvas(t.Context())
	for name, sig := range map[string]task.Sig[[]int]{
		"only Link and LinkError":   task.Group(half.Sig(1)).With(task.Queue("q")),
		"a group has no callbacks":  task.Group(half.Sig(1)).Link(sum()),
		"give both one serializer":  task.Group(half.Sig(1), whole.Sig(2)),
		"Priority(10)":              task.Group(half.With(task.Priority(10)).Sig(1)),
		"takes int, and the result": task.Group(half.Sig(1)).With(task.Link(halve())),
	} {
		if _, err := sig.Delay(ctx); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}
