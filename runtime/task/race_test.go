//go:build race

package task_test

// The race detector makes pools forget at random, and allocates.
const raceDetector = true
