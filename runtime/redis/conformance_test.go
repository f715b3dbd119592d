package redis_test

import (
	"testing"

	"github.com/taskgen/taskgen/runtime/memory"
	"github.com/taskgen/taskgen/runtime/redis"
	"github.com/taskgen/taskgen/runtime/task"
	"github.com/taskgen/taskgen/runtime/tasktest"
)

func TestResults(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	tasktest.RunResults(t, func(t testing.TB) tasktest.Results { return open(t, url) })
}

func TestChords(t *testing.T) {
	t.Parallel()
	url := newURL(t)
	tasktest.RunChords(t, func(t testing.TB) task.ChordStore { return open(t, url) })
}

// A broker whose results are in Redis is a broker.
func TestConformance(t *testing.T) {
	t.Parallel()
	server(t)
	tasktest.Run(t, func(t *testing.T) tasktest.Broker {
		broker, url := memory.New(), newURL(t)
		t.Cleanup(func() { broker.Close() })
		return tasktest.Broker{
			StoresResults: true, ForgetsResults: true,
			Open: func(t testing.TB) task.Transport {
				s, err := redis.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				return task.WithResults(connection{broker}, s)
			},
		}
	})
}

// connection is one of several users of a broker: closing it leaves the broker open.
type connection struct{ *memory.Transport }

func (connection) Close() error { return nil }
