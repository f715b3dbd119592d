//go:build race

package rabbitmq

// The race detector makes pools forget at random.
const raceDetector = true
