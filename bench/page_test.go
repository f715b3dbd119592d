package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/taskgen/taskgen/bench/system"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n" + tableBegins + "\nold\n" + tableEnds + "\nafter\n")
	if err := publish(path, "new\n"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "before\n" + tableBegins + "\n\nnew\n\n" + tableEnds + "\nafter\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	write("no marks")
	if publish(path, "new\n") == nil {
		t.Error("a page without marks was written")
	}
}

// A target is of a row and a system that are measured; one that is not would go unnoticed.
func TestTargetsAreMeasured(t *testing.T) {
	t.Parallel()
	kept := targets(rows())
	for _, t2 := range append(againstItself(), append(embeddedTargets(), againstPeers()...)...) {
		if !measured(rows(), t2.of) || t2.against.row != "" && !measured(rows(), t2.against) {
			t.Errorf("%s: not measured", t2.what)
		}
	}
	if len(kept) < 60 {
		t.Errorf("only %d targets are left", len(kept))
	}
}

// A ratio is that of two runs of one round; the median of them counts.
func TestTargetIsMedianOfRatios(t *testing.T) {
	t.Parallel()
	of, against := cell{"row", system.RabbitMQ.Name}, cell{"row", system.AMQP.Name}
	target := target{what: "what", of: of, against: against, metric: throughput, least: true, bound: 0.95}
	results := map[cell][]result{of: {{rate: 10}, {rate: 30}, {rate: 20, others: 0.5}}, against: {{rate: 10}, {rate: 10}, {rate: 40}}}
	if got, want := target.line(results), "| what | 1.00 (0.50..3.00) | ≥ 0.95 | met † |\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
