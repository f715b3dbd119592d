//go:build race

package frugal

const slowdown = 10
