package memory_test

import (
	"testing"

	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/tasktest"
)

func TestResults(t *testing.T) {
	t.Parallel()
	broker := memory.New()
	tasktest.RunResults(t, func(testing.TB) tasktest.Results { return broker })
}

func TestConformance(t *testing.T) {
	tasktest.Run(t, func(t *testing.T) tasktest.Broker {
		broker := memory.New()
		t.Cleanup(func() { broker.Close() })
		return tasktest.Broker{
			StoresResults: true,
			Open:          func(testing.TB) task.Transport { return connection{broker} },
		}
	})
}

// connection is one of several users of a broker: closing it leaves the broker open.
type connection struct{ *memory.Transport }

func (connection) Close() error { return nil }
