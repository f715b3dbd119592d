package articles

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/taskgen/taskgen/runtime/broker"
	"github.com/taskgen/taskgen/runtime/task"
)

// One author asks for the task, another one edits the article before it runs.
func TestArticles(t *testing.T) {
	t.Parallel()
	const id = 102
	for name, test := range map[string]struct {
		delay func(context.Context, Article, task.Option) (*task.Call[task.None], error)
		want  string
	}{
		"the row undoes the edit": {
			delay: func(ctx context.Context, a Article, o task.Option) (*task.Call[task.None], error) {
				return EditorExpandRow.With(o).Delay(ctx, a)
			},
			want: "It takes approximately a week.",
		},
		"the id keeps the edit": {
			delay: func(ctx context.Context, a Article, o task.Option) (*task.Call[task.None], error) {
				return EditorExpand.With(o).Delay(ctx, a.ID)
			},
			want: "The tea department says: approximately a day.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachBroker(t, func(t *testing.T, ctx context.Context, transport task.Transport, queue string) {
				store := NewStore(Article{ID: id, Title: "Delivery", Body: "It takes approx. a week."})
				ctx = task.WithClient(ctx, task.NewClient(transport, task.ClientConfig{}))

				first, err := store.Load(id)
				if err != nil {
					t.Fatal(err)
				}
				call, err := test.delay(ctx, first, task.Queue(queue))
				if err != nil {
					t.Fatal(err)
				}
				second, err := store.Load(id)
				if err != nil {
					t.Fatal(err)
				}
				second.Body = "The tea dept. says: approx. a day."
				store.Save(second)
				work(t, transport, store, queue) // the queue was busy until now

				if _, err := call.Get(ctx); err != nil {
					t.Fatal(err)
				}
				article, err := store.Load(id)
				if err != nil || article.Body != test.want {
					t.Errorf("the article says %q (%v), want %q", article.Body, err, test.want)
				}
			})
		})
	}
}

// eachBroker runs a test on SQLite and on RabbitMQ, with a queue of its own.
func eachBroker(t *testing.T, test func(t *testing.T, ctx context.Context, transport task.Transport, queue string)) {
	t.Helper()
	queue := "articles-test-" + rand.Text()
	run := func(t *testing.T, url string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		transport, err := broker.Transport(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := transport.Close(); err != nil {
				t.Error(err)
			}
			deleteQueue(t, url, queue)
		})
		test(t, ctx, transport, queue)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		run(t, "sqlite:"+t.TempDir())
	})
	t.Run("rabbitmq", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv("TASKGEN_TEST_AMQP")
		if url == "" {
			t.Skip("TASKGEN_TEST_AMQP names no broker")
		}
		run(t, url)
	})
}

// work runs a worker until the end of the test.
func work(t *testing.T, transport task.Transport, store *Store, queue string) {
	t.Helper()
	r := task.NewRegistry()
	RegisterTasks(r, &Editor{Store: store})
	w, err := task.NewWorker(transport, r, task.WorkerConfig{
		Queues: []task.QueueConfig{{Name: queue}},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// deleteQueue leaves a broker that others use as it was.
func deleteQueue(t *testing.T, url, name string) {
	t.Helper()
	if !strings.HasPrefix(url, "amqp") {
		return
	}
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	channel, err := conn.Channel()
	if err != nil {
		t.Error(err)
		return
	}
	if _, err := channel.QueueDelete(name, false, false, false); err != nil {
		t.Errorf("queue %s: %v", name, err)
	}
}
