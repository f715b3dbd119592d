package sqlite_test

import (
	"testing"

	"github.com/taskgen/taskgen/runtime/sqlite"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/tasktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	tasktest.Run(t, func(t *testing.T) tasktest.Broker {
		url := newURL(t)
		return tasktest.Broker{
			StoresResults: true,
			Open: func(t testing.TB) task.Transport {
				transport, err := sqlite.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				return transport
			},
		}
	})
}

func TestResults(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	tasktest.RunResults(t, func(t testing.TB) tasktest.Results {
		transport, err := sqlite.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { transport.Close() })
		return transport
	})
}
