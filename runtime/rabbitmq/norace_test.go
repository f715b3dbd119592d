//go:build !race

package rabbitmq

const raceDetector = false
