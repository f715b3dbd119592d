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
			DeadLetters: func(t testing.TB, queue string) []tasktest.Dead {
				var dead []tasktest.Dead
				for _, r := range inspect(t, url, `SELECT reason, error, body.body FROM msg JOIN body USING (id) JOIN dead USING (id)
					JOIN queue ON queue.id = msg.queue WHERE state = 3 AND queue.name = ? ORDER BY at`, queue) {
					dead = append(dead, tasktest.Dead{Reason: r[0], Error: r[1], Body: []byte(r[2])})
				}
				return dead
			},
		}
	})
}
