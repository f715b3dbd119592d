//go:build race

package faults

// raceDetector says that memory and processor time are many times what they are without it.
const raceDetector = true
