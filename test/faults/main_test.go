package faults

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

// long says that this is `make faults`: the full figures of the table, one scenario after the other.
var long = os.Getenv("TASKGEN_FAULTS") == "long"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		roles[role]()
		os.Exit(0)
	}
	flag.Parse()
	// The scenarios wait most of the time: more of them fit beside each other than there are processors.
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	code := m.Run()
	fmt.Print(results.table())
	if long {
		if err := results.publish("../../docs/reliability.md"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// pick is the one or the other.
func pick[T any](short, full T) T {
	if long {
		return full
	}
	return short
}

// alongside lets a scenario run beside others, but in the long form, where they would disturb each
// other's times.
func alongside(t *testing.T) {
	if !long {
		t.Parallel()
	}
}

// leeway is what a busy machine may add to a time in the short form.
var leeway = pick(15*time.Second, 0)
