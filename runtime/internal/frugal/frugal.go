// Package frugal holds decoders to what a hostile input may cost.
package frugal

import (
	"flag"
	"runtime/metrics"
	"testing"
	"time"
)

const (
	// maxMemory bounds what is allocated for one input, in bytes, whether or not it is freed meanwhile.
	maxMemory = 64 << 20
	// maxTime bounds the processor time of one input.
	maxTime = 100 * time.Millisecond
)

// Check runs f, which reads one input, and fails the test if it takes more than 64 MiB or 100 ms of
// processor time. The race detector may take ten times as long, the fuzzer's instrumentation three times.
func Check(t testing.TB, f func()) {
	t.Helper()
	limit := maxTime * slowdown
	if worker := flag.Lookup("test.fuzzworker"); worker != nil && worker.Value.String() == "true" {
		limit *= 3
	}
	check(t, limit, f)
}

func check(t testing.TB, limit time.Duration, f func()) {
	t.Helper()
	memory, start := allocated(), processorTime()
	f()
	if took := processorTime() - start; took > limit {
		t.Errorf("it took %v of processor time, more than %v", took, limit)
	}
	if used := allocated() - memory; used > maxMemory {
		t.Errorf("it took %d MiB of memory, more than %d", used>>20, maxMemory>>20)
	}
}

// allocated is what this process has allocated so far, in bytes.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
