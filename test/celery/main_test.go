// Package celery tests a fleet of Go and Python: real Celery clients and workers, and worker processes of the Go
// tasks in gotasks, on one RabbitMQ. In testdata is what runs in Python.
package celery

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if table := results.table(); table != "" {
		fmt.Printf("\nagainst Celery:\n\n%s\n", table)
	}
	os.Exit(code)
}
