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
		table = "\nagainst Celery:\n\n" + table
		fmt.Println(table)
		// go test shows nothing of packages that pass; scripts/test.sh shows this.
		if path := os.Getenv("TASKGEN_CELERY_REPORT"); path != "" {
			if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	os.Exit(code)
}
