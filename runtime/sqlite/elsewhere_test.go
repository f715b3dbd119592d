package sqlite_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
)

// elsewhereRole works on another machine, and says whether it is refused.
func elsewhereRole(args []string) error {
	sqlite.MoveElsewhere(args[1])
	transport, err := sqlite.Open(context.Background(), args[0])
	if err != nil {
		return err
	}
	_, err = transport.Consume(task.ConsumeConfig{
		Worker: "elsewhere@test", Subscriptions: []task.Subscription{{Queue: "q", Prefetch: 1}},
		Deliver: func(d *task.Delivery) { fmt.Println("took", d.Message.ID) },
		Refused: func(err error) { fmt.Println("refused", err) },
	})
	if err != nil {
		return err
	}
	select {}
}

// TestTwoMachinesWithOneDatabase has a process whose kernel is another, and whose
// locks don't reach here.
func TestTwoMachinesWithOneDatabase(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	l := listen(t, transport, 2, "q")
	publish(t, transport, message("q"))
	held := hear[*task.Delivery](l)

	other := start(t, "elsewhere", url, "another-kernel")
	line := other.line()
	for _, word := range []string{"refused", path(url), "another machine"} {
		if !strings.Contains(line, word) {
			t.Errorf("the other machine says %q, without %q", line, word)
		}
	}
	await(t, "both have stopped", func() bool { return !l.Ready() })
	m := message("q")
	ctx, cancel := context.WithTimeout(t.Context(), busy)
	defer cancel()
	for ctx.Err() == nil { // until it is sure
		short, cancel := context.WithTimeout(ctx, persistence)
		err := transport.Publish(short, m)
		cancel()
		if err != nil && strings.Contains(err.Error(), "in use on another machine too") && strings.Contains(err.Error(), path(url)) {
			break
		}
	}
	if ctx.Err() != nil {
		t.Error("publishing says nothing of the other machine")
	}
	// What runs can end, and was not given to the other.
	if err := l.Settle(within(t), held, task.Outcome{}); err != nil {
		t.Error(err)
	}
	other.kill()
	publish(t, transport, m)
	if d := hear[*task.Delivery](l); d.Message.ID != m.ID {
		t.Errorf("%s was delivered", d.Message.ID)
	}
	await(t, "the consumer is ready again", l.Ready)
}

// TestWhatAMachineLeftBehind takes over from one that has died, or from this one before it was started again.
func TestWhatAMachineLeftBehind(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	transport := open(t, url)
	m := message("q")
	publish(t, transport, m)
	other := start(t, "elsewhere", url, "earlier-kernel")
	if line := other.line(); line != "took "+m.ID {
		t.Fatal(line)
	}
	other.kill()
	l := listen(t, transport, 1, "q")
	if d := hear[*task.Delivery](l); d.Message.ID != m.ID || !d.Redelivered {
		t.Errorf("%+v", d)
	}
	await(t, "the consumer is ready", l.Ready)
}
