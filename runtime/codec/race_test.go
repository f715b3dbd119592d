//go:build race

package codec_test

// The race detector makes pools forget at random.
const raceDetector = true
