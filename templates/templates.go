// Package templates holds the files that users get whole.
package templates

import "embed"

// Worker is a worker command: main.go.tmpl, which taskgen keeps up to date, and
// setup.go.tmpl, which belongs to the user as soon as it is written.
//
//go:embed worker
var Worker embed.FS
