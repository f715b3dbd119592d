//go:build !unix

package frugal

import "time"

var started = time.Now()

// processorTime is the time that has passed, where there is no better measure.
func processorTime() time.Duration { return time.Since(started) }
